"""Mean average precision, as the PASCAL VOC challenges define it, and with COCO's 101 points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .boxes import corners, overlaps
from .decoding import Detections
from .targets import present


class Matches(NamedTuple):
    """Every detection beside the truth of its image and class that it overlaps most; all images together."""

    scores: Tensor
    labels: Tensor
    overlaps: Tensor  # IoU with that truth; -1 without one
    truths: Tensor  # its number among all truths; -1 without one
    truth_labels: Tensor
    difficult: Tensor


def match(
    detections: Sequence[Detections],
    targets: Sequence[Tensor] | Tensor,
    difficult: Sequence[Tensor] | Tensor | None = None,
) -> Matches:
    """Find the truth that each detection tells of.

    Parameters
    ----------
    detections
        Of each image.
    targets
        Truths of each image, n x 5: class, centre x, centre y, width, height, the last four in shares of the image. Rows of
        class -1 or without an area are no truths.
    difficult
        Of each image, which rows are difficult, n bool: these need not be found, and to find them is no mistake.

    Raises
    ------
    ValueError
        If there are not as many images of the one as of the other, or none.
    """
    if not len(detections) == len(targets) > 0 or (
        difficult is not None and len(difficult) != len(targets)
    ):
        raise ValueError(
            f"detections and targets must be of the same images, but got {len(detections)} and {len(targets)}"
            + ("" if difficult is None else f", difficult of {len(difficult)}")
        )
    found, truth_labels, flags, known = [], [], [], 0
    for index, (seen, rows) in enumerate(zip(detections, targets)):
        there = present(rows)
        truths = rows[there].to(seen.boxes)
        alike = overlaps(seen.boxes[:, None], corners(truths[:, 1:])[None])
        alike = torch.where(seen.labels[:, None] == truths[:, 0], alike, -1.0)
        best, which = torch.nn.functional.pad(alike, (0, 1), value=-1.0).max(1)
        found.append((seen.scores, seen.labels, best, torch.where(best >= 0, which + known, -1)))
        truth_labels.append(truths[:, 0].long())
        flags.append(
            torch.zeros(len(truths), dtype=torch.bool)
            if difficult is None
            else difficult[index][there].bool()
        )
        known += len(truths)
    return Matches(*(torch.cat(parts).cpu() for parts in (*zip(*found), truth_labels, flags)))


def average_precisions(
    matches: Matches, num_classes: int, overlap: float = 0.5, points: int | None = None
) -> Tensor:
    """Average precision of each class.

    Detections are judged in order of their scores (of equal scores, in the order they came). One is right if its IoU with
    its truth is at least `overlap` and it is the first to tell of it; one that tells of a difficult truth is passed over;
    any other is wrong. Precision at a recall is the best at that recall or any above.

    Parameters
    ----------
    matches
        From :func:`match`.
    num_classes
        Number of classes.
    overlap
        Least IoU of a detection with its truth.
    points
        At how many recalls, evenly from 0 to 1, precision is averaged: 11 as in VOC 2007, 101 as in COCO; by default it is
        integrated over all recalls, as in VOC from 2010 on.

    Returns
    -------
    Tensor
        num_classes numbers in [0, 1]; nan for a class without truths.
    """
    order = matches.scores.argsort(descending=True, stable=True)
    labels, truths = matches.labels[order], matches.truths[order]
    hits = (truths >= 0) & (matches.overlaps[order] >= overlap)
    excused = torch.zeros_like(hits)
    excused[hits] = matches.difficult[truths[hits]]
    hits &= _first(truths, hits)
    known = matches.truth_labels[~matches.difficult].bincount(minlength=num_classes)
    return torch.stack(
        [
            _average(hits[(labels == label) & ~excused].cumsum(0), int(known[label]), points)
            for label in range(num_classes)
        ]
    )


def mean_average_precision(
    detections: Sequence[Detections],
    targets: Sequence[Tensor] | Tensor,
    num_classes: int,
    difficult: Sequence[Tensor] | Tensor | None = None,
    overlap: float = 0.5,
    points: int | None = None,
) -> float:
    """Mean over the classes that have truths of their average precision, see :func:`match` and :func:`average_precisions`.

    Raises
    ------
    ValueError
        If no image has a truth.
    """
    found = average_precisions(match(detections, targets, difficult), num_classes, overlap, points)
    if found.isnan().all():
        raise ValueError(
            f"mean average precision needs truths, but {len(targets)} images have none of "
            f"{num_classes} classes"
        )
    return float(found.nanmean())


def _first(truths: Tensor, hits: Tensor) -> Tensor:
    """Which hits are the first on their truth."""
    positions = torch.arange(len(truths))
    earliest = torch.full((int(truths.max()) + 1 if hits.any() else 0,), len(truths))
    earliest = earliest.scatter_reduce(0, truths[hits], positions[hits], "amin")
    first = torch.zeros_like(hits)
    first[hits] = earliest[truths[hits]] == positions[hits]
    return first


def _average(right: Tensor, truths: int, points: int | None) -> Tensor:
    """Average precision from how many of the first 1, 2, ... detections are right."""
    if not truths:
        return torch.tensor(torch.nan, dtype=torch.float64)
    precision = right.double() / torch.arange(1, len(right) + 1)
    best = torch.cat(
        [
            precision.flip(0).cummax(0).values.flip(0) if len(right) else precision,
            precision.new_zeros(1),
        ]
    )
    if points is None:
        gains = torch.diff(right, prepend=right.new_zeros(1))
        return (best[:-1] * gains).sum() / truths
    needed = torch.arange(points) * truths  # right / truths >= k / (points - 1), in whole numbers
    return best[torch.searchsorted(right * (points - 1), needed)].mean()
