"""The loss of YOLOv2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .boxes import corners, overlaps
from .predictions import Predictions, boxes, split
from .targets import Assignment, assign, present


class Terms(NamedTuple):
    """The parts of the loss, weighted, each a mean over the images of the batch."""

    coordinates: Tensor
    object: Tensor
    no_object: Tensor
    classes: Tensor


@dataclass(frozen=True)
class YOLOv2Loss:
    """Loss of (outputs, targets) as Redmon and Farhadi (arXiv 1612.08242) and Darknet's region layer have it.

    Every truth is answered for by one prediction, see :func:`trials.detection.targets.assign`. With t the truth and p the
    prediction, both x and y in their cell, and width and height as logarithms of their ratio to the anchor::

        coordinates   coordinates * (2 - width * height) * 1/2 |t - p|^2, over predictions that answer for a truth
        object        object * 1/2 (IoU of truth and predicted box - objectness)^2, over the same
        no object     no_object * 1/2 objectness^2, over all others but those whose IoU with a truth is above `threshold`
        classes       classes * cross-entropy of the softmax over classes, over predictions that answer for a truth

    The halves make gradients those of Darknet. No gradient flows through an IoU. Darknet's pull towards the anchors in the
    first 12,800 images is left out.

    Parameters
    ----------
    anchors
        (width, height) of each anchor, in cells.
    coordinates, object, no_object, classes
        Weights of the terms; the defaults are Darknet's.
    threshold
        IoU from which a prediction that answers for no truth may have any objectness.
    """

    anchors: Sequence[tuple[float, float]]
    coordinates: float = 1.0
    object: float = 5.0
    no_object: float = 1.0
    classes: float = 1.0
    threshold: float = 0.6

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss, a scalar: the sum of its terms.

        Parameters
        ----------
        outputs
            B x A * (5 + C) x H x W, as the network makes them.
        targets
            B x N x 5: class, centre x, centre y, width, height, the last four in shares of the image. Rows of class -1, as
            padding has, or without an area are no boxes.

        Raises
        ------
        ValueError
            If shapes do not go together, or a class is none of the network's.
        """
        return sum(self.terms(outputs, targets))

    def terms(self, outputs: Tensor, targets: Tensor) -> Terms:
        """The parts of the loss; arguments and errors are those of the loss itself."""
        outputs = (
            outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs
        )  # IoUs need more digits
        anchors = torch.as_tensor(self.anchors, dtype=outputs.dtype, device=outputs.device)
        predictions = split(outputs, len(anchors))
        targets = targets.to(outputs)
        self._check(predictions, targets)
        assigned = assign(targets, anchors, *outputs.shape[2:])
        with torch.no_grad():
            predicted = boxes(predictions, anchors)
            answered = overlaps(corners(predicted[assigned.where]), corners(assigned.truths[:, 1:]))
            absent = _best_overlaps(predicted, targets) <= self.threshold
            absent[assigned.where] = False
        objectness = torch.sigmoid(predictions.objectness)
        sums = (
            self.coordinates * _coordinates(predictions, assigned, anchors),
            self.object * _half_squares(answered - objectness[assigned.where]),
            self.no_object * _half_squares(objectness * absent),
            self.classes
            * functional.cross_entropy(
                predictions.classes[assigned.where], assigned.truths[:, 0].long(), reduction="sum"
            ),
        )
        return Terms(*(value / len(outputs) for value in sums))

    @staticmethod
    def _check(predictions: Predictions, targets: Tensor) -> None:
        images, classes = len(predictions.objectness), predictions.classes.shape[-1]
        if targets.dim() != 3 or targets.shape[2] != 5 or len(targets) != images:
            raise ValueError(
                f"targets for {images} images must be {images} x N x 5, "
                f"but got {' x '.join(map(str, targets.shape))}"
            )
        if targets.numel() and float(targets[..., 0].max()) >= classes:
            raise ValueError(
                f"the network has {classes} classes, but a target is of class {int(targets[..., 0].max())}"
            )


def _half_squares(values: Tensor) -> Tensor:
    return values.square().sum() / 2


def _coordinates(predictions: Predictions, assigned: Assignment, anchors: Tensor) -> Tensor:
    height, width = predictions.objectness.shape[2:]
    grid = anchors.new_tensor([width, height])
    centres, sizes = assigned.truths[:, 1:3] * grid, assigned.truths[:, 3:] * grid
    weights = (2 - assigned.truths[:, 3:].prod(-1)).sqrt()[:, None]  # under the square
    in_cell = centres - torch.stack([assigned.column, assigned.row], -1)
    away = in_cell - torch.sigmoid(predictions.centres[assigned.where])
    ratios = (sizes / anchors[assigned.anchor]).log() - predictions.sizes[assigned.where]
    return _half_squares(weights * away) + _half_squares(weights * ratios)


def _best_overlaps(predicted: Tensor, targets: Tensor) -> Tensor:
    """The largest IoU of every predicted box, B x A x H x W x 4, with a truth of its image."""
    found = overlaps(
        corners(predicted).flatten(1, 3)[:, :, None], corners(targets[..., 1:])[:, None]
    )
    found = functional.pad(
        found * present(targets)[:, None], (0, 1)
    )  # an image without truths has overlap 0
    return found.amax(-1).view(predicted.shape[:-1])
