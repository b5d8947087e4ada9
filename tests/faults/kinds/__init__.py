"""Kinds of faults, a file for each group. See tests/faults/registry.py."""
