"""Operators that reduce dimensions: sum, mean, max, norm and the like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..context import Call, Context, Rule, named
from ..planes import varies

_SUMS = {"sum", "nansum", "count_nonzero"}


def reduce(context: Context, call: Call) -> None:
    """Labels along reduced dimensions do not go on; those along the others do."""
    values = call.args[0]
    dims = reduced_dims(call.name, call.args, call.kwargs, values.dim())
    planes = context.labels.of(values)
    if call.name not in _SUMS:
        statistics = context.relations.statistics_over(planes, dims)
        if all(output.numel() == 1 for output in call.outputs):
            for output in call.outputs:
                context.summaries.add(output, statistics)
        else:
            context.relations.add_statistics(statistics)
    if call.name in _INDICES or (call.name in ("max", "min") and len(call.outputs) > 1):
        counted = [plane for plane in planes if any(varies(plane, dim) for dim in dims)]
        context.relations.fix(counted, f"indices of {call.name}")
    for output in call.outputs:
        keepdim = output.dim() == values.dim()
        context.labels.assign(output, context.relations.summed(planes, dims, keepdim))


def reduced_dims(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], count: int
) -> list[int]:
    """The dimensions that an operator reduces, of a tensor with so many."""
    position = 2 if name in ("linalg_vector_norm", "norm") else 1
    dims = args[position] if len(args) > position else kwargs.get("dim")
    if isinstance(dims, int) and not isinstance(dims, bool):
        dims = [dims]
    if not isinstance(dims, (list, tuple)) or not dims:
        return list(range(count))
    return sorted({dim % count for dim in dims})


_INDICES = {"argmax", "argmin"}
NAMES = """
    sum mean amax amin max min var std var_mean std_mean linalg_vector_norm norm logsumexp prod
    any all argmax argmin nansum count_nonzero
"""

RULES: dict[str, Rule] = named(NAMES, reduce)
