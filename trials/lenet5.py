"""One trial of LeNet-5's evolution: `nnictl create --config stress.yml` runs it as `python3 -m trials.lenet5`."""

from __future__ import annotations

import argparse

import torch
from torch.nn import functional

from nni_stress import Task, run_trial
from trials.data import Batches, accuracy, load_images
from trials.data.images import NAMES
from trials.models import lenet5


def make_task(
    data: str = "digits",
    data_dir: str | None = None,
    batch_size: int = 32,
    founder_epochs: int = 30,
) -> Task:
    images = load_images(data, data_dir)
    return Task(
        network=lambda: lenet5().to(
            memory_format=torch.channels_last
        ),  # nearly twice as fast to train
        example_input=images.validation.images[:8],
        loader=lambda generator: Batches(
            images.train, batch_size, generator, shift=1 if data == "digits" else 0
        ),
        loss=functional.cross_entropy,
        fidelity=lambda network, split: accuracy(network, getattr(images, split)),
        founder_epochs=founder_epochs,
        founder_learning_rate=2e-3,
        screening=(images.validation.images[:640], images.validation.labels[:640]),
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=NAMES, default="digits")
    parser.add_argument(
        "--data-dir", help="folder of mnist or fashion-mnist; default: Debian's, or downloaded"
    )
    parser.add_argument(
        "--founder", help="file of the founder: read, or written where it does not exist"
    )
    parser.add_argument("--founder-epochs", type=int, help="default: 30 for digits, else 8")
    parser.add_argument("--batch-size", type=int, help="default: 32 for digits, else 128")
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="threads of this trial; concurrency x threads = cores",
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    small = options.data == "digits"
    run_trial(
        lambda: make_task(
            options.data,
            options.data_dir,
            options.batch_size or (32 if small else 128),
            options.founder_epochs or (30 if small else 8),
        ),
        options.founder,
    )


if __name__ == "__main__":
    main()
