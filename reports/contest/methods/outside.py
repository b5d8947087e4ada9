"""Torch-Pruning as a rival: what users would take who look beyond NNI."""

from __future__ import annotations

import copy
from functools import partial
from types import ModuleType

import torch
from torch import Tensor, nn

from nni_stress import Task
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.pruning.functional.approaching import ENOUGH
from nni_stress.trial.epochs import Epochs
from nni_stress.utils.batches import answer
from nni_stress.utils.module_modes import evaluating
from nni_stress.utils.seeding import seed_of

from .base import Method, Trial
from .halving import search
from .phases import divided, train_for, whole_steps
from .removal import Removal, trainable
from .spaces import TORCH_PRUNING

REMOVALS = 4  # of the iterative methods, with training after each
_ROUGHLY = 0.9  # share of the budget that is used at least by networks that become smaller yet
_GRADIENT_BATCHES = 32  # at most
_GRADIENT_SHARE = 1 / 8  # of the steps between two removals, at most


def prune(importance: str, removals: int, trial: Trial) -> nn.Module:
    """Make a network small by Torch-Pruning, and train it.

    Parameters
    ----------
    importance
        "Taylor" or "L1": how important channels are, by all layers that lose them together.
    removals
        How often the network is made smaller, by equal shares, with training after each time.
    trial
        The trial. The batches that give the gradients of Taylor importance are of its epochs.

    Raises
    ------
    ModuleNotFoundError
        If Torch-Pruning is not installed.
    ValueError
        If the budget cannot be met, or there is no step for the gradients.
    """
    package = _package()
    torch.manual_seed(trial.seed)
    network, task = trial.network, trial.task
    whole = copy.deepcopy(network)
    graph = ClusterGraph(network, task.example_input)
    for number, steps in enumerate(divided(whole_steps(task, trial.epochs), removals), 1):
        batches = 0
        gradients: list[Tensor] = []
        score = package.importance.GroupMagnitudeImportance(p=1)
        if importance == "Taylor":
            score = package.importance.GroupTaylorImportance()
            batches = min(_GRADIENT_BATCHES, max(1, int(steps * _GRADIENT_SHARE)))
            if batches > steps:
                raise ValueError("Taylor importance needs a step for its gradients, but got none")
            gradients = _gradients(network, task, batches, seed_of(trial.seed, number, "gradients"))
        removal = Removal(package, network, trial, score, graph, gradients)
        enough = ENOUGH if number == removals else _ROUGHLY
        network = removal.within(trial.allowed ** (number / removals), whole, enough)
        rate = trial.knobs["learning_rate"]
        train_for(network, task, steps - batches, rate, seed_of(trial.seed, number, "recovery"))
    network.zero_grad()
    return network


def _package() -> ModuleType:
    try:
        import torch_pruning
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'this method needs the package torch-pruning: pip install "torch-pruning>=1.6,<2"'
        ) from error
    return torch_pruning  # type: ignore[no-any-return]


def _gradients(network: nn.Module, task: Task, batches: int, seed: int) -> list[Tensor]:
    """Gradients of the loss by all parameters, summed over some batches.

    The network is in evaluation mode, as in Torch-Pruning's examples.
    """
    source = Epochs(task, torch.Generator().manual_seed(seed))
    parameters = list(network.parameters())
    total = [torch.zeros_like(parameter) for parameter in parameters]
    with trainable(network), evaluating(network):
        for _ in range(batches):
            inputs, targets = source.next_batch()
            loss = task.loss(answer(network, inputs), targets)
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
            for summed, gradient in zip(total, found):
                if gradient is not None:
                    summed += gradient
    return total


METHODS: dict[str, Method] = {
    f"Torch-Pruning {importance}{suffix}": partial(
        search, prune=partial(prune, importance, removals), space=TORCH_PRUNING
    )
    for importance in ("Taylor", "L1")
    for suffix, removals in (("", 1), (" iterative", REMOVALS))
}
