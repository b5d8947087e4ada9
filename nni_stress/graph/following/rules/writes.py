"""Operators that write at indices."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..context import Call, Context, Rule, named, put
from ..planes import Plane, compact, varies
from .elementwise import Operand, combine, operand
from .indexing import by_tensors


class _Written(NamedTuple):
    """Values that are written, their last dimensions those of the target."""

    values: torch.Tensor
    dims: list[int]  # of the target, those that are indexed


def put_in(context: Context, call: Call) -> None:
    """Dimensions that are indexed must stay; along the others the values meet the target."""
    target = call.args[0]
    written = _written(call)
    if written is None or any(map(context.labels.of, _indices(call, written))):
        put_anywhere(context, call)
        return
    whole = operand(context, target, target.shape)
    operands = [whole._replace(planes=_others(context, call, whole.planes, written.dims))]
    if written.values.dim():
        operands.append(_values(context, call, written, target))
    for own in operands:
        for dim in written.dims:
            own.sized[dim] = False
    put(context, call, call.outputs[0], combine(context, operands))


def _written(call: Call) -> _Written | None:
    """What is written, and where; None if it is written in another way."""
    target = call.args[0]
    if call.name.startswith("index_put"):
        indices = call.args[1]
        if any(index is None for index in indices):
            return None
        return _Written(call.args[2], by_tensors(indices))
    values = call.argument(3, "source" if call.name.startswith("index") else "src")
    dim = call.args[1] % max(target.dim(), 1)
    if not isinstance(values, torch.Tensor) or values.dim() != target.dim():
        return None
    whole = all(
        values.shape[other] == size for other, size in enumerate(target.shape) if other != dim
    )
    return _Written(values, [dim]) if whole else None


def _indices(call: Call, written: _Written) -> list[torch.Tensor]:
    return [tensor for tensor in call.tensors[1:] if tensor is not written.values]


def _others(context: Context, call: Call, planes: list[Plane], dims: list[int]) -> list[Plane]:
    """Planes that do not vary along indexed dimensions; the others must stay."""
    indexed = [plane for plane in planes if any(varies(plane, dim) for dim in dims)]
    context.relations.fix(indexed, f"written at indices by {call.name}")
    return [plane for plane in planes if not any(plane is other for other in indexed)]


def _values(context: Context, call: Call, written: _Written, target: torch.Tensor) -> Operand:
    """The values in the shape of the target."""
    values, dims = written
    left = target.dim() - len(dims)
    leading = values.dim() - left if dims == list(range(len(dims))) else None
    own = dims if leading is None else list(range(max(leading, 0)))
    planes = []
    for plane in _others(context, call, context.labels.of(values), own):
        small = compact(plane)
        if leading is not None:
            small = small[(0,) * len(own)]
            small = small[(None,) * (target.dim() - small.dim())]
        planes.append(small.expand(target.shape))
    shape = [1] * target.dim()
    for dim in range(target.dim()):
        behind = dim - target.dim()
        if dim not in dims and -behind <= values.dim():
            shape[dim] = values.shape[behind]
    return Operand(planes, [size > 1 for size in shape], context.labels.neutral(values))


NAMES = "scatter scatter_add scatter_reduce index_put index_add index_copy"
_OTHERS = "masked_scatter select_scatter slice_scatter"


def put_anywhere(context: Context, call: Call) -> None:
    """All labels must stay."""
    context.fix_all(call.tensors, f"written at indices by {call.name}")
    for output in call.outputs:
        put(context, call, output, [])


RULES: dict[str, Rule] = {
    **named(NAMES, put_in),
    **named(_OTHERS, put_anywhere),
}
