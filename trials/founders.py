"""Training of a founder as a step of its own: shown by a progress bar, resumed where it was interrupted, done once."""

from __future__ import annotations

import argparse
import fcntl
import pickle
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from nni_stress import Task
from nni_stress.graph import cost, serialization
from nni_stress.trial.training import founder_training
from nni_stress.utils.atomic_files import atomically, write_json


def train_founder(task: Task, file: str | Path, seed: int = 0, quiet: bool = False) -> nn.Module:
    """Train the task's founder and save it, unless its file exists.

    How and for how long it was trained, and what it achieves, goes to a .json beside the file. After every epoch a
    checkpoint (network, optimizer, schedule, generators) is written there, as ``<file>.checkpoint``. A run that was killed
    goes on from it, and ends with the very network of a run that was not.

    Parameters
    ----------
    task
        What the founder is for.
    file
        Network file of the founder.
    seed
        Of the initial weights, the order of the data, and dropout.
    quiet
        Show no progress bar.

    Returns
    -------
    nn.Module
        The founder, in evaluation mode.

    Raises
    ------
    ValueError
        If there is a checkpoint that is damaged, or of a training with another seed, length, learning rate, type or network.
    RuntimeError
        If another process is training this founder.
    """
    file = Path(file)
    checkpoint = file.with_name(file.name + ".checkpoint")
    with _alone(file):
        if not file.exists():
            torch.manual_seed(seed)
            network = task.network()
            recipe, seconds = _train(network, task, checkpoint, seed, quiet)
            network.eval()
            write_json(
                file.with_suffix(".json"),
                dict(
                    **recipe,
                    seconds=round(seconds, 2),
                    synapses=cost.synapses(network),
                    validation=task.fidelity(network, "validation"),
                    test=task.fidelity(network, "test"),
                ),
            )
            serialization.save(network, file)
        checkpoint.unlink(missing_ok=True)
    return serialization.load(file, task.network).eval()


def add_arguments(parser: argparse.ArgumentParser, name: str, epochs: int) -> None:
    """Let a trial's command line take threads and founder; `name` is the network's, `epochs` how long it trains."""
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="threads of this trial; concurrency x threads = cores",
    )
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="train in bfloat16 where that is safe: twice as fast on "
        "processors that have it, slower on others",
    )
    parser.add_argument(
        "--founder",
        help="file of the founder, which --train-founder makes and trials read; "
        f"default: runs/founders/{name}-DATA-SIZE.safetensors",
    )
    parser.add_argument("--founder-epochs", type=int, default=epochs)
    parser.add_argument("--founder-seed", type=int, default=0)
    parser.add_argument(
        "--train-founder",
        action="store_true",
        help="train the founder, or go on with it, and save it",
    )


def existing_founder(file: str | Path, command: str) -> None:
    """Raise a FileNotFoundError that names the command which makes the founder, where its file does not exist."""
    if not Path(file).is_file():
        raise FileNotFoundError(
            f"no founder at {file}: make it by `{command} --train-founder --founder {file}`"
        )


def _train(
    network: nn.Module, task: Task, checkpoint: Path, seed: int, quiet: bool
) -> tuple[dict, float]:
    """Train, and say how and how many seconds it took; what was lost when it was interrupted does not count."""
    training = founder_training(network, task, seed)
    recipe = {
        "seed": seed,
        "epochs": task.founder_epochs,
        "learning_rate": task.founder_learning_rate,
        "warm_up": task.founder_warm_up,
        "type": str(task.autocast or torch.float32).removeprefix("torch."),
    }
    began = time.monotonic()
    if checkpoint.exists():
        state, seconds = _read(checkpoint, recipe)
        training.restore(state)
        began -= seconds
    with tqdm(total=training.steps, initial=training.step, unit="step", disable=quiet) as bar:
        for loss in training:
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            if training.between_epochs:
                if not quiet:
                    with torch.random.fork_rng(devices=[]):  # to look on must change nothing
                        fidelity = task.fidelity(network, "validation")
                    bar.write(
                        f"epoch {training.epoch} of {task.founder_epochs}: validation {fidelity:.4f}"
                    )
                with atomically(checkpoint) as content:
                    torch.save(
                        {
                            "recipe": recipe,
                            "training": training.state(),
                            "seconds": time.monotonic() - began,
                        },
                        content,
                    )
    return recipe, time.monotonic() - began


def _read(checkpoint: Path, recipe: dict) -> tuple[dict, float]:
    try:
        content = torch.load(checkpoint, weights_only=True)  # tensors and plain data: runs no code
        found, state, seconds = content["recipe"], content["training"], content["seconds"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{checkpoint} is damaged, remove it: {' '.join(str(error).split())[:200]}"
        ) from None
    if found != recipe:
        raise ValueError(
            f"{checkpoint} is of a training with {_words(found)}, but asked for is {_words(recipe)}"
        )
    return state, seconds


def _words(recipe: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in recipe.items())


@contextmanager
def _alone(file: Path):
    """No other process trains this founder at the same time; the lock ends with its process. Leftovers of a kill go."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.with_name(f".{file.name}.lock")
    with open(lock, "w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RuntimeError(f"another process is training the founder {file}") from None
        for half in file.parent.glob(f".{file.name}.checkpoint.*"):
            half.unlink()
        yield
