"""Anchors: the box shapes relative to which YOLOv2 predicts sizes."""

from __future__ import annotations

import torch
from torch import Tensor

from .boxes import shape_iou

# Anchors of Darknet's yolov2-voc.cfg and yolov2.cfg (COCO), for which the published weights were
# trained: (width, height) in cells.
VOC_ANCHORS = (
    (1.3221, 1.73145),
    (3.19275, 4.00944),
    (5.05587, 8.09892),
    (9.47112, 4.84053),
    (11.2364, 10.0071),
)
COCO_ANCHORS = (
    (0.57273, 0.677385),
    (1.87446, 2.06253),
    (3.33843, 5.47434),
    (7.88282, 3.52778),
    (9.77052, 9.16828),
)


def find_anchors(
    sizes: Tensor, number: int = 5, seed: int = 0, starts: int = 5, max_rounds: int = 100
) -> Tensor:
    """Find anchors by k-means with the distance 1 - IoU (Redmon and Farhadi, arXiv 1612.08242).

    Parameters
    ----------
    sizes
        Widths and heights of the training boxes, N x 2, in the unit that the anchors are to have.
        :class:`YOLOv2Loss` takes cells: fractions of the image times its sides in pixels / 32.
    number
        Number of anchors.
    seed
        Seed of the random starts.
    starts
        Number of k-means runs, of which the one with the highest :func:`average_iou` counts. Each
        starts from sizes drawn as in k-means++: the farther from those drawn before, the likelier.
    max_rounds
        Largest number of rounds of a run.

    Returns
    -------
    torch.Tensor
        Anchors, number x 2, in order of area.

    Raises
    ------
    ValueError
        If sizes are not N x 2 positive numbers, or fewer than `number` of them differ.

    Examples
    --------
    >>> find_anchors(torch.tensor([[1.0, 1.0], [1.0, 3.0], [1.0, 1.0]]), number=2)
    tensor([[1., 1.],
            [1., 3.]])
    """
    _check_sizes(sizes)
    different = len(sizes.unique(dim=0))
    if not 1 <= number <= different:
        raise ValueError(
            f"{number} anchors need at least as many different boxes, but got {different}"
        )
    generator = torch.Generator().manual_seed(seed)
    exact = sizes.detach().double().cpu()
    runs = [
        _cluster(exact, _draw_start(exact, number, generator), max_rounds) for _ in range(starts)
    ]
    best = max(runs, key=lambda anchors: average_iou(exact, anchors))
    return best[best.prod(1).argsort(stable=True)].to(sizes)


def average_iou(sizes: Tensor, anchors: Tensor) -> float:
    """Mean over all sizes of the IoU with the anchor of the most similar shape.

    The paper reports 0.61 for 5 anchors on Pascal VOC.

    Parameters
    ----------
    sizes
        Widths and heights, N x 2.
    anchors
        Anchors, A x 2, in the same unit.

    Returns
    -------
    float
        Average IoU in [0, 1].

    Examples
    --------
    >>> average_iou(torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 1.0], [9.0, 9.0]]))
    0.5
    """
    return float(shape_iou(sizes, anchors).amax(1).mean())


def _check_sizes(sizes: Tensor) -> None:
    right_shape = sizes.dim() == 2 and sizes.shape[1] == 2
    if not right_shape or not bool(((sizes > 0) & torch.isfinite(sizes)).all()):
        smallest = f", the least {float(sizes.min())}" if sizes.numel() else ""
        raise ValueError(
            f"sizes must be N x 2 positive numbers, but got a tensor of shape "
            f"{tuple(sizes.shape)}{smallest}"
        )


def _draw_start(sizes: Tensor, number: int, generator: torch.Generator) -> Tensor:
    chosen = [int(torch.randint(len(sizes), (1,), generator=generator))]
    while len(chosen) < number:
        distances = (1 - shape_iou(sizes, sizes[chosen])).amin(1).clamp(min=0)
        distances[distances < 1e-9] = 0  # rounding must not give a chosen size another chance
        chosen.append(int(torch.multinomial(distances**2, 1, generator=generator)))
    return sizes[chosen]


def _cluster(sizes: Tensor, anchors: Tensor, max_rounds: int) -> Tensor:
    nearest: Tensor | None = None
    for _ in range(max_rounds):
        previous, nearest = nearest, shape_iou(sizes, anchors).argmax(1)
        if previous is not None and torch.equal(nearest, previous):
            break
        counts = torch.zeros(len(anchors)).to(sizes)
        counts = counts.index_add_(0, nearest, torch.ones_like(sizes[:, 0]))[:, None]
        sums = torch.zeros_like(anchors).index_add_(0, nearest, sizes)
        # An anchor to which no size is nearest stays where it is.
        anchors = torch.where(counts > 0, sums / counts.clamp(min=1), anchors)
    return anchors
