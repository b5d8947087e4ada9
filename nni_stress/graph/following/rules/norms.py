"""Norms and softmax: element by element, with a statistic over some dimensions."""

from __future__ import annotations

import torch

from ..context import Call, Context, Rule, named
from ..planes import Planes, varies
from .elementwise import combine, operand


def layer_norm(context: Context, call: Call) -> None:
    """Layer norm and RMS norm."""
    images = call.args[0]
    dims = range(images.dim() - len(call.args[1]), images.dim())
    _normalize(context, call, [a for a in call.args[2:4] if isinstance(a, torch.Tensor)], dims)


def batch_norm(context: Context, call: Call) -> None:
    """Batch and instance norm: each channel by itself."""
    images = call.args[0]
    spatial = [1] * (images.dim() - 2)
    channels = [a.view(-1, *spatial) for a in call.args[1:5] if isinstance(a, torch.Tensor)]
    training = (
        not isinstance(call.argument(3, "running_mean"), torch.Tensor) or True in call.args[5:6]
    )
    dims = [dim for dim in range(images.dim()) if dim != 1] if training else []
    _normalize(context, call, channels, dims)


def group_norm(context: Context, call: Call) -> None:
    """Group norm: whole groups are removed, or any channel if there is one group."""
    images = call.args[0]
    groups = call.args[6]
    spatial = [1] * (images.dim() - 2)
    channels = [a.view(-1, *spatial) for a in call.args[1:3] if isinstance(a, torch.Tensor)]
    relations = context.relations
    if groups > 1:
        for plane in context.labels.of(images):
            if varies(plane, 1):
                flat = relations.collapse(plane, [0, *range(2, plane.dim())])
                flat = flat[(0, slice(None)) + (0,) * len(spatial)].view(groups, -1)
                relations.tie(flat, flat[:, :1].expand_as(flat))
    _normalize(context, call, channels, range(1, images.dim()))


def softmax(context: Context, call: Call) -> None:
    """Softmax: a statistic over one dimension."""
    images = call.args[0]
    planes = context.labels.of(images)
    context.relations.mark_statistic(planes, [call.args[1] % images.dim()])
    context.labels.assign(call.outputs[0], list(planes))


def _normalize(
    context: Context, call: Call, parameters: list[torch.Tensor], dims: range | list[int]
) -> None:
    images = call.args[0]
    context.relations.mark_statistic(context.labels.of(images), dims)
    planes: Planes = combine(
        context, [operand(context, tensor, images.shape) for tensor in (images, *parameters)]
    )
    context.labels.assign(call.outputs[0], planes)
    for output in call.outputs[1:]:
        context.labels.assign(output, [])


_BATCH = """
    native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training
    _native_batch_norm_legit_functional _batch_norm_with_update _batch_norm_no_update
    cudnn_batch_norm
"""

RULES: dict[str, Rule] = {
    **dict.fromkeys(["native_layer_norm", "_fused_rms_norm", "rms_norm"], layer_norm),
    **named(_BATCH, batch_norm),
    "native_group_norm": group_norm,
    **dict.fromkeys(["_softmax", "_log_softmax", "_safe_softmax"], softmax),
}
