"""Operators that take a part of a dimension, as views or as copies."""

from __future__ import annotations

import torch

from ..context import Call, Context, Rule, named, put
from ..planes import varies


def split(context: Context, call: Call) -> None:
    """Parts of a labelled dimension must lose alike, as long as they are equal."""
    values = call.args[0]
    dim = call.argument(1 if call.name in _DIM_FIRST else 2, "dim", 0) % values.dim()
    changing = [plane for plane in context.labels.of(values) if varies(plane, dim)]
    if changing:
        if call.name in _ONE_INDEX:
            for plane in changing:
                context.relations.collapse(plane, [dim], in_number=True)
        else:
            _tie_parts(context, call, values, dim)
    for copied in call.new_outputs:
        put(context, call, copied, [])
        context.relations.fix(context.labels.of(values), f"copied in part by {call.name}")


def _tie_parts(context: Context, call: Call, values: torch.Tensor, dim: int) -> None:
    size = values.shape[dim]
    sizes = {output.shape[dim] for output in call.outputs}
    part = sizes.pop() if len(sizes) == 1 else 0
    if part == size:
        return
    changing = [plane for plane in context.labels.of(values) if varies(plane, dim)]
    start = call.argument(2, "start", 0) or 0 if call.name in ("slice", "narrow") else 0
    stepped = call.name == "slice" and call.argument(4, "step", 1) != 1
    if stepped or not part or size % part or (start % size) % part:
        if not context.splitting:
            context.relations.fix(changing, f"unequal parts of {call.name}")
        return
    for plane in changing:
        parts = plane.unflatten(dim, (size // part, part))
        first = parts.narrow(dim, 0, 1).expand_as(parts)
        context.relations.tie(parts, first, in_number=True)


def gate(context: Context, call: Call) -> None:
    """The first half of a dimension times a function of the second."""
    values = call.args[0]
    dim = call.argument(1, "dim", -1) % values.dim()
    half = values.shape[dim] // 2
    planes = []
    for plane in context.labels.of(values):
        first = plane.narrow(dim, 0, half)
        context.relations.tie(first, plane.narrow(dim, half, half))
        planes.append(first)
    context.labels.assign(call.outputs[0], planes)


_ONE_INDEX = {"select", "unbind"}
_DIM_FIRST = {"select", "slice", "narrow", "unbind"}
NAMES = """
    slice split split_with_sizes select unbind narrow chunk unsafe_chunk unsafe_split
    unsafe_split_with_sizes
"""

RULES: dict[str, Rule] = {**named(NAMES, split), "glu": gate}
