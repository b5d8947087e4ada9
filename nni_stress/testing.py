"""What stressors, importances and rules of layers must keep to, checked on those of users, too.

Each function raises an `AssertionError` of one line. They need no test framework.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import torch
from torch import Tensor, nn

from .graph import cost
from .graph.cluster_graph import ClusterGraph
from .graph.slicing import balanced
from .graph.synthesis import synthesize
from .hparams import Arguments
from .pruning.stressors import STRESSORS
from .pruning.stressors.base import Coming, Situation
from .trial.compression import compress
from .trial.offspring import stress_and_synthesize
from .trial.task import Task
from .utils.module_copies import copy_of

_NEARLY_NONE = 1e-6  # level of stress
_DRAWS = 3


def check_stressor(name: str) -> None:
    """Check what a stressor must keep to, on a small network.

    - At level 0 the training is that without stress, and just above it factors are nearly 1.
    - It leaves weights alone, unless it decays them.
    - The same seed gives the same offspring, to the bit, whatever else draws from torch's global
      generator.
    - The offspring computes what the masked network does.

    Parameters
    ----------
    name
        Its name.

    Raises
    ------
    AssertionError
        Naming what it does not keep to.
    ValueError
        If the name is unknown, or the function returns what it must not.

    Examples
    --------
    >>> from nni_stress import testing
    >>> testing.check_stressor("silence")
    """
    stressor = STRESSORS[name]
    task = _random_task()
    settings: dict[str, Any] = {"strength": "magnitude", "stress_onset": 0.0, "stress_ramp": 0.0}
    _check_near_none(name)
    without, nearly = (
        _trained(task, Arguments(stressor=own, stress_peak=0.0, **settings), task.optimizer)
        for own in ("attenuate", name)
    )
    _require(_same(without, nearly), f"stressor {name!r} changes the training at level 0")
    standing = _trained(task, Arguments(stressor=name, **settings), _Still)
    kept = _same(standing, dict(_small_network().named_parameters()))
    _require(kept or stressor.decays, f"stressor {name!r} changes weights, but does not say decays")
    _check_seed(Arguments(stressor=name, **settings), f"stressor {name!r}")


def check_importance(name: str) -> None:
    """Check what an importance must keep to, on a small network.

    - The same seed gives the same offspring, to the bit, whatever else draws from torch's global
      generator.
    - It leaves weights alone.
    - The offspring computes what the masked network does.

    Parameters
    ----------
    name
        Its name.

    Raises
    ------
    AssertionError
        Naming what it does not keep to.
    ValueError
        If the name is unknown, or the function returns what it must not.

    Examples
    --------
    >>> from nni_stress import testing
    >>> testing.check_importance("l2")
    """
    standing = _trained(_random_task(), Arguments(strength=name, stress_peak=0.0), _Still)
    kept = _same(standing, dict(_small_network().named_parameters()))
    _require(kept, f"strength {name!r} changes weights")
    _check_seed(Arguments(strength=name, stressor="silence"), f"strength {name!r}")


def check_layers(network: nn.Module, example_input: Any) -> None:
    """Check rules of layers and operators on a network that has some.

    - Whatever a rule lets go can go: nothing stays because the network would be wrong without it.
    - Without a random half of all clusters, the network computes what the masked one does.
    - It has as many parameters and multiply-accumulates as the rules say.

    Parameters
    ----------
    network
        The network; it is left alone.
    example_input
        One batch of inputs: a tensor, a tuple of several, or a mapping of keyword arguments.

    Raises
    ------
    AssertionError
        Naming what is wrong.
    ValueError
        If the network cannot be followed, or a rule does not fit.

    Examples
    --------
    >>> from nni_stress import testing
    >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    >>> testing.check_layers(network, torch.rand(3, 4))
    """
    graph = ClusterGraph(network, example_input)
    wrong = [
        f"{tensor} stays: {reason.text}"
        for (tensor, _), reason in graph.structure.frozen.items()
        if reason.text.startswith("without some of them")
    ]
    _require(not wrong, "; ".join(wrong))
    for seed in range(_DRAWS):
        chosen = random.Random(seed)
        half = [chosen.sample(own, len(own) // 2) for own in graph.clusters]
        gone = balanced(graph, {cluster for own in half for cluster in own})
        keep = [sum(cluster not in gone for cluster in own) for own in graph.clusters]
        small = synthesize(copy_of(network), example_input, {}, graph=graph, also_removed=gone)
        _check_costs(graph, keep, small, example_input)


def _check_costs(
    graph: ClusterGraph, keep: list[int], small: nn.Module, example_input: Any
) -> None:
    counted = {"parameters": cost.synapses(small), "MACs": cost.macs(small, example_input)}
    said = {"parameters": graph.parameters(keep), "MACs": graph.macs(keep)}
    for what, number in counted.items():
        _require(
            int(said[what]) == number,
            f"a network of {number} {what} has {int(said[what])} by the rules of its layers",
        )


def _check_near_none(name: str) -> None:
    """Check that the least stress changes next to nothing."""
    clusters = 8
    survival = torch.linspace(0.0, 1.0, clusters)
    coming = Coming(torch.arange(clusters), 2, clusters)
    generator = torch.Generator().manual_seed(0)
    situation = Situation(_NEARLY_NONE, 0.5, 100, generator, lambda: survival, lambda: coming)
    factor = STRESSORS[name].factor(situation)
    least = float(factor.min())
    _require(
        least > 0.999, f"stressor {name!r} has a factor of {least:g} at a level of {_NEARLY_NONE:g}"
    )


def _check_seed(arguments: Arguments, what: str) -> None:
    arguments = dataclasses.replace(arguments, environmental_factor=0.5, stress_epochs=1.0)
    first, again = (
        stress_and_synthesize(
            _small_network(), _random_task(also_draws=draws), arguments, seed=1
        ).state_dict()
        for draws in (0, 1)
    )
    _require(_same(first, again), f"{what} gives two offspring of one seed")


def _trained(task: Task, arguments: Arguments, optimizer: Any) -> dict[str, Tensor]:
    """The parameters of a network that was trained under stress, without what was removed."""
    arguments = dataclasses.replace(arguments, stress_epochs=1.0)
    task = dataclasses.replace(task, optimizer=optimizer)
    network = task.network()
    pruner = compress(network, task, arguments, 1, {"parameters": 0.5})
    pruner.unwrap_model()
    return dict(network.named_parameters())


class _Still(torch.optim.SGD):
    """An optimizer that changes nothing."""

    def __init__(self, params: Any, lr: float = 0.0):
        super().__init__(params, lr=0.0)


def _same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def _require(right: bool, message: str) -> None:
    if not right:
        raise AssertionError(message)


def _random_task(also_draws: int = 0) -> Task:
    """A task on random data, of which the loader draws so many numbers that nothing depends on."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(32, 1, 8, 8, generator=generator)
    labels = images[:, 0, 0, :3].argmax(1)

    def loader(generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
        torch.rand(also_draws)
        return list(zip(images.split(8), labels.split(8)))

    return Task(
        network=_small_network,
        example_input=images[:2],
        loader=loader,
        loss=nn.functional.cross_entropy,
        fidelity=lambda network, split: 0.0,
        founder_epochs=1,
        founder_learning_rate=1e-3,
    )


def _small_network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 6, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(6 * 16, 12),
            nn.ReLU(),
            nn.Linear(12, 3),
        )
