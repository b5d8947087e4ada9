"""YOLOv2 (Redmon and Farhadi, arXiv 1612.08242) with the layers of Darknet's yolov2-voc.cfg."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STRIDE = 32  # pixels of the image per cell of the output grid

_POOL = "pool"
_Plan = tuple[tuple[int, int] | str, ...]  # (filters, kernel size) of each convolution, or "pool"

# Darknet-19 without its classifier, in two parts: the passthrough leaves from between them.
_FINE: _Plan = (
    (32, 3),
    _POOL,
    (64, 3),
    _POOL,
    (128, 3),
    (64, 1),
    (128, 3),
    _POOL,
    (256, 3),
    (128, 1),
    (256, 3),
    _POOL,
    (512, 3),
    (256, 1),
    (512, 3),
    (256, 1),
    (512, 3),
)
_COARSE: _Plan = (_POOL, (1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3))
_NECK: _Plan = ((1024, 3), (1024, 3))
_PASSTHROUGH: _Plan = ((64, 1),)
_HEAD: _Plan = ((1024, 3),)


class YOLOv2(nn.Module):
    """The network that :func:`yolov2` creates.

    Layers are defined in the order in which Darknet stores their weights.
    """

    def __init__(self, num_classes: int, width: float, anchors: int, darknet_reorg: bool) -> None:
        super().__init__()
        self.fine, fine = _build(3, _FINE, width)
        self.coarse, coarse = _build(fine, _COARSE, width)
        self.neck, coarse = _build(coarse, _NECK, width)
        self.passthrough, passed = _build(fine, _PASSTHROUGH, width)
        self.head, joined = _build(4 * passed + coarse, _HEAD, width)
        self.output = nn.Conv2d(joined, anchors * (5 + num_classes), 1)
        self._reorg = reorg_darknet if darknet_reorg else reorg

    def forward(self, images: Tensor) -> Tensor:
        """Compute raw predictions; see :func:`yolov2` for the shapes."""
        height, width = images.shape[2:]
        if height % STRIDE or width % STRIDE:
            raise ValueError(
                f"YOLOv2 takes images whose height and width are multiples of {STRIDE}, but got "
                f"{height}x{width}"
            )
        fine = self.fine(images)
        coarse = self.neck(self.coarse(fine))
        passed = self._reorg(self.passthrough(fine))
        return self.output(self.head(torch.cat([passed, coarse], 1)))


def _build(channels: int, plan: _Plan, width: float) -> tuple[nn.Sequential, int]:
    """Layers of a plan, and the number of channels that they return."""
    layers: list[nn.Module] = []
    for entry in plan:
        if isinstance(entry, str):
            layers.append(nn.MaxPool2d(2))
            continue
        filters, kernel_size = entry
        outputs = scaled_filters(filters, width)
        layers.append(conv_block(channels, outputs, kernel_size))
        channels = outputs
    return nn.Sequential(*layers), channels


def scaled_filters(filters: int, width: float) -> int:
    """Number of filters of a layer in a network that is `width` times as wide as YOLOv2.

    Examples
    --------
    >>> scaled_filters(64, 0.25)
    16
    """
    return max(1, round(filters * width))


def conv_block(inputs: int, outputs: int, kernel_size: int) -> nn.Sequential:
    """Convolution that keeps height and width, batch norm, and leaky ReLU of slope 0.1."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.1, inplace=True),
    )


def reorg(features: Tensor) -> Tensor:
    """Rearrange each 2x2 square of pixels into channels (space to depth).

    Parameters
    ----------
    features
        B x C x H x W; H and W are even.

    Returns
    -------
    torch.Tensor
        B x 4C x H/2 x W/2. Channel (2 * row + column) * C + c holds what channel c had at that row
        and column of each square.
    """
    batch, channels, height, width = features.shape
    squares = features.view(batch, channels, height // 2, 2, width // 2, 2)
    squares = squares.permute(0, 3, 5, 1, 2, 4)
    return squares.reshape(batch, channels * 4, height // 2, width // 2)


def reorg_darknet(features: Tensor) -> Tensor:
    """Rearrange pixels into channels exactly as Darknet's reorg layer does.

    Darknet reads the memory of the C x H x W features as C/4 x 2H x 2W, moves each 2x2 square of
    that into channels, and reads the result as 4C x H/2 x W/2. Published weights were trained with
    this layer. Its output channel q holds values of the same channel of :func:`reorg`, but some of
    them come from a neighbouring row, and in border rows from a neighbouring channel. No
    permutation of channels turns one into the other.

    Parameters
    ----------
    features
        B x C x H x W; C is a multiple of 4, H and W are even.

    Returns
    -------
    torch.Tensor
        B x 4C x H/2 x W/2.
    """
    batch, channels, height, width = features.shape
    # The quarters get a dimension of their own: synthesis then sees that these channels belong
    # together, and removes none of them.
    quarters = features.reshape(batch, channels // 4, 4, height, width)
    squares = quarters.reshape(batch, channels // 4, height, 2, width, 2)
    squares = squares.permute(0, 3, 5, 1, 2, 4)
    return squares.reshape(batch, channels * 4, height // 2, width // 2)


def yolov2(
    num_classes: int, width: float = 1.0, anchors: int = 5, darknet_reorg: bool = False
) -> nn.Module:
    """Create an untrained YOLOv2: Darknet-19 without its classifier, and the detection head.

    At 20 classes and 5 anchors it has 50,655,389 parameters, and takes 14.7 billion
    multiply-accumulates for a 416x416 image.

    Parameters
    ----------
    num_classes
        Number of classes.
    width
        Factor of the number of filters of every layer but the last; the result is rounded.
    anchors
        Number of anchors. Each cell of the output grid predicts one box per anchor.
    darknet_reorg
        Whether the passthrough uses :func:`reorg_darknet`, which reproduces the outputs of
        published weights. The passthrough convolution can then lose no clusters (output channels).

    Returns
    -------
    torch.nn.Module
        Network from B x 3 x H x W images, H and W multiples of 32, to
        B x anchors * (5 + num_classes) x H/32 x W/32: for each anchor x, y, width, height,
        objectness and the classes, before sigmoid, exponential and softmax.

    Raises
    ------
    ValueError
        If there would be no class, anchor or filter, or if Darknet's reorg would get a number of
        channels that is no multiple of 4.

    Examples
    --------
    >>> yolov2(num_classes=20, width=0.125)(torch.zeros(1, 3, 64, 96)).shape
    torch.Size([1, 125, 2, 3])
    """
    if num_classes < 1 or anchors < 1:
        raise ValueError(
            f"YOLOv2 needs at least one class and one anchor, but got {num_classes} and {anchors}"
        )
    if not width > 0:
        raise ValueError(f"width must be positive, but got {width}")
    passed = scaled_filters(64, width)
    if darknet_reorg and passed % 4:
        raise ValueError(
            f"Darknet's reorg needs a multiple of 4 channels, but width={width} gives {passed}"
        )
    return YOLOv2(num_classes, width, anchors, darknet_reorg)
