"""Training of a founder (the network of generation 0) as a step before the evolution.

The training shows a progress bar, resumes after an interruption, and is done only once.
"""

from __future__ import annotations

import argparse
import fcntl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from nni_stress import Task
from nni_stress.graph import cost, serialization
from nni_stress.trial.training import Training, founder_training
from nni_stress.utils.atomic_files import atomically, write_json
from nni_stress.utils.messages import one_line, short
from nni_stress.utils.regular_files import check_regular
from nni_stress.utils.temporaries import remove_leftovers

# Bytes that a checkpoint may have: network, optimizer, schedule and generators.
_CHECKPOINT_BYTES = 2**26
_BYTES_PER_NUMBER = 64


def train_founder(task: Task, file: str | Path, seed: int = 0, quiet: bool = False) -> nn.Module:
    """Train the task's founder and save it, unless its file exists.

    A .json file beside it records how and for how long the founder was trained, and its fidelity.
    After every epoch a checkpoint (network, optimizer, schedule, generators) is written to
    ``<file>.checkpoint``. A run that was killed resumes from it, and ends with exactly the same
    network as a run that was not.

    Parameters
    ----------
    task
        The task.
    file
        Network file of the founder.
    seed
        Seed of the initial weights, the order of the data, and dropout.
    quiet
        Whether to show no progress bar.

    Returns
    -------
    torch.nn.Module
        The founder, in evaluation mode.

    Raises
    ------
    ValueError
        If there is a checkpoint that is damaged, or of a training with another seed, length,
        learning rate, type or network.
    RuntimeError
        If another process is training this founder.
    """
    file = Path(file)
    checkpoint = file.with_name(file.name + ".checkpoint")
    with _locked(file):
        if not file.exists():
            torch.manual_seed(seed)
            network = task.network()
            recipe, seconds = _train(network, task, checkpoint, seed, quiet)
            network.eval()
            summary = {
                **recipe,
                "seconds": round(seconds, 2),
                "synapses": cost.synapses(network),
                "validation": task.fidelity(network, "validation"),
                "test": task.fidelity(network, "test"),
            }
            write_json(file.with_suffix(".json"), summary)
            serialization.save(network, file)
        checkpoint.unlink(missing_ok=True)
    return serialization.load(file, task.network).eval()


def add_arguments(parser: argparse.ArgumentParser, name: str, epochs: int) -> None:
    """Add the options for threads and the founder to a trial's command line.

    Parameters
    ----------
    parser
        Parser to add them to.
    name
        Name of the network.
    epochs
        Default number of epochs for which the founder is trained.
    """
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="threads of this trial; trials at a time x threads should equal the number of cores",
    )
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="train in bfloat16 where PyTorch considers it safe: twice as fast on processors that "
        "support it, slower on others",
    )
    parser.add_argument(
        "--founder",
        help="network file of the founder, which --train-founder writes and trials read; "
        f"default: runs/founders/{name}-DATA-SIZE.safetensors",
    )
    parser.add_argument("--founder-epochs", type=int, default=epochs)
    parser.add_argument("--founder-seed", type=int, default=0)
    parser.add_argument(
        "--train-founder",
        action="store_true",
        help="train the founder, or resume its training, and save it",
    )


def existing_founder(file: str | Path, command: str) -> None:
    """Check that a founder's file exists.

    Parameters
    ----------
    file
        Network file of the founder.
    command
        Command that trains the founder, named in the error.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(
            f"no founder at {file}: make it by `{command} --train-founder --founder {file}`"
        )


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """End the program with one line on standard error, not a traceback, on an expected error."""
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {one_line(error)}")


def _train(
    network: nn.Module, task: Task, checkpoint: Path, seed: int, quiet: bool
) -> tuple[dict[str, Any], float]:
    """Train, and return the recipe and the seconds taken, without those of lost work."""
    training = founder_training(network, task, seed)
    recipe = {
        "seed": seed,
        "epochs": task.founder_epochs,
        "learning_rate": task.founder_learning_rate,
        "warm_up": task.founder_warm_up,
        "type": str(task.autocast or torch.float32).removeprefix("torch."),
    }
    started = time.monotonic()
    if checkpoint.exists():
        numbers = sum(tensor.numel() for tensor in network.state_dict().values())
        most = _CHECKPOINT_BYTES + _BYTES_PER_NUMBER * numbers
        state, seconds = _read_checkpoint(checkpoint, recipe, most)
        try:
            training.restore(state)
        except ValueError:
            raise
        except Exception as error:  # of a state that another program wrote
            reason = one_line(error)[:200]
            raise ValueError(f"{checkpoint} is damaged, remove it: {reason}") from None
        started -= seconds
    with tqdm(total=training.steps, initial=training.step, unit="step", disable=quiet) as bar:
        for loss in training:
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            if training.between_epochs and not quiet:
                _show_fidelity(bar, network, task, training)
            if training.resumable:
                content = {
                    "recipe": recipe,
                    "training": training.state(),
                    "seconds": time.monotonic() - started,
                }
                with atomically(checkpoint) as temporary:
                    torch.save(content, temporary)
    return recipe, time.monotonic() - started


def _show_fidelity(bar: tqdm, network: nn.Module, task: Task, training: Training) -> None:
    with torch.random.fork_rng(devices=[]):  # the training must not depend on being shown
        fidelity = task.fidelity(network, "validation")
    bar.write(f"epoch {training.epoch} of {task.founder_epochs}: validation {fidelity:.4f}")


def _read_checkpoint(
    checkpoint: Path, recipe: dict[str, Any], most: int
) -> tuple[dict[str, Any], float]:
    try:
        check_regular(checkpoint, most)
        content = torch.load(checkpoint, weights_only=True)  # tensors and plain data: runs no code
        found, state, seconds = content["recipe"], content["training"], float(content["seconds"])
        if not isinstance(found, dict):
            raise TypeError(f"its recipe must be a mapping, but is {short(found)}")
    except Exception as error:  # torch.load raises errors of many types
        raise ValueError(f"{checkpoint} is damaged, remove it: {one_line(error)[:200]}") from None
    if found != recipe:
        raise ValueError(
            f"{checkpoint} is of a training with {_describe(found)}, but asked for is "
            f"{_describe(recipe)}"
        )
    return state, seconds


def _describe(recipe: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in recipe.items())


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Let no other process train this founder at the same time.

    The lock is released when its process ends. What a killed process left of a checkpoint is
    removed.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.with_name(f".{file.name}.lock")
    with open(lock, "w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RuntimeError(f"another process is training the founder {file}") from None
        for name in (file.name, f"{file.name}.checkpoint", file.with_suffix(".json").name):
            remove_leftovers(file.parent, name)
        yield
