"""Anchors: the shapes from which YOLOv2 predicts boxes, in cells of its output (of 32 pixels), width first."""

from __future__ import annotations

import torch
from torch import Tensor

from .boxes import shape_overlaps

# Of Darknet's yolov2-voc.cfg and yolov2.cfg (COCO), which go with the published weights.
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
    sizes: Tensor, number: int = 5, seed: int = 0, starts: int = 5, rounds: int = 100
) -> Tensor:
    """Cluster the sizes of boxes by k-means with the distance 1 - IoU (Redmon and Farhadi, arXiv 1612.08242).

    Parameters
    ----------
    sizes
        Widths and heights of the training boxes, N x 2, in any unit; in cells for anchors that the loss can use: shares
        of the image times its width and height in pixels / 32.
    number
        How many anchors.
    seed
        Seed of the starts; the same seed on the same sizes gives the same anchors.
    starts
        How often to start, at sizes drawn with odds that rise with their distance from those drawn before, as in
        k-means++. The result of the largest :func:`average_overlap` counts.
    rounds
        When to stop at the latest.

    Returns
    -------
    Tensor
        Anchors, number x 2, in order of area.

    Raises
    ------
    ValueError
        If sizes are not N x 2 positive numbers, or fewer than `number` of them differ.
    """
    if (
        sizes.dim() != 2
        or sizes.shape[1] != 2
        or not bool(((sizes > 0) & torch.isfinite(sizes)).all())
    ):
        raise ValueError(
            f"sizes must be N x 2 positive numbers, but got a tensor of shape {tuple(sizes.shape)}"
            + (f", the least {float(sizes.min())}" if sizes.numel() else "")
        )
    different = len(sizes.unique(dim=0))
    if not 1 <= number <= different:
        raise ValueError(
            f"{number} anchors need at least as many different boxes, but got {different}"
        )
    generator, exact = torch.Generator().manual_seed(seed), sizes.detach().double().cpu()
    found = [_cluster(exact, _start(exact, number, generator), rounds) for _ in range(starts)]
    best = max(found, key=lambda anchors: average_overlap(exact, anchors))
    return best[best.prod(1).argsort(stable=True)].to(sizes)


def average_overlap(sizes: Tensor, anchors: Tensor) -> float:
    """Mean over all sizes of the IoU with the anchor nearest in shape; the paper reports 0.61 for 5 anchors on VOC."""
    return float(shape_overlaps(sizes, anchors).amax(1).mean())


def _start(sizes: Tensor, number: int, generator: torch.Generator) -> Tensor:
    chosen = [int(torch.randint(len(sizes), (1,), generator=generator))]
    while len(chosen) < number:
        distances = (1 - shape_overlaps(sizes, sizes[chosen])).amin(1).clamp(min=0)
        distances[distances < 1e-9] = 0  # of the sizes that are chosen already
        chosen.append(int(torch.multinomial(distances**2, 1, generator=generator)))
    return sizes[chosen]


def _cluster(sizes: Tensor, anchors: Tensor, rounds: int) -> Tensor:
    nearest = None
    for _ in range(rounds):
        before, nearest = nearest, shape_overlaps(sizes, anchors).argmax(1)
        if before is not None and torch.equal(nearest, before):
            break
        members = (
            torch.zeros(len(anchors))
            .to(sizes)
            .index_add_(0, nearest, torch.ones_like(sizes[:, 0]))[:, None]
        )
        sums = torch.zeros_like(anchors).index_add_(0, nearest, sizes)
        anchors = torch.where(
            members > 0, sums / members.clamp(min=1), anchors
        )  # one that is nearest to none stays
    return anchors
