"""A trial of AlexNet, as `nnictl create --config trials/alexnet.yml` runs it.

The founder is trained beforehand: `python -m trials.alexnet --train-founder`.
"""

from __future__ import annotations

import argparse

import torch
from torch.nn import functional

from nni_stress import Task, run_trial

from . import founders
from .data.classification import SIZES, first_examples, load_classification
from .data.images import accuracy_on_batches
from .models import alexnet
from .names import module_name


def make_task(
    data: str = "fashion-mnist",
    data_dir: str | None = None,
    image_size: int | None = None,
    batch_size: int = 256,
    founder_epochs: int = 24,
    workers: int = 0,
    bfloat16: bool = False,
) -> Task:
    """Create the task of evolving AlexNet; its fidelity is accuracy.

    Parameters
    ----------
    data
        ``fashion-mnist``, ``cifar10``, ``stl10`` or ``imagefolder``.
    data_dir
        Folder of the data, see :func:`load_classification`.
    image_size
        Height and width of the network's input in pixels; by default 224 for ``imagefolder``, 96
        for ``stl10``, else 64.
    batch_size
        Number of images in a training batch.
    founder_epochs
        Number of epochs for which the founder is trained.
    workers
        Number of processes that read an ``imagefolder``'s training images.
    bfloat16
        Whether to train in bfloat16 where PyTorch considers it safe.

    Returns
    -------
    nni_stress.Task
        The task.
    """
    size = image_size or SIZES[data]
    images = load_classification(data, data_dir, size, workers)
    screening_images = 640 if size < 128 else 160
    screening = first_examples(images.evaluation_batches("validation"), screening_images)
    return Task(
        # The memory format takes a third off the time of training.
        network=lambda: alexnet(len(images.classes)).to(memory_format=torch.channels_last),
        example_input=screening[0][:8],
        loader=lambda generator: images.training_batches(batch_size, generator),
        loss=functional.cross_entropy,
        fidelity=lambda network, split: accuracy_on_batches(
            network, images.evaluation_batches(split)
        ),
        founder_epochs=founder_epochs,
        founder_learning_rate=4e-4,
        screening=screening,
        autocast=torch.bfloat16 if bfloat16 else None,
    )


def main(arguments: list[str] | None = None) -> None:
    """Run one trial, or train the founder; `arguments` are those of the command line by default."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    size = options.image_size or SIZES[options.data]
    founder = options.founder or f"runs/founders/alexnet-{options.data}-{size}.safetensors"

    def task() -> Task:
        return make_task(
            options.data,
            options.data_dir,
            size,
            options.batch_size,
            options.founder_epochs,
            options.workers,
            options.bfloat16,
        )

    def trial_task() -> Task:
        founders.existing_founder(founder, f"python -m {module_name('alexnet')}")
        return task()

    if options.train_founder:
        with founders.errors_in_one_line():
            founders.train_founder(task(), founder, options.founder_seed)
    else:
        run_trial(trial_task, founder)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=tuple(SIZES), default="fashion-mnist")
    parser.add_argument(
        "--data-dir",
        help="folder of the data; fashion-mnist needs none where Debian's package is installed, "
        "and is otherwise downloaded",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        help="height and width in pixels; default: 96 for stl10, 224 for imagefolder, else 64",
    )
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that read an imagefolder's images"
    )
    founders.add_arguments(parser, "alexnet", epochs=24)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
