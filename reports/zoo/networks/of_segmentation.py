"""Networks of segmentation-models-pytorch."""

from __future__ import annotations

from torch import nn

from ..entries import Entry, images

_PACKAGE = "segmentation_models_pytorch"


def _unet() -> nn.Module:
    import segmentation_models_pytorch as models

    return models.Unet(encoder_name="resnet18", encoder_weights=None)


ENTRIES = [Entry("smp_unet", _unet, images(), package=_PACKAGE)]
