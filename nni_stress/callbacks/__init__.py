"""Callbacks that let the trainers of other libraries train under stress, a file for each.

None is imported here: each needs its library, see the extras ``lightning`` and ``transformers``.
"""
