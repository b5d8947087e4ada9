"""From YOLOv2's outputs to detections: scores, and of boxes that tell the same thing the best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms

from nni_stress.utils.module_modes import evaluating

from .boxes import corners
from .predictions import boxes, split


class Detections(NamedTuple):
    """What is found in one image, best first."""

    boxes: Tensor  # n x 4: left, top, right, bottom, in shares of the image
    scores: Tensor  # n, in [0, 1]
    labels: Tensor  # n, classes


def decode(
    outputs: Tensor, anchors: Sequence[tuple[float, float]] | Tensor
) -> tuple[Tensor, Tensor]:
    """Boxes and scores of every prediction.

    Parameters
    ----------
    outputs
        B x A * (5 + C) x H x W, as the network makes them.
    anchors
        (width, height) of each anchor, in cells.

    Returns
    -------
    (Tensor, Tensor)
        Boxes, B x P x 4 (left, top, right, bottom, in shares of the image, not cut at its border), and scores, B x P x C:
        objectness times the class's probability. P counts anchors, then rows, then columns.

    Raises
    ------
    ValueError
        If the outputs do not suit the anchors.
    """
    anchors = torch.as_tensor(anchors, dtype=outputs.dtype, device=outputs.device)
    predictions = split(outputs, len(anchors))
    scores = torch.sigmoid(predictions.objectness)[..., None] * predictions.classes.softmax(-1)
    return corners(boxes(predictions, anchors)).flatten(1, 3), scores.flatten(1, 3)


@torch.no_grad()
def detect(
    outputs: Tensor,
    anchors: Sequence[tuple[float, float]] | Tensor,
    least: float = 0.005,
    overlap: float = 0.45,
    most: int = 200,
) -> list[Detections]:
    """Detections in every image of a batch, after non-maximum suppression within each class.

    Parameters
    ----------
    outputs, anchors
        As for :func:`decode`.
    least
        A detection has a higher score; the default, for the mean average precision, is Darknet's, as is the next.
    overlap
        Of two boxes of a class with a larger IoU, the one of the lower score goes.
    most
        How many detections an image has at most, the best; five times as many enter the suppression.

    Returns
    -------
    list
        Detections of each image, cut at its border. Outputs that are no numbers detect nothing.
    """
    found = []
    for places, scores in zip(*decode(outputs, anchors)):
        classes = scores.shape[1]
        scores = torch.where(scores > least, scores, 0.0).flatten()
        scores, index = scores.topk(min(5 * most, int((scores > 0).sum())))
        place, label = index // classes, index % classes
        keep = batched_nms(places[place], scores, label, overlap)[:most]
        found.append(Detections(places[place[keep]].clamp(0, 1), scores[keep], label[keep]))
    return found


@torch.no_grad()
def detect_all(
    network: nn.Module,
    batches: Iterable[Tensor],
    anchors: Sequence[tuple[float, float]] | Tensor,
    **arguments,
) -> list[Detections]:
    """Detections of a network, in evaluation mode, in all images of some batches of B x 3 x H x W; see :func:`detect`."""
    with evaluating(network):
        return [
            found for images in batches for found in detect(network(images), anchors, **arguments)
        ]
