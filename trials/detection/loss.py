"""Loss function of YOLOv2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .boxes import iou, to_corners
from .predictions import Predictions, predicted_boxes, split_outputs
from .targets import Assignment, assign, is_box


class LossTerms(NamedTuple):
    """Weighted terms of the loss, each a scalar: the mean over the images of the batch."""

    coordinates: Tensor
    object: Tensor
    no_object: Tensor
    classes: Tensor


@dataclass(frozen=True)
class YOLOv2Loss:
    """Loss of YOLOv2 (Redmon and Farhadi, arXiv 1612.08242), as Darknet's region layer computes it.

    One prediction is responsible for each true box, see :func:`assign`. Let t be the true box and p
    the prediction, with x and y relative to their cell, and width and height as logarithms of their
    ratio to the anchor. The terms are::

        coordinates   coordinates * (2 - width * height) * 1/2 |t - p|^2
        object        object * 1/2 (IoU of true and predicted box - objectness)^2
        no object     no_object * 1/2 objectness^2
        classes       classes * cross-entropy of the softmax over classes

    The term `no object` sums over predictions that are responsible for no box and whose IoU with
    every box is at most `threshold`; the other terms sum over predictions that are responsible for
    a box. The factor 1/2 makes gradients equal to Darknet's. No gradient flows through an IoU.
    Darknet also pulls predictions towards the anchors during the first 12,800 images; this is left
    out.

    Parameters
    ----------
    anchors
        (width, height) of each anchor, in cells.
    coordinates, object, no_object, classes
        Weights of the terms; the defaults are Darknet's.
    threshold
        IoU with a true box above which a prediction is not pushed towards objectness 0.

    Examples
    --------
    >>> loss = YOLOv2Loss(anchors=[(1.0, 2.0)])
    >>> outputs = torch.zeros(1, 1 * (5 + 3), 4, 4)  # three classes
    >>> float(loss(outputs, torch.zeros(1, 0, 5)))  # no box: 16 times 1/2 * 0.5^2
    2.0
    """

    anchors: Sequence[tuple[float, float]]
    coordinates: float = 1.0
    object: float = 5.0
    no_object: float = 1.0
    classes: float = 1.0
    threshold: float = 0.6

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute the loss, a scalar: the sum of its terms.

        Parameters
        ----------
        outputs
            B x A * (5 + C) x H x W, as the network returns them.
        targets
            B x N x 5: rows (class, centre x, centre y, width, height), the last four in fractions
            of the image. Rows of class -1, and rows without an area, are padding.

        Returns
        -------
        torch.Tensor
            The loss; in float32 if the outputs are of half precision.

        Raises
        ------
        ValueError
            If shapes do not fit together, or a class is none of the network's.
        """
        terms = self.terms(outputs, targets)
        return terms.coordinates + terms.object + terms.no_object + terms.classes

    def terms(self, outputs: Tensor, targets: Tensor) -> LossTerms:
        """Compute the terms of the loss; arguments and errors are those of :meth:`__call__`."""
        if outputs.dtype in (torch.bfloat16, torch.float16):
            outputs = outputs.float()  # half precision is too coarse for an IoU
        anchors = torch.as_tensor(self.anchors, dtype=outputs.dtype, device=outputs.device)
        predictions = split_outputs(outputs, len(anchors))
        targets = targets.to(outputs)
        _check(predictions, targets)
        assigned = assign(targets, anchors, *outputs.shape[2:])
        with torch.no_grad():
            boxes = predicted_boxes(predictions, anchors)
            true_boxes = to_corners(assigned.boxes[:, 1:])
            ious = iou(to_corners(boxes[assigned.indices]), true_boxes)
            no_object = _best_ious(boxes, targets) <= self.threshold
            no_object[assigned.indices] = False
        objectness = torch.sigmoid(predictions.objectness)
        class_errors = functional.cross_entropy(
            predictions.classes[assigned.indices], assigned.boxes[:, 0].long(), reduction="sum"
        )
        sums = (
            self.coordinates * _coordinate_errors(predictions, assigned, anchors),
            self.object * _half_squares(ious - objectness[assigned.indices]),
            self.no_object * _half_squares(objectness * no_object),
            self.classes * class_errors,
        )
        return LossTerms(*(value / len(outputs) for value in sums))


def _check(predictions: Predictions, targets: Tensor) -> None:
    images, classes = len(predictions.objectness), predictions.classes.shape[-1]
    if targets.dim() != 3 or targets.shape[2] != 5 or len(targets) != images:
        raise ValueError(
            f"targets for {images} images must be {images} x N x 5, "
            f"but got {' x '.join(map(str, targets.shape))}"
        )
    largest = float(targets[..., 0].max()) if targets.numel() else -1.0
    if largest >= classes:
        raise ValueError(
            f"the network has {classes} classes, but a target is of class {int(largest)}"
        )


def _half_squares(errors: Tensor) -> Tensor:
    return errors.square().sum() / 2


def _coordinate_errors(predictions: Predictions, assigned: Assignment, anchors: Tensor) -> Tensor:
    height, width = predictions.objectness.shape[2:]
    grid = anchors.new_tensor([width, height])
    centres, sizes = assigned.boxes[:, 1:3] * grid, assigned.boxes[:, 3:] * grid
    weights = (2 - assigned.boxes[:, 3:].prod(-1)).sqrt()[:, None]  # a root, as it is squared below
    true_centres = centres - torch.stack([assigned.column, assigned.row], -1)
    centre_errors = true_centres - torch.sigmoid(predictions.centres[assigned.indices])
    true_sizes = (sizes / anchors[assigned.anchor]).log()
    size_errors = true_sizes - predictions.sizes[assigned.indices]
    return _half_squares(weights * centre_errors) + _half_squares(weights * size_errors)


def _best_ious(boxes: Tensor, targets: Tensor) -> Tensor:
    """Largest IoU of each predicted box, B x A x H x W x 4, with a true box of its image."""
    predicted = to_corners(boxes).flatten(1, 3)
    ious = iou(predicted[:, :, None], to_corners(targets[..., 1:])[:, None])
    ious = ious * is_box(targets)[:, None]
    ious = functional.pad(ious, (0, 1))  # a column of zeros, for images without a box
    return ious.amax(-1).view(boxes.shape[:-1])
