"""YOLOv2 (Redmon and Farhadi, arXiv 1612.08242), as Darknet's yolov2-voc.cfg has it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STRIDE = 32  # pixels between the cells of the output


class YOLOv2(nn.Module):
    """Layers are defined in the order in which Darknet keeps their weights."""

    def __init__(self, num_classes: int, width: float, anchors: int, darknet_reorg: bool):
        super().__init__()

        def layers(inputs: int, *plan) -> tuple[nn.Sequential, int]:
            """Layers of a plan of (filters, size of the kernel), or "pool"; and the last layer's filters."""
            built = []
            for entry in plan:
                if entry == "pool":
                    built.append(nn.MaxPool2d(2))
                    continue
                outputs, size = filters(entry[0], width), entry[1]
                built.append(convolution(inputs, outputs, size))
                inputs = outputs
            return nn.Sequential(*built), inputs

        self.fine, fine = layers(
            3,
            (32, 3),
            "pool",
            (64, 3),
            "pool",
            (128, 3),
            (64, 1),
            (128, 3),
            "pool",
            (256, 3),
            (128, 1),
            (256, 3),
            "pool",
            (512, 3),
            (256, 1),
            (512, 3),
            (256, 1),
            (512, 3),
        )
        self.coarse, coarse = layers(
            fine, "pool", (1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3)
        )
        self.neck, coarse = layers(coarse, (1024, 3), (1024, 3))
        self.passthrough, moved = layers(fine, (64, 1))
        self.head, both = layers(4 * moved + coarse, (1024, 3))
        self.output = nn.Conv2d(both, anchors * (5 + num_classes), 1)
        self._reorg = darknets_reorg if darknet_reorg else reorg

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[2] % STRIDE or images.shape[3] % STRIDE:
            raise ValueError(
                f"YOLOv2 takes images whose height and width are multiples of {STRIDE}, but got "
                f"{images.shape[2]}x{images.shape[3]}"
            )
        fine = self.fine(images)
        coarse = self.neck(self.coarse(fine))
        moved = self._reorg(self.passthrough(fine))
        return self.output(self.head(torch.cat([moved, coarse], 1)))


def filters(published: int, width: float) -> int:
    """How many filters a layer has at a width."""
    return max(1, round(published * width))


def convolution(inputs: int, outputs: int, size: int) -> nn.Sequential:
    """A convolution that keeps height and width, its batch norm, and a leaky rectifier of slope 0.1."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.1, inplace=True),
    )


def reorg(features: Tensor) -> Tensor:
    """Make channels of the four positions of each 2x2 square: B x C x H x W becomes B x 4C x H/2 x W/2.

    Channel (2 * row + column) * C + c is channel c at that row and column of its squares.
    """
    batch, channels, height, width = features.shape
    squares = features.view(batch, channels, height // 2, 2, width // 2, 2).permute(
        0, 3, 5, 1, 2, 4
    )
    return squares.reshape(batch, channels * 4, height // 2, width // 2)


def darknets_reorg(features: Tensor) -> Tensor:
    """What Darknet's reorg layer does with the same tensor, and so what its published weights were trained with.

    It takes the memory of C x H x W for that of C/4 x 2H x 2W, makes channels of the squares of that, and takes the
    result for 4C x H/2 x W/2. Channel q of the answer holds values of channel q of :func:`reorg`'s, but some from a row
    beside, and in border rows from a neighbouring channel: no order of channels makes one of the other.
    """
    batch, channels, height, width = features.shape
    fours = features.reshape(
        batch, channels // 4, 4, height, width
    )  # written out: these channels cannot be parted
    squares = fours.reshape(batch, channels // 4, height, 2, width, 2).permute(0, 3, 5, 1, 2, 4)
    return squares.reshape(batch, channels * 4, height // 2, width // 2)


def yolov2(
    num_classes: int, width: float = 1.0, anchors: int = 5, darknet_reorg: bool = False
) -> nn.Module:
    """Darknet-19 without its classifier, and the detection head with its passthrough.

    At 20 classes and 5 anchors: 50,655,389 synapses and biases, and 14.7 GMAC at 416x416.

    Parameters
    ----------
    num_classes
        Number of classes.
    width
        Every layer but the last has this times YOLOv2's number of filters, rounded.
    anchors
        Number of anchors, of which each cell of the output predicts one box each.
    darknet_reorg
        Reorganise as Darknet does, row by row out of step: for the very outputs of published weights. The passthrough
        convolution can then lose no clusters.

    Returns
    -------
    torch.nn.Module
        Network of B x 3 x H x W images, H and W multiples of 32, to B x anchors * (5 + num_classes) x H/32 x W/32: of
        each anchor x, y, width, height, objectness and the classes, before any sigmoid, exponential or softmax.

    Raises
    ------
    ValueError
        If there would be no class, anchor or filter, or Darknet's reorg has no multiple of 4 channels.
    """
    if num_classes < 1 or anchors < 1:
        raise ValueError(
            f"YOLOv2 needs at least one class and one anchor, but got {num_classes} and {anchors}"
        )
    if not width > 0:
        raise ValueError(f"width must be positive, but got {width}")
    moved = filters(64, width)
    if darknet_reorg and moved % 4:
        raise ValueError(
            f"Darknet's reorg needs a multiple of 4 channels, but width={width} gives {moved}"
        )
    return YOLOv2(num_classes, width, anchors, darknet_reorg)
