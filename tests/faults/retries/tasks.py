"""Fault 11: mistakes in a task, and a trial command that names no file."""

from __future__ import annotations

from pathlib import Path

from tests.faults.retries.place import Answer, Place, attempt, ours, said
from tests.helpers.nnictl import nnictl
from tests.helpers.running import config_of
from tests.helpers.workers import free_ports

TRIAL = """
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from nni_stress import Task, run_trial

inputs, labels = torch.randn(64, 1, 6, 6), torch.randint(3, (64,))


def network():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 16), nn.ReLU(), nn.Linear(16, 3)
    )


class Endless:
    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def make_task():
    def loader(generator):
        return LOADER(DataLoader(TensorDataset(inputs, labels), 16, generator=generator))

    def fidelity(model, split):
        right = (model(inputs).argmax(1) == labels).float().mean()
        return FIDELITY

    return Task(NETWORK, inputs[:4], loader, functional.cross_entropy, fidelity, 1, 0.01)


if __name__ == "__main__":
    run_trial(make_task)
"""
NO_SPACE = "nn.Sequential(nn.Flatten(), nn.Linear(36, 3))"


def _register(title: str, words: str, loader="", fidelity="float(right)", network="network"):
    @attempt(11, title)
    def mistaken(place: Place) -> Answer:
        """The experiment must end, or go on, with these words in its status."""
        home = place.folder / "a"
        place.evolution(
            "a", tolerance=0.05, trialCommand="python3 trial.py", trialCodeDirectory=str(home)
        )
        text = TRIAL.replace("LOADER", loader).replace("FIDELITY", fidelity)
        (home / "trial.py").write_text(text.replace("NETWORK", network))
        running = place.create(home)
        running.until(lambda: running.status() in ("ERROR", "DONE"), 240)
        done = ours(["status", home / "lineage"])
        lines = [line.strip() for line in done.stdout.splitlines()]
        told = [line for line in lines if words in line and "at most 1 survivor" not in line]
        return Answer(bool(told), f"{running.status()}; {told[:1] or said(done)}")


_register("fidelity returns None", "Task.fidelity must return", fidelity="None")
_register("fidelity returns NaN", "Task.fidelity must return", fidelity="float('nan')")
_register("fidelity returns a tensor", "finished: ", fidelity="right")
_register("fidelity in percent with a tolerance for shares", "tolerance", fidelity="100 * right")
_register("a loader without length", "Task.loader must return", loader="Endless")
_register("a network of which nothing can be removed", "remove", network=f"lambda: {NO_SPACE}")


@attempt(11, "a mistyped script in trialCommand")
def mistyped(place: Place) -> Answer:
    config = config_of(place.folder, trialCommand="python3 tryal.py")
    (port,) = free_ports(1)
    done = nnictl("create", "--config", Path(config), "--port", port)
    closed = done.returncode != 0 and "tryal.py" in done.stderr
    if done.returncode == 0:
        nnictl("stop", "--all")
    return Answer(closed, said(done))
