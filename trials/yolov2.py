"""A trial of YOLOv2, as `nnictl create --config trials/yolov2.yml` runs it.

The founder is trained beforehand: `python -m trials.yolov2 --train-founder`. With --compare, the
founder and the best survivor of a finished run are compared on the test images.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nni_stress import Task, run_trial
from nni_stress.evolution.ancestry import best_survivor
from nni_stress.graph import serialization
from nni_stress.lineage.locate import find_lineage
from nni_stress.lineage.store import FOUNDER, Lineage

from . import founders
from .data.detection import (
    NAMES,
    SIZES,
    DetectionData,
    box_sizes,
    load_detection,
    plain_batches,
    training_batches,
)
from .detection import ClippedAdam, YOLOv2Loss, compare_networks, evaluate_map, find_anchors
from .detection.targets import PADDING
from .models import yolov2
from .models.darknet import load_initial_weights
from .models.yolov2 import STRIDE
from .names import module_name

_SCREENING_PIXELS = 2**21  # of the screening batch: 128 images of 128 x 128
_MIN_SCREENING_IMAGES = 16
_DRAWN_IMAGES = 6  # test images whose detections --compare draws


class DetectorData(NamedTuple):
    """Data of a detector.

    Attributes
    ----------
    images
        The data set.
    size
        Height and width of the network's input in pixels.
    anchors
        (width, height) of each anchor in cells. They depend on the data and the size alone, and so
        are the same in all trials.
    """

    images: DetectionData
    size: int
    anchors: list[tuple[float, float]]


def load_detector_data(
    data: str, data_dir: str | None, size: int | None, scenes: int | None
) -> DetectorData:
    """Read a data set, and find anchors for it.

    Parameters
    ----------
    data, data_dir, size, scenes
        As for :func:`make_task`.

    Returns
    -------
    DetectorData
        Data set, size and anchors.

    Raises
    ------
    FileNotFoundError, ValueError
        As for :func:`load_detection`; also if there are too few images, or too few boxes of
        different sizes.
    """
    size = size or SIZES[data]
    images = load_detection(data, data_dir, {"train": scenes} if scenes else None, size)
    if not len(images.validation):
        raise ValueError(
            f"{data} has {len(images.train)} images to train with, too few to hold some out for "
            f"validation"
        )
    anchors = find_anchors(box_sizes(images.train) * size / STRIDE)
    return DetectorData(images, size, [(width, height) for width, height in anchors.tolist()])


def make_task(
    data: str = "scenes",
    data_dir: str | None = None,
    size: int | None = None,
    width: float = 1.0,
    batch_size: int = 16,
    founder_epochs: int = 4,
    workers: int = 0,
    scenes: int | None = None,
    multi_scale: bool = False,
    bfloat16: bool = False,
) -> Task:
    """Create the task of evolving YOLOv2; its fidelity is the mAP at IoU 0.5.

    Parameters
    ----------
    data
        ``scenes``, ``voc`` or ``kitti``.
    data_dir
        Folder of the data, see :func:`load_detection`.
    size
        Height and width of images in pixels, a multiple of 32; by default 128 for scenes, else 416.
    width
        Factor of the number of filters of every layer but the last.
    batch_size
        Number of images in a batch.
    founder_epochs
        Number of epochs for which the founder is trained.
    workers
        Number of processes that make or read training images.
    scenes
        Number of training scenes; by default 30,000.
    multi_scale
        Whether to train also at other sizes, see :func:`training_sizes`.
    bfloat16
        Whether to train in bfloat16 where PyTorch considers it safe.

    Returns
    -------
    nni_stress.Task
        The task.
    """
    images, size, anchors = load_detector_data(data, data_dir, size, scenes)
    sizes = training_sizes(size) if multi_scale else (size,)
    screening = screening_batch(images, size)

    def make_network() -> nn.Module:
        network = yolov2(len(images.classes), width, len(anchors))
        return network.to(memory_format=torch.channels_last)  # trains faster

    def fidelity(network: nn.Module, split: str) -> float:
        batches = plain_batches(getattr(images, split), batch_size, size)
        return evaluate_map(network, batches, anchors, len(images.classes))

    return Task(
        network=make_network,
        example_input=screening[0][:2],
        loader=lambda generator: training_batches(
            images, batch_size, generator, sizes, workers=workers
        ),
        loss=YOLOv2Loss(anchors),
        fidelity=fidelity,
        founder_epochs=founder_epochs,
        founder_learning_rate=8e-4,
        founder_warm_up=0.1,
        optimizer=ClippedAdam,
        screening=screening,
        autocast=torch.bfloat16 if bfloat16 else None,
    )


def training_sizes(size: int) -> tuple[int, ...]:
    """Multiples of 32 from three quarters to one and a half times a size.

    For 416 these are 320 to 608, as in the paper (Redmon and Farhadi, arXiv 1612.08242).

    Examples
    --------
    >>> training_sizes(128)
    (96, 128, 160, 192)
    """
    smallest = -(-size * 3 // 4 // STRIDE) * STRIDE
    return tuple(range(smallest, size * 3 // 2 + 1, STRIDE))


def screening_batch(images: DetectionData, size: int) -> tuple[Tensor, Tensor]:
    """Validation images, and targets without difficult objects, on which candidates are judged.

    Parameters
    ----------
    images
        The data set.
    size
        Height and width of images in pixels.

    Returns
    -------
    (torch.Tensor, torch.Tensor)
        B x 3 x size x size, and B x N x 5.
    """
    count = max(_MIN_SCREENING_IMAGES, _SCREENING_PIXELS // size**2)
    batch = next(iter(plain_batches(images.validation, count, size)))
    batch.targets[batch.difficult] = PADDING
    return batch.images, batch.targets


def compare_survivor(run: str, folder: str, options: argparse.Namespace) -> None:
    """Compare founder and best survivor of a run on the test images.

    Parameters
    ----------
    run
        Folder of a run, or id of an NNI experiment.
    folder
        Folder to which detections.png and precision.txt are written.
    options
        Parsed command line, which says what the data are.
    """
    lineage = Lineage(find_lineage(run))
    survivor = best_survivor(lineage)
    images, size, anchors = load_detector_data(
        options.data, options.data_dir, options.size, options.scenes
    )

    def load(uid: str) -> nn.Module:
        path = lineage.network_path(uid)
        return serialization.load(path, lambda: yolov2(len(images.classes), anchors=len(anchors)))

    networks = {
        "founder": load(FOUNDER),
        f"{survivor.uid}, {survivor.efficiency:.1f}x": load(survivor.uid),
    }
    batches = plain_batches(images.test, _DRAWN_IMAGES, size)
    print(compare_networks(networks, batches, anchors, images.classes, folder))


def with_initial_weights(task: Task, weights: str | None) -> Task:
    """Let the founder's training start from Darknet's weights.

    Parameters
    ----------
    task
        The task.
    weights
        A .weights file, see :func:`load_initial_weights`; None leaves the task as it is.

    Returns
    -------
    nni_stress.Task
        The task, whose founder starts from the weights.
    """
    if weights is None:
        return task

    def make_network() -> nn.Module:
        network = task.network()
        complete = load_initial_weights(network, weights)
        print(f"starts from {'all' if complete else 'the backbone'} of {weights}")
        return network

    return replace(task, network=make_network)


def main(arguments: list[str] | None = None) -> None:
    """Run a trial, train the founder, or compare; `arguments` are the command line's by default."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    size = options.size or SIZES[options.data]
    width = "" if options.width == 1 else f"-width{options.width:g}"
    founder = options.founder or f"runs/founders/yolov2-{options.data}-{size}{width}.safetensors"

    def task() -> Task:
        return make_task(
            options.data,
            options.data_dir,
            size,
            options.width,
            options.batch_size,
            options.founder_epochs,
            options.workers,
            options.scenes,
            options.multi_scale,
            options.bfloat16,
        )

    def trial_task() -> Task:
        founders.existing_founder(founder, f"python -m {module_name('yolov2')}")
        return task()

    if options.compare:
        with founders.errors_in_one_line():
            compare_survivor(options.compare, options.to, options)
    elif options.train_founder:
        with founders.errors_in_one_line():
            started = with_initial_weights(task(), options.weights)
            founders.train_founder(started, founder, options.founder_seed)
    else:
        run_trial(trial_task, founder)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=NAMES, default="scenes")
    parser.add_argument(
        "--data-dir",
        help="folder of the data; scenes need none where Debian's Fashion-MNIST is installed",
    )
    parser.add_argument(
        "--size",
        type=int,
        help="height and width of images in pixels, a multiple of 32; default: 128 for scenes, "
        "else 416",
    )
    parser.add_argument(
        "--width",
        type=float,
        default=1.0,
        help="factor of the number of filters of every layer but the last",
    )
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--scenes", type=int, help="number of training scenes; default: 30,000")
    parser.add_argument(
        "--multi-scale",
        action="store_true",
        help="train at sizes from 3/4 to 3/2 of --size as well",
    )
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that make or read training images"
    )
    founders.add_arguments(parser, "yolov2", epochs=4)
    parser.add_argument(
        "--weights",
        help="Darknet's .weights file from which the founder's training starts; only the backbone "
        "is used if the file has no head, or that of another number of classes",
    )
    parser.add_argument(
        "--compare",
        metavar="FOLDER|ID",
        help="draw what founder and best survivor of this run or experiment detect, and tabulate "
        "their average precisions",
    )
    parser.add_argument(
        "--to", metavar="FOLDER", help="where --compare writes detections.png and precision.txt"
    )
    options = parser.parse_args(arguments)
    if bool(options.compare) != bool(options.to):
        parser.error("--compare and --to go together")
    return options


if __name__ == "__main__":
    main()
