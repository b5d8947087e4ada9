"""A trial of LeNet-5: `nnictl create --config stress.yml` runs it as `python3 -m trials.lenet5`."""

from __future__ import annotations

import argparse

import torch

from nni_stress import Task, run_trial

from .data import load_images
from .data.images import NAMES
from .grey_images import classification
from .models import lenet5


def make_task(
    data: str = "digits",
    data_dir: str | None = None,
    batch_size: int = 32,
    founder_epochs: int = 30,
) -> Task:
    """Create the task of evolving LeNet-5; its fidelity is accuracy.

    Parameters
    ----------
    data
        ``digits``, ``mnist`` or ``fashion-mnist``.
    data_dir
        Folder of the data, see :func:`load_images`.
    batch_size
        Number of images in a training batch.
    founder_epochs
        Number of epochs for which the founder is trained.

    Returns
    -------
    nni_stress.Task
        The task.

    Examples
    --------
    >>> make_task().example_input.shape
    torch.Size([8, 1, 28, 28])
    """
    return classification(
        # The memory format nearly halves the time of training.
        lambda: lenet5().to(memory_format=torch.channels_last),
        load_images(data, data_dir),
        batch_size,
        founder_epochs,
        founder_learning_rate=2e-3,
        shift=1 if data == "digits" else 0,
    )


def main(arguments: list[str] | None = None) -> None:
    """Run one trial; `arguments` are those of the command line by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=NAMES, default="digits")
    parser.add_argument(
        "--data-dir",
        help="folder of mnist or fashion-mnist; by default that of Debian's package, or downloaded",
    )
    parser.add_argument(
        "--founder", help="network file of the founder; it is trained and written if missing"
    )
    parser.add_argument("--founder-epochs", type=int, help="default: 30 for digits, else 8")
    parser.add_argument("--batch-size", type=int, help="default: 32 for digits, else 128")
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="threads of this trial; trials at a time x threads should equal the number of cores",
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    small = options.data == "digits"

    def task() -> Task:
        return make_task(
            options.data,
            options.data_dir,
            options.batch_size or (32 if small else 128),
            options.founder_epochs or (30 if small else 8),
        )

    run_trial(task, options.founder)


if __name__ == "__main__":
    main()
