"""One trial of AlexNet's evolution: `nnictl create --config trials/alexnet.yml` runs it as `python3 -m trials.alexnet`."""

from __future__ import annotations

import argparse
import sys

import torch
from torch.nn import functional

from nni_stress import Task, run_trial
from trials import founders
from trials.data.classification import SIZES, first, load_classification
from trials.data.images import share_right
from trials.models import alexnet


def make_task(
    data: str = "fashion-mnist",
    data_dir: str | None = None,
    image_size: int | None = None,
    batch_size: int = 256,
    founder_epochs: int = 24,
    workers: int = 0,
    bfloat16: bool = False,
) -> Task:
    size = image_size or SIZES[data]
    images = load_classification(data, data_dir, size, workers)
    screening = first(images.plain("validation"), 640 if size < 128 else 160)
    return Task(
        network=lambda: alexnet(len(images.classes)).to(
            memory_format=torch.channels_last
        ),  # a third faster to train
        example_input=screening[0][:8],
        loader=lambda generator: images.train(batch_size, generator),
        loss=functional.cross_entropy,
        fidelity=lambda network, split: share_right(network, images.plain(split)),
        founder_epochs=founder_epochs,
        founder_learning_rate=4e-4,
        screening=screening,
        autocast=torch.bfloat16 if bfloat16 else None,
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=tuple(SIZES), default="fashion-mnist")
    parser.add_argument(
        "--data-dir", help="folder of the data; default for fashion-mnist: Debian's, or downloaded"
    )
    parser.add_argument(
        "--image-size", type=int, help="pixels; default: 96 for stl10, 224 for imagefolder, else 64"
    )
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that read an imagefolder's images"
    )
    founders.add_arguments(parser, "alexnet", epochs=24)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    size = options.image_size or SIZES[options.data]
    founder = options.founder or f"runs/founders/alexnet-{options.data}-{size}.safetensors"

    def task() -> Task:
        if not options.train_founder:
            founders.existing_founder(founder, "python -m trials.alexnet")
        return make_task(
            options.data,
            options.data_dir,
            size,
            options.batch_size,
            options.founder_epochs,
            options.workers,
            options.bfloat16,
        )

    if not options.train_founder:
        return run_trial(task, founder)
    try:
        founders.train_founder(task(), founder, options.founder_seed)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
