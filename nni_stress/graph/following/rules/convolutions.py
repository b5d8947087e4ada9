"""Convolutions of any number of dimensions, transposed, grouped and depthwise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..context import Blocks, Call, Context, Rule
from ..planes import Plane, Planes, compact, varies
from .products import with_bias


def convolve(context: Context, call: Call) -> None:
    """Tie labels in the shape (batch, group, outputs, inputs of a group), then sum over inputs."""
    images, weight, bias = call.args[:3]
    transposed = call.argument(6, "transposed", default=False)
    groups = call.argument(8, "groups", default=1)
    output = call.outputs[0]
    spatial = output.dim() - 2
    relations = context.relations
    for plane in context.labels.of(weight):
        if any(varies(plane, dim) for dim in range(2, weight.dim())):
            relations.fix([plane], "position in a kernel")
    filters = weight[(...,) + (0,) * spatial].unflatten(0, (groups, -1))
    filters = filters.transpose(1, 2) if transposed else filters
    shape = (len(images), *filters.shape)
    sides = _Sides(
        [_channels(p, groups, spatial).expand(shape) for p in _images(context, images)],
        [compact(plane[None]).expand(shape) for plane in context.labels.of(filters)],
    )
    width = shape[3]
    if groups > 1 and width > 1 and isinstance(weight, nn.Parameter) and not transposed:
        factors = planes = _in_blocks(context, weight, sides, shape)
        planes = [plane for plane in planes if not varies(plane, 3)]
    else:
        if groups > 1:
            sides = _whole_groups(context, sides)
        _fix_unmatched(context, images, sides, groups)
        factors = relations.merge([*sides.weights, *sides.inputs])
        planes = relations.summed(factors, [3])
    positions = weight.shape[2:].numel() * (images if transposed else output).shape[2:].numel()
    context.count_product(factors, (*shape, positions))
    planes = [plane.select(3, 0) if plane.dim() == 4 else plane for plane in planes]
    planes = [plane.reshape(len(images), -1) for plane in planes]
    planes = [p.reshape(p.shape + (1,) * spatial).expand(output.shape) for p in planes]
    if bias is not None:
        bias = bias.view(-1, *[1] * spatial)
    context.labels.assign(output, with_bias(context, planes, bias, output))


class _Sides(NamedTuple):
    """Planes of the input and of the weight, as (batch, group, outputs, inputs of a group)."""

    inputs: Planes
    weights: Planes


def _images(context: Context, images: torch.Tensor) -> Planes:
    """Planes of the input, constant over positions."""
    kept = []
    positions = range(2, images.dim())
    for plane in context.labels.of(images):
        if varies(plane, 1):
            kept.append(context.relations.collapse(plane, positions))
        elif any(varies(plane, dim) for dim in positions):
            context.relations.fix([plane], "position that a convolution reads")
        else:
            kept.append(plane)
    return kept


def _channels(plane: Plane, groups: int, spatial: int) -> Plane:
    """A plane of the input, without positions, as (batch, group, 1, inputs of a group)."""
    return compact(plane[(...,) + (0,) * spatial].unflatten(1, (groups, -1))[:, :, None])


def _whole_groups(context: Context, sides: _Sides) -> _Sides:
    """Let channels of a group be removed together only."""
    widths = [plane for side in sides for plane in side if not varies(plane, 1)]
    context.relations.fix([p for p in widths if varies(p, 2) or varies(p, 3)], "width of a group")
    inputs, weights = (
        [context.relations.collapse(plane, (2, 3)) for plane in side if varies(plane, 1)]
        for side in sides
    )
    return _Sides(inputs, weights)


def _fix_unmatched(context: Context, images: torch.Tensor, sides: _Sides, groups: int) -> None:
    """Fix what only the input or only the weight could lose."""
    if images.shape[1] == 1 or context.labels.neutral(images):
        return
    dims = (1, 3) if groups > 1 else (3,)
    reading = [[p for p in side if any(varies(p, dim) for dim in dims)] for side in sides]
    if bool(reading[0]) != bool(reading[1]):
        context.relations.fix(reading[0] + reading[1], "convolution of a constant")


def _in_blocks(
    context: Context, weight: nn.Parameter, sides: _Sides, shape: tuple[int, ...]
) -> Planes:
    """Planes of a convolution each group of which keeps as many inputs, and outputs, as the others.

    Which inputs a group keeps is its own choice, so that the labels of the weight's second
    dimension, which all groups share, do not count.
    """
    _, groups, _, width = shape
    rows = [plane for plane in sides.weights if varies(plane, 1) or varies(plane, 2)]
    read = [plane for plane in sides.inputs if varies(plane, 1) or varies(plane, 3)]
    for plane in rows:
        context.blocks.append(Blocks(_matrix(plane, (1, 2))))
    inputs = torch.zeros(groups, width, dtype=torch.int32)
    for plane in read:
        inputs = torch.from_numpy(_matrix(plane, (1, 3)).astype(np.int32))
        context.blocks.append(Blocks(inputs.numpy().astype(np.int64)))
    known = context.grouped.setdefault(id(weight), inputs.numpy().astype(np.int64))
    context.relations.tie(torch.from_numpy(known.astype(np.int32)), inputs)
    others = [plane for plane in sides.inputs if not varies(plane, 1) and not varies(plane, 3)]
    return rows + read + others


def _matrix(plane: Plane, dims: tuple[int, int]) -> NDArray[np.int64]:
    index = tuple(slice(None) if dim in dims else 0 for dim in range(plane.dim()))
    return np.array(plane[index].numpy(), dtype=np.int64)


RULES: dict[str, Rule] = dict.fromkeys(["convolution", "_convolution"], convolve)
