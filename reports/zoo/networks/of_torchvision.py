"""Classifiers, detectors and others of torchvision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torchvision import models

from ..entries import Entry, images

_CLASSIFIERS = (
    *("vgg11_bn", "resnet18", "resnet50", "wide_resnet50_2", "densenet121", "squeezenet1_1"),
    *("mobilenet_v2", "mobilenet_v3_large", "mnasnet1_0", "shufflenet_v2_x1_0"),
    *("efficientnet_b0", "efficientnet_v2_s", "regnet_y_400mf", "convnext_tiny", "swin_t"),
)


def _model(name: str, **arguments: Any) -> Callable[[], nn.Module]:
    return lambda: models.get_model(name, weights=None, **arguments)


def _on_backbone(name: str, **arguments: Any) -> Callable[[], nn.Module]:
    return _model(name, weights_backbone=None, **arguments)


def _one_image(size: int) -> Callable[[], tuple[list[torch.Tensor]]]:
    """What makes the one argument of a detector, a list of images."""
    return lambda: ([torch.rand(3, size, size)],)


def _two_images() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(1, 3, 128, 128), torch.randn(1, 3, 128, 128)


ENTRIES = [
    *(Entry(name, _model(name), images()) for name in _CLASSIFIERS),
    Entry("alexnet", _model("alexnet"), images(96)),
    Entry("googlenet", _model("googlenet", aux_logits=False, init_weights=False), images()),
    Entry("vit_b_16", _model("vit_b_16", image_size=64), images()),
    Entry("fcn_resnet50", _on_backbone("fcn_resnet50"), images()),
    Entry("deeplabv3_mobilenet_v3_large", _on_backbone("deeplabv3_mobilenet_v3_large"), images()),
    Entry("lraspp_mobilenet_v3_large", _on_backbone("lraspp_mobilenet_v3_large"), images()),
    Entry(
        "ssdlite320_mobilenet_v3_large",
        _on_backbone("ssdlite320_mobilenet_v3_large"),
        _one_image(320),
    ),
    Entry(
        "fasterrcnn_mobilenet_v3_large_fpn",
        _on_backbone("fasterrcnn_mobilenet_v3_large_fpn", min_size=128, max_size=128),
        _one_image(128),
    ),
    Entry("raft_small", _model("raft_small"), _two_images),
    Entry("r3d_18", _model("r3d_18"), lambda: torch.randn(2, 3, 4, 32, 32)),
]
