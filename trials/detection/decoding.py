"""Conversion of YOLOv2's outputs to detections: scores and non-maximum suppression."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms

from nni_stress.utils.module_modes import evaluating

from .boxes import to_corners
from .predictions import predicted_boxes, split_outputs

Anchors = Sequence[tuple[float, float]] | Tensor  # (width, height) of each anchor, in cells


class Detections(NamedTuple):
    """Detected objects of one image, in order of falling score.

    Attributes
    ----------
    boxes
        n x 4: left, top, right, bottom in fractions of the image.
    scores
        n, in [0, 1].
    labels
        n class numbers.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def decode(outputs: Tensor, anchors: Anchors) -> tuple[Tensor, Tensor]:
    """Compute box and scores of every prediction.

    Parameters
    ----------
    outputs
        B x A * (5 + C) x H x W, as the network returns them.
    anchors
        (width, height) of each of the A anchors, in cells.

    Returns
    -------
    boxes : torch.Tensor
        B x P x 4: left, top, right, bottom in fractions of the image, not clipped at its border.
        P = A * H * W counts anchors, then rows, then columns.
    scores : torch.Tensor
        B x P x C: objectness times the probability of each class.

    Raises
    ------
    ValueError
        If the outputs do not fit the anchors.

    Examples
    --------
    >>> boxes, scores = decode(torch.zeros(1, 5 + 2, 4, 4), [(1.0, 1.0)])
    >>> boxes.shape, scores.shape
    (torch.Size([1, 16, 4]), torch.Size([1, 16, 2]))
    """
    anchors = torch.as_tensor(anchors, dtype=outputs.dtype, device=outputs.device)
    predictions = split_outputs(outputs, len(anchors))
    scores = torch.sigmoid(predictions.objectness)[..., None] * predictions.classes.softmax(-1)
    boxes = to_corners(predicted_boxes(predictions, anchors))
    return boxes.flatten(1, 3), scores.flatten(1, 3)


@torch.no_grad()
def detect(
    outputs: Tensor,
    anchors: Anchors,
    score_threshold: float = 0.005,
    iou_threshold: float = 0.45,
    max_detections: int = 200,
) -> list[Detections]:
    """Detect objects, with non-maximum suppression within each class.

    Parameters
    ----------
    outputs, anchors
        As for :func:`decode`.
    score_threshold
        Detections have a higher score. The default is Darknet's for computing the mAP.
    iou_threshold
        Of two boxes of a class with a higher IoU, the one of the lower score is dropped. The
        default is Darknet's.
    max_detections
        Largest number of detections of an image; those of the highest scores are kept. Five times
        as many predictions take part in the suppression.

    Returns
    -------
    list of Detections
        Detections of each image, clipped at its border. Outputs that are NaN detect nothing.

    Raises
    ------
    ValueError
        If the outputs do not fit the anchors.
    """
    detections = []
    for boxes, scores in zip(*decode(outputs, anchors)):
        classes = scores.shape[1]
        scores = torch.where(scores > score_threshold, scores, 0.0).flatten()
        candidates = min(5 * max_detections, int((scores > 0).sum()))
        scores, index = scores.topk(candidates)
        boxes, labels = boxes[index // classes], index % classes
        keep = batched_nms(boxes, scores, labels, iou_threshold)[:max_detections]
        detections.append(Detections(boxes[keep].clamp(0, 1), scores[keep], labels[keep]))
    return detections


@torch.no_grad()
def detect_all(
    network: nn.Module,
    batches: Iterable[Tensor],
    anchors: Anchors,
    score_threshold: float = 0.005,
    iou_threshold: float = 0.45,
    max_detections: int = 200,
) -> list[Detections]:
    """Detect objects in all images of some batches, with the network in evaluation mode.

    Parameters
    ----------
    network
        The network. Its mode is restored.
    batches
        Batches of images, B x 3 x H x W.
    anchors, score_threshold, iou_threshold, max_detections
        As for :func:`detect`.

    Returns
    -------
    list of Detections
        Detections of each image.
    """
    limits = (score_threshold, iou_threshold, max_detections)
    with evaluating(network):
        return [
            detections
            for images in batches
            for detections in detect(network(images), anchors, *limits)
        ]
