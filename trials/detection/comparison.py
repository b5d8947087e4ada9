"""What networks find in a data set, how good that is, and how they compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from nni_stress.utils.atomic_files import write_atomically
from nni_stress.utils.module_modes import evaluating

from .average_precision import average_precisions, match, mean_average_precision
from .decoding import Detections, detect
from .drawing import draw_side_by_side, precision_table

Judged = Iterable[
    tuple[Tensor, Tensor, Tensor]
]  # batches of images, targets, and which of these are difficult


class Found(NamedTuple):
    """Of every image: the detections, the truths, and which of these are difficult."""

    detections: list[Detections]
    targets: list[Tensor]
    difficult: list[Tensor]


@torch.no_grad()
def find_all(network: nn.Module, batches: Judged, anchors: Sequence[tuple[float, float]]) -> Found:
    """What a network, in evaluation mode, finds; the images themselves are not kept."""
    found = Found([], [], [])
    with evaluating(network):
        for images, targets, difficult in batches:
            for whole, part in zip(found, (detect(network(images), anchors), targets, difficult)):
                whole.extend(part)
    return found


def precision(
    network: nn.Module, batches: Judged, anchors: Sequence[tuple[float, float]], num_classes: int
) -> float:
    """Mean average precision at IoU 0.5, over all recalls; difficult objects count neither way."""
    found = find_all(network, batches, anchors)
    return mean_average_precision(found.detections, found.targets, num_classes, found.difficult)


def compare(
    networks: Mapping[str, nn.Module],
    batches: Judged,
    anchors: Sequence[tuple[float, float]],
    names: Sequence[str],
    folder: str | Path,
    quiet: bool = False,
) -> str:
    """Write what networks find in the images of the first batch, and their average precisions in all batches.

        <folder>/detections.png   a column for each network, truths dashed in white
        <folder>/precision.txt    a row for each class

    Parameters
    ----------
    networks
        {title of a column: network}.
    batches
        As :func:`trials.data.detection.plain_batches` makes them; gone through once for each network.
    anchors
        (width, height) of each anchor, in cells.
    names
        Names of the classes.
    folder
        Made where it does not exist.
    quiet
        Show no progress bar.

    Returns
    -------
    str
        The table.
    """
    found = {
        title: find_all(network, tqdm(batches, desc=title, unit="batch", disable=quiet), anchors)
        for title, network in networks.items()
    }
    table = precision_table(
        {title: average_precisions(match(*one), len(names)) for title, one in found.items()}, names
    )
    images, targets, _ = next(iter(batches))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draw_side_by_side(
        folder / "detections.png",
        images,
        {title: one.detections[: len(images)] for title, one in found.items()},
        names,
        targets,
    )
    write_atomically(folder / "precision.txt", f"{table}\n".encode())
    return table
