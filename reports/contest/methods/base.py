"""What a method is given, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from nni_stress import Task


@dataclass(frozen=True)
class Job:
    """A cell as a method sees it.

    Parameters
    ----------
    task
        The task.
    founder
        File of its founder.
    resource
        "parameters", "macs" or "latency".
    times
        How many times less of it the small network may use.
    epochs, total
        Epochs of training that the search may take, and of search and final training together.
    seed
        Of all random numbers.
    rates
        Lowest and highest learning rate of the search.
    evolved
        File of the network that the evolution found in the same place.
    """

    task: Task
    founder: Path
    resource: str
    times: float
    epochs: float
    total: float
    seed: int
    rates: tuple[float, float]
    evolved: Path


def unchanged(network: nn.Module) -> nn.Module:
    """The network as it is."""
    return network


class Found(NamedTuple):
    """What a search found.

    Attributes
    ----------
    network
        The small network that is to be trained at last.
    epochs
        Epochs of training that the search took; the final training has what is left.
    trials
        What was tried: plain data, each with "validation" and "epochs" at least.
    finish
        What is left to do after the final training; gives the network that is judged.
    """

    network: nn.Module
    epochs: float
    trials: list[dict[str, Any]]
    finish: Callable[[nn.Module], nn.Module] = unchanged


Method = Callable[[Job], Found]


class Trial(NamedTuple):
    """One trial of a pruner.

    Attributes
    ----------
    task
        The task.
    network
        Network to prune, which may be changed in place.
    resource, allowed
        The resource, and how much of it may be left, as a share of what `network` uses.
    epochs
        Epochs of training, before, during and after the removal together.
    knobs
        Hyperparameters from the pruner's space.
    seed
        Of all random numbers.
    """

    task: Task
    network: nn.Module
    resource: str
    allowed: float
    epochs: float
    knobs: Mapping[str, Any]
    seed: int


# Prunes, trains, and returns the small network.
Prune = Callable[[Trial], nn.Module]
