"""Operators that make tensors out of nothing: any size suits them."""

from __future__ import annotations

from ..context import Call, Context, Rule, named


def create(context: Context, call: Call) -> None:
    """A new tensor has no labels, and adapts to whatever it meets."""
    for output in call.outputs:
        context.labels.assign(output, [], neutral=True)


NAMES = """
    zeros ones full empty zeros_like ones_like full_like empty_like new_zeros new_ones new_full
    new_empty new_empty_strided empty_strided scalar_tensor rand randn rand_like randn_like
    bernoulli_ uniform_ normal_ zero_
"""

RULES: dict[str, Rule] = named(NAMES, create)
