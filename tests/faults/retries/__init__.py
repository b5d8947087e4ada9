"""Faults that were found once, each tried again. See tests/faults/retry.py."""
