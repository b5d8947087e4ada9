"""The record of an evolution on disk: what each offspring is, and what it achieved."""
