"""Operators that pick elements by indices, sort them, or go through them in order."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..context import Call, Context, Rule, named
from ..planes import Planes, varies


def pick(context: Context, call: Call) -> None:
    """Dimensions that are indexed must stay; labels along the others go on."""
    values = call.args[0]
    context.fix_all(call.tensors[1:], f"indices of {call.name}")
    if any(index.dtype in MASKS for index in call.tensors[1:]):
        context.choose()
    dims = _indexed(call, values)
    kept: Planes = []
    for plane in context.labels.of(values):
        if any(varies(plane, dim) for dim in dims):
            context.relations.fix([plane], f"indexed by {call.name}")
        else:
            kept.append(call.applied_to(plane))
    for output in call.outputs:
        context.labels.assign(output, kept if output.shape == call.outputs[0].shape else [])


def in_order(context: Context, call: Call) -> None:
    """As a sum up to each element: dimensions along which elements depend on others must stay."""
    values = call.args[0]
    dim = call.argument(1, "dim", -1) % values.dim()
    planes = context.labels.of(values)
    context.relations.fix([p for p in planes if varies(p, dim)], f"order in {call.name}")
    for output in call.outputs:
        context.labels.assign(output, [plane for plane in planes if not varies(plane, dim)])


def pick_bags(context: Context, call: Call) -> None:
    """As ``nn.EmbeddingBag``: rows are picked and added."""
    context.fix_all(call.tensors[1:], f"indices of {call.name}")
    planes = context.labels.of(call.args[0])
    context.relations.fix(
        [plane for plane in planes if varies(plane, 0)], f"indexed by {call.name}"
    )
    output = call.outputs[0]
    context.labels.assign(output, [p[:1].expand(output.shape) for p in planes if varies(p, 1)])
    for other in call.outputs[1:]:
        context.labels.assign(other, [])


def _indexed(call: Call, values: torch.Tensor) -> list[int]:
    if call.name == "embedding":
        return [0]
    if call.name == "index":
        return by_tensors(call.args[1])
    return [call.argument(2 if call.name == "topk" else 1, "dim", -1) % values.dim()]


def by_tensors(indices: Sequence[torch.Tensor | None]) -> list[int]:
    """Dimensions that tensors index; a mask indexes as many as it has."""
    dims: list[int] = []
    place = 0
    for index in indices:
        width = index.dim() if index is not None and index.dtype in MASKS else 1
        if index is not None:
            dims += range(place, place + width)
        place += width
    return dims


MASKS = (torch.bool, torch.uint8)


_PICKS = "index_select gather index embedding topk take_along_dim"
_ORDERED = "sort argsort cumsum cumprod logcumsumexp cummax cummin"

RULES: dict[str, Rule] = {
    **named(_PICKS, pick),
    **named(_ORDERED, in_order),
    **dict.fromkeys(["_embedding_bag", "_embedding_bag_forward_only"], pick_bags),
}
