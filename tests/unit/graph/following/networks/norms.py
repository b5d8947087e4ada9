"""Norms and activations with parameters."""

import torch
from torch import nn

from ..case import IMAGES, Cases, Pooled, values

CASES = Cases()


def _normed(norm, dims=2):
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims]
    network = Pooled(conv(3, 8, 3), norm, nn.ReLU(), conv(8, 6, 1), outputs=6)
    for parameter in norm.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    for buffer in norm.buffers():
        if buffer.is_floating_point():
            nn.init.uniform_(buffer, 0.5, 1.5)
    return network


for _dims, _norms in {
    1: {"batch1d": nn.BatchNorm1d, "instance1d": nn.InstanceNorm1d},
    2: {"batch2d": nn.BatchNorm2d, "instance2d": nn.InstanceNorm2d},
    3: {"batch3d": nn.BatchNorm3d, "instance3d": nn.InstanceNorm3d},
}.items():
    for _name, _norm in _norms.items():
        CASES.add(values(3, *[6] * _dims), "body.0: 8", "body.3: 6", name=_name)(
            lambda norm=_norm, dims=_dims: _normed(norm(8), dims)
        )

_VARIANTS = {
    "batch_untracked": (lambda: nn.BatchNorm2d(8, track_running_stats=False), "body.0: 8"),
    "batch_plain": (lambda: nn.BatchNorm2d(8, affine=False), "body.0: 8"),
    "instance_affine": (lambda: nn.InstanceNorm2d(8, affine=True), "body.0: 8"),
    "instance_tracked": (lambda: nn.InstanceNorm2d(8, track_running_stats=True), "body.0: 8"),
    "group": (lambda: nn.GroupNorm(4, 8), "body.0: 4"),
    "group_plain": (lambda: nn.GroupNorm(4, 8, affine=False), "body.0: 4"),
    "group_of_all": (lambda: nn.GroupNorm(1, 8), "body.0: 8"),
    "group_of_one": (lambda: nn.GroupNorm(8, 8), "body.0: 8"),
    "local_response": (lambda: nn.LocalResponseNorm(3), None),
    "prelu": (lambda: nn.PReLU(8), "body.0: 8"),
    "prelu_shared": (lambda: nn.PReLU(), "body.0: 8"),
}
for _name, (_make, _group) in _VARIANTS.items():
    CASES.add(IMAGES, *[_group] if _group else [], "body.3: 6", name=_name)(
        lambda make=_make: _normed(make())
    )


@CASES.add(values(4, 5), "hidden stem: 8", "wide: 6")
class LayerNorm(nn.Module):
    """A residual stream that shrinks."""

    norm = nn.LayerNorm

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(5, 8)
        self.before = self.norm(8)
        self.wide = nn.Linear(8, 6)
        self.hidden = nn.Linear(6, 8)
        self.after = self.norm(8)
        self.head = nn.Linear(8, 3)
        for norm in (self.before, self.after):
            for parameter in norm.parameters():
                nn.init.uniform_(parameter, 0.5, 1.5)

    def forward(self, values):
        stream = self.stem(values)
        stream = stream + self.hidden(torch.relu(self.wide(self.before(stream))))
        return self.head(self.after(stream))


@CASES.add(values(4, 5), "hidden stem: 8", "wide: 6")
class RMSNorm(LayerNorm):
    norm = nn.RMSNorm


class HandWritten(nn.Module):
    """As language models write it."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, values):
        square = values.pow(2).mean(-1, keepdim=True)
        return self.weight * (values * torch.rsqrt(square + 1e-6))


@CASES.add(values(4, 5), "hidden stem: 8", "wide: 6")
class RMSNormByHand(LayerNorm):
    norm = HandWritten


class ChannelsFirst(nn.LayerNorm):
    """As ConvNeXt does."""

    def forward(self, images):
        return super().forward(images.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@CASES.add(IMAGES, "body.0: 8", "body.3: 6")
def layer_norm_of_channels():
    return _normed(ChannelsFirst(8))


@CASES.add(values(3, 6, 6), "body.0: 8", "body.3: 6")
def layer_norm_of_images():
    """The norm's weights repeat channels and positions."""
    return _normed(nn.LayerNorm([8, 4, 4]))


@CASES.add(values(4, 5), "0: 8", "2: 6")
def layer_norm_without_weight():
    return nn.Sequential(
        nn.Linear(5, 8), nn.LayerNorm(8, elementwise_affine=False), nn.Linear(8, 6), nn.Linear(6, 3)
    )


@CASES.add(IMAGES, "body.0: 8", "body.3: 6")
def softmax_layer():
    return _normed(nn.Softmax2d())
