"""Networks of timm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..entries import Entry, images

_FOR_ANY_SIZE = (
    *("resnet26", "resnetv2_50", "convnextv2_atto", "mobilenetv4_conv_small"),
    *("dla34", "repvgg_a0", "dm_nfnet_f0", "darknet53"),
)
_FOR_ONE_SIZE = ("vit_tiny_patch16_224", "mixer_s16_224")


def _model(name: str, **arguments: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import timm

        return timm.create_model(name, pretrained=False, **arguments)

    return make


ENTRIES = [
    *(Entry(name, _model(name), images(), package="timm") for name in _FOR_ANY_SIZE),
    *(Entry(name, _model(name, img_size=64), images(), package="timm") for name in _FOR_ONE_SIZE),
    Entry("levit_128s", _model("levit_128s"), images(224), package="timm"),
]
