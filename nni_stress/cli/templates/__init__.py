"""The files that ``python -m nni_stress init`` writes."""
