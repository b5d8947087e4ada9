"""Operators that move elements without looking at them: applied to the labels themselves."""

from __future__ import annotations

import torch

from ..context import Call, Context, Rule, named
from ..planes import Plane, compact, varies


def move(context: Context, call: Call) -> None:
    """Move the labels as the elements are moved."""
    context.fix_all(call.tensors[1:], f"position in {call.name}")
    planes = [_applied(call, plane) for plane in context.labels.of(call.args[0])]
    context.labels.assign(call.outputs[0], planes)


def roll(context: Context, call: Call) -> None:
    """By how many indices is a number, so that what is rolled must stay."""
    values = call.args[0]
    dims = call.argument(2, "dims") or range(values.dim())
    for plane in context.labels.of(values):
        if any(varies(plane, dim % values.dim()) for dim in dims):
            context.relations.fix([plane], "rolled along")
    move(context, call)


def shuffle_pixels(context: Context, call: Call) -> None:
    """Each channel of the result comes from channels that lie behind each other."""
    values = call.args[0]
    factor = call.args[1]
    for plane in context.labels.of(values):
        context.relations.collapse(plane.unflatten(-3, (-1, factor**2)), [values.dim() - 2])
    move(context, call)


def shuffle_channels(context: Context, call: Call) -> None:
    """All groups must lose the same of their channels."""
    for plane in context.labels.of(call.args[0]):
        context.relations.collapse(plane.unflatten(1, (call.args[1], -1)), [1])
    move(context, call)


def windows(context: Context, call: Call) -> None:
    """Each channel becomes one for each position of a window; padding has no labels of its own."""
    output = call.outputs[0]
    size = call.args[1]
    planes = []
    for plane in context.labels.of(call.args[0]):
        plane = context.relations.collapse(plane, [plane.dim() - 2, plane.dim() - 1])[..., 0, 0]
        plane = plane.repeat_interleave(size[0] * size[1], -1)
        planes.append(compact(plane[..., None]).expand(output.shape))
    context.labels.assign(output, planes)


def pad(context: Context, call: Call) -> None:
    """What is padded with has no label; but where labels do not vary, they go on."""
    output = call.outputs[0]
    planes = []
    for plane in context.labels.of(call.args[0]):
        amounts = list(call.args[1])
        for index in range(len(amounts) // 2):
            if not varies(plane, plane.dim() - 1 - index):
                amounts[2 * index : 2 * index + 2] = [0, 0]
        padded = torch.constant_pad_nd(compact(plane).contiguous(), amounts)
        planes.append(padded.expand(output.shape))
    context.labels.assign(output, planes)


def _applied(call: Call, plane: Plane) -> Plane:
    if call.name == "_unsafe_view":
        return plane.reshape(call.outputs[0].shape)
    return call.applied_to(plane.contiguous())


NAMES = """
    repeat flip rot90 pixel_unshuffle _unsafe_view view reshape _reshape_copy repeat_interleave
"""

RULES: dict[str, Rule] = {
    **named(NAMES, move),
    "roll": roll,
    "pixel_shuffle": shuffle_pixels,
    "channel_shuffle": shuffle_channels,
    "native_channel_shuffle": shuffle_channels,
    "im2col": windows,
    "constant_pad_nd": pad,
}
