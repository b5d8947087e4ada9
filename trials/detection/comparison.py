"""Evaluation of detectors on a data set, and their comparison in a picture and a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from nni_stress.utils.atomic_files import write_atomically
from nni_stress.utils.module_modes import evaluating

from .average_precision import average_precisions, match_detections, mean_average_precision
from .decoding import Detections, detect
from .drawing import draw_side_by_side, precision_table

# Batches of images, targets, and whether each target is difficult: see
# trials.data.detection.plain_batches.
EvaluationBatches = Iterable[tuple[Tensor, Tensor, Tensor]]


class DataSetDetections(NamedTuple):
    """Detections, targets and difficult flags of each image of a data set."""

    detections: list[Detections]
    targets: list[Tensor]
    difficult: list[Tensor]


@torch.no_grad()
def detect_and_collect(
    network: nn.Module, batches: EvaluationBatches, anchors: Sequence[tuple[float, float]]
) -> DataSetDetections:
    """Detect objects in a data set, with the network in evaluation mode; keep no images.

    Parameters
    ----------
    network
        The network. Its mode is restored.
    batches
        Batches of the data set.
    anchors
        (width, height) of each anchor, in cells.

    Returns
    -------
    DataSetDetections
        Detections beside the targets.
    """
    result = DataSetDetections([], [], [])
    with evaluating(network):
        for images, targets, difficult in batches:
            result.detections.extend(detect(network(images), anchors))
            result.targets.extend(targets)
            result.difficult.extend(difficult)
    return result


def evaluate_map(
    network: nn.Module,
    batches: EvaluationBatches,
    anchors: Sequence[tuple[float, float]],
    num_classes: int,
) -> float:
    """Compute the mAP of a network at IoU 0.5, over all recalls; difficult objects are ignored.

    Parameters
    ----------
    network, batches, anchors
        As for :func:`detect_and_collect`.
    num_classes
        Number of classes.

    Returns
    -------
    float
        The mAP, in [0, 1].
    """
    detections, targets, difficult = detect_and_collect(network, batches, anchors)
    return mean_average_precision(detections, targets, num_classes, difficult)


def compare_networks(
    networks: Mapping[str, nn.Module],
    batches: EvaluationBatches,
    anchors: Sequence[tuple[float, float]],
    names: Sequence[str],
    folder: str | Path,
    quiet: bool = False,
) -> str:
    """Compare networks by their detections in the first batch, and their average precisions in all.

    The comparison is written to two files::

        <folder>/detections.png   a column for each network, true boxes dashed in white
        <folder>/precision.txt    a row for each class

    Parameters
    ----------
    networks
        Networks by the title of their column.
    batches
        Batches of the data set; they are iterated over once for each network.
    anchors
        (width, height) of each anchor, in cells.
    names
        Names of the classes.
    folder
        Folder to write to; it is created if it does not exist.
    quiet
        Whether to show no progress bar.

    Returns
    -------
    str
        The table.
    """
    results = {
        title: detect_and_collect(
            network, tqdm(batches, desc=title, unit="batch", disable=quiet), anchors
        )
        for title, network in networks.items()
    }
    table = precision_table(
        {
            title: average_precisions(match_detections(*result), len(names))
            for title, result in results.items()
        },
        names,
    )
    images, targets, _ = next(iter(batches))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draw_side_by_side(
        folder / "detections.png",
        images,
        {title: result.detections[: len(images)] for title, result in results.items()},
        names,
        targets,
    )
    write_atomically(folder / "precision.txt", f"{table}\n".encode())
    return table
