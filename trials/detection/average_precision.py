"""Mean average precision (mAP) as PASCAL VOC defines it and, at 101 points, as COCO does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .boxes import iou, to_corners
from .decoding import Detections
from .targets import is_box


class Matches(NamedTuple):
    """The D detections and T true boxes of all images together.

    Each detection is matched to the true box of its image and class with which it has the highest
    IoU.

    Attributes
    ----------
    scores, labels
        Score and class number of each detection, D.
    ious
        IoU of each detection with its true box, D; -1 if there is none.
    indices
        Index of that true box among all T, D; -1 if there is none.
    true_labels
        Class number of each true box, T.
    difficult
        Whether each true box is difficult, T.
    """

    scores: Tensor
    labels: Tensor
    ious: Tensor
    indices: Tensor
    true_labels: Tensor
    difficult: Tensor


def match_detections(
    detections: Sequence[Detections],
    targets: Sequence[Tensor] | Tensor,
    difficult: Sequence[Tensor] | Tensor | None = None,
) -> Matches:
    """Match each detection to a true box.

    Parameters
    ----------
    detections
        Detections of each image.
    targets
        True boxes of each image, n x 5: rows (class, centre x, centre y, width, height), the last
        four in fractions of the image. Rows of class -1, and rows without an area, are padding.
    difficult
        For each image n booleans: whether it counts neither for nor against the network to detect
        the object. By default no object is difficult.

    Returns
    -------
    Matches
        Detections and true boxes of all images, on the CPU.

    Raises
    ------
    ValueError
        If the numbers of images differ, or there is none.
    """
    _check(detections, targets, difficult)
    matched = []
    true_labels = []
    flags = []
    known = 0
    for index, (found, rows) in enumerate(zip(detections, targets)):
        chosen = is_box(rows)
        boxes = rows[chosen].to(found.boxes)
        ious = iou(found.boxes[:, None], to_corners(boxes[:, 1:])[None])
        ious = torch.where(found.labels[:, None] == boxes[:, 0], ious, -1.0)
        best, which = functional.pad(ious, (0, 1), value=-1.0).max(1)  # an image may have no box
        indices = torch.where(best >= 0, which + known, -1)
        matched.append((found.scores, found.labels, best, indices))
        true_labels.append(boxes[:, 0].long())
        none = torch.zeros(len(boxes), dtype=torch.bool)
        flags.append(none if difficult is None else difficult[index][chosen].bool())
        known += len(boxes)
    columns = [*map(list, zip(*matched)), true_labels, flags]
    return Matches(*(torch.cat(column).cpu() for column in columns))


def _check(
    detections: Sequence[Detections],
    targets: Sequence[Tensor] | Tensor,
    difficult: Sequence[Tensor] | Tensor | None,
) -> None:
    images = len(detections)
    flagged = images if difficult is None else len(difficult)
    if not images == len(targets) == flagged > 0:
        raise ValueError(
            f"detections and targets must be of the same images, but got {images} and "
            f"{len(targets)}" + ("" if difficult is None else f", difficult of {flagged}")
        )


def average_precisions(
    matches: Matches, num_classes: int, iou_threshold: float = 0.5, points: int | None = None
) -> Tensor:
    """Compute the average precision of each class.

    Detections count in order of falling score. A detection is correct if its IoU with its true box
    is at least the threshold and no earlier detection found that box. If the box is difficult, it
    is ignored. Any other detection is wrong. The precision at a recall is the highest precision at
    that recall or above.

    Parameters
    ----------
    matches
        Result of :func:`match_detections`.
    num_classes
        Number of classes C.
    iou_threshold
        Least IoU of a correct detection.
    points
        Number of recalls, evenly spaced from 0 to 1, at which precision is averaged: 11 for VOC
        2007, 101 for COCO. By default precision is integrated over all recalls, as VOC does from
        2010 on.

    Returns
    -------
    torch.Tensor
        C numbers in [0, 1]; NaN for classes without a true box.
    """
    order = matches.scores.argsort(descending=True, stable=True)
    labels, indices = matches.labels[order], matches.indices[order]
    hits = (indices >= 0) & (matches.ious[order] >= iou_threshold)
    ignored = torch.zeros_like(hits)
    ignored[hits] = matches.difficult[indices[hits]]
    hits &= _is_first_hit(indices, hits)
    counts = matches.true_labels[~matches.difficult].bincount(minlength=num_classes)
    return torch.stack(
        [
            _average(hits[(labels == label) & ~ignored].cumsum(0), int(counts[label]), points)
            for label in range(num_classes)
        ]
    )


def mean_average_precision(
    detections: Sequence[Detections],
    targets: Sequence[Tensor] | Tensor,
    num_classes: int,
    difficult: Sequence[Tensor] | Tensor | None = None,
    iou_threshold: float = 0.5,
    points: int | None = None,
) -> float:
    """Compute the mean average precision over all classes that have a true box.

    Parameters
    ----------
    detections, targets, difficult
        As for :func:`match_detections`.
    num_classes, iou_threshold, points
        As for :func:`average_precisions`.

    Returns
    -------
    float
        The mAP, in [0, 1].

    Raises
    ------
    ValueError
        If no image has a true box.

    Examples
    --------
    >>> box = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
    >>> found = Detections(box, scores=torch.tensor([0.9]), labels=torch.tensor([0]))
    >>> mean_average_precision([found], [torch.tensor([[0, 0.25, 0.25, 0.5, 0.5]])], num_classes=1)
    1.0
    """
    matches = match_detections(detections, targets, difficult)
    precisions = average_precisions(matches, num_classes, iou_threshold, points)
    if precisions.isnan().all():
        raise ValueError(
            f"mean average precision needs true boxes, but {len(targets)} images have none of "
            f"{num_classes} classes"
        )
    return float(precisions.nanmean())


def _is_first_hit(indices: Tensor, hits: Tensor) -> Tensor:
    """Which hits are the first on their true box."""
    positions = torch.arange(len(indices))
    earliest = torch.full((int(indices.max()) + 1 if hits.any() else 0,), len(indices))
    earliest = earliest.scatter_reduce(0, indices[hits], positions[hits], "amin")
    first = torch.zeros_like(hits)
    first[hits] = earliest[indices[hits]] == positions[hits]
    return first


def _average(correct: Tensor, true_boxes: int, points: int | None) -> Tensor:
    """Average precision, given how many of the first 1, 2, ... detections are correct."""
    if not true_boxes:
        return torch.tensor(torch.nan, dtype=torch.float64)
    precision = correct.double() / torch.arange(1, len(correct) + 1)
    if len(correct):
        precision = precision.flip(0).cummax(0).values.flip(0)
    best = torch.cat([precision, precision.new_zeros(1)])
    if points is None:
        gains = torch.diff(correct, prepend=correct.new_zeros(1))
        return (best[:-1] * gains).sum() / true_boxes
    # Recalls are compared in whole numbers: correct / true_boxes >= k / (points - 1).
    needed = torch.arange(points) * true_boxes
    return best[torch.searchsorted(correct * (points - 1), needed)].mean()
