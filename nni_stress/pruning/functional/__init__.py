"""Pure functions behind the pruner: survival, stress signals and the allocation of a budget."""
