"""Operators that mix neighbouring positions, not channels: pooling, resizing, padding."""

from __future__ import annotations

import torch

from ..context import Call, Context, Rule, named
from ..planes import Plane, Planes


def slide(context: Context, call: Call) -> None:
    """Positions, which are the last dimensions, must stay; labels of channels go on."""
    images = call.args[0]
    for output in call.outputs:
        context.labels.assign(output, _moved(context, images, output))
    context.fix_all(call.tensors[1:], f"position in {call.name}")


def _moved(context: Context, images: torch.Tensor, output: torch.Tensor) -> Planes:
    planes = context.labels.of(images)
    if output.dim() != images.dim():
        context.relations.fix(planes, "unknown window")
        return []
    leading = min(2, images.dim() - 1)
    if images.dim() == 3 and output.shape[:2] != images.shape[:2]:
        leading = 1
    return [_over_positions(context, plane, leading, output) for plane in planes]


def _over_positions(context: Context, plane: Plane, leading: int, output: torch.Tensor) -> Plane:
    plane = context.relations.collapse(plane, range(leading, plane.dim()))
    for dim in range(leading, plane.dim()):
        plane = plane.narrow(dim, 0, 1)
    return plane.expand(output.shape)


NAMES = """
    max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d
    _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d
    mkldnn_max_pool2d fractional_max_pool2d upsample_nearest1d upsample_nearest2d
    upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d
    upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa reflection_pad1d
    reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d
    grid_sampler_2d grid_sampler_3d
"""

RULES: dict[str, Rule] = named(NAMES, slide)
