"""One trial of YOLOv2's evolution: `nnictl create --config trials/yolov2.yml` runs it as `python3 -m trials.yolov2`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from nni_stress import Task, run_trial
from nni_stress.evolution.ancestry import best_survivor
from nni_stress.graph import serialization
from nni_stress.lineage.locate import find_lineage
from nni_stress.lineage.store import FOUNDER, Lineage
from trials import founders
from trials.data.detection import (
    NAMES,
    SIZES,
    Detection,
    box_sizes,
    load_detection,
    plain_batches,
    training_batches,
)
from trials.detection import ClippedAdam, YOLOv2Loss, compare, find_anchors, precision
from trials.detection.targets import PADDING
from trials.models import yolov2
from trials.models.darknet import start_from
from trials.models.yolov2 import STRIDE

_SCREENED = 2**21  # pixels of the screening batch: 128 images of 128 x 128
_DRAWN = 6  # test images whose detections --compare draws


class Detector(NamedTuple):
    """Images, their size, and the anchors that suit their objects: the same for all trials, as the data decide them."""

    images: Detection
    size: int
    anchors: list[list[float]]


def load_detector(
    data: str, data_dir: str | None, size: int | None, scenes: int | None
) -> Detector:
    size = size or SIZES[data]
    images = load_detection(data, data_dir, scenes and {"train": scenes}, size)
    if not len(images.validation):
        raise ValueError(
            f"{data} has {len(images.train)} images to train with, too few to hold some out for validation"
        )
    return Detector(images, size, find_anchors(box_sizes(images.train) * size / STRIDE).tolist())


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
    images, size, anchors = load_detector(data, data_dir, size, scenes)
    sizes = training_sizes(size) if multi_scale else (size,)
    screening = screening_batch(images, size)

    def fidelity(network: nn.Module, split: str) -> float:
        return precision(
            network,
            plain_batches(getattr(images, split), batch_size, size),
            anchors,
            len(images.classes),
        )

    return Task(
        network=lambda: yolov2(len(images.classes), width, len(anchors)).to(
            memory_format=torch.channels_last
        ),  # faster
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
    """Multiples of 32 from three quarters to one and a half times a size: from 320 to 608 for 416, as in the paper."""
    return tuple(range(-(-size * 3 // 4 // STRIDE) * STRIDE, size * 3 // 2 + 1, STRIDE))


def screening_batch(images: Detection, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    batch = next(iter(plain_batches(images.validation, max(16, _SCREENED // size**2), size)))
    batch.targets[batch.difficult] = PADDING
    return batch.images, batch.targets


def compare_survivor(name: str, folder: str, options: argparse.Namespace) -> None:
    """Founder and best survivor of a lineage on the test images: detections side by side, and average precisions."""
    lineage = Lineage(find_lineage(name))
    survivor = best_survivor(lineage)
    images, size, anchors = load_detector(
        options.data, options.data_dir, options.size, options.scenes
    )
    titles = {"founder": FOUNDER, f"{survivor.uid}, {survivor.efficiency:.1f}x": survivor.uid}
    found = {
        title: serialization.load(
            lineage.network_path(uid), lambda: yolov2(len(images.classes), anchors=len(anchors))
        )
        for title, uid in titles.items()
    }
    print(compare(found, plain_batches(images.test, _DRAWN, size), anchors, images.classes, folder))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=NAMES, default="scenes")
    parser.add_argument(
        "--data-dir", help="folder of the data; scenes need none where Debian's Fashion-MNIST is"
    )
    parser.add_argument(
        "--size", type=int, help="pixels, a multiple of 32; default: 128 for scenes, else 416"
    )
    parser.add_argument(
        "--width", type=float, default=1.0, help="share of YOLOv2's filters that every layer has"
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
        help="Darknet's .weights file to start the founder's training from; of a network of "
        "other classes, and of one without a head, the backbone",
    )
    parser.add_argument(
        "--compare",
        metavar="FOLDER|ID",
        help="draw what founder and best survivor of this run or "
        "experiment detect, and list average precisions",
    )
    parser.add_argument(
        "--to", metavar="FOLDER", help="where --compare writes detections.png and precision.txt"
    )
    options = parser.parse_args(arguments)
    if bool(options.compare) != bool(options.to):
        parser.error("--compare and --to go together")
    torch.set_num_threads(options.threads)
    size = options.size or SIZES[options.data]
    narrow = "" if options.width == 1 else f"-width{options.width:g}"
    founder = options.founder or f"runs/founders/yolov2-{options.data}-{size}{narrow}.safetensors"

    def task() -> Task:
        if not options.train_founder:
            founders.existing_founder(founder, "python -m trials.yolov2")
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

    if not options.train_founder and not options.compare:
        return run_trial(task, founder)
    try:
        if options.compare:
            compare_survivor(options.compare, options.to, options)
        else:
            founders.train_founder(started(task(), options.weights), founder, options.founder_seed)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")


def started(task: Task, weights: str | None) -> Task:
    """The task, its founder's training starting from Darknet's weights."""

    def network() -> nn.Module:
        made = task.network()
        whole = start_from(made, weights)
        print(f"starts from {'all' if whole else 'the backbone'} of {weights}")
        return made

    return task if weights is None else replace(task, network=network)


if __name__ == "__main__":
    main()
