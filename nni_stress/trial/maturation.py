"""Maturation: the long training of a network at its final size, of which the best epoch is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import nni
import torch
from torch import nn

from ..graph.network_file import tensors_of
from .measurement import Validation
from .task import Task
from .training import Training

# Share of the epochs without a gain in validation fidelity after which a maturation ends. The
# learning rate falls over all of it, and most of the gain comes late.
PATIENCE = 0.5
LEAST = 2  # epochs without a gain


class Maturation:
    """A long training, judged after each epoch.

    Parameters
    ----------
    network
        Trained in place.
    task
        Judges the fidelity.
    training
        The training, not begun.

    Attributes
    ----------
    curve
        Validation fidelity before the training, and after each epoch.

    Examples
    --------
    >>> inputs = torch.rand(8, 4)
    >>> targets = inputs.sum(1, keepdim=True)
    >>> task = Task(
    ...     network=lambda: nn.Linear(4, 1), example_input=inputs,
    ...     loader=lambda generator: [(inputs, targets)], loss=nn.functional.mse_loss,
    ...     fidelity=lambda network, split: -(network(inputs) - targets).abs().mean().item(),
    ...     founder_epochs=1, founder_learning_rate=0.1,
    ... )
    >>> network = task.network()
    >>> training = Training(network, task, epochs=10, learning_rate=0.1, seed=0)
    >>> validation = Maturation(network, task, training).run()
    >>> len(validation.curve), validation.final == max(validation.curve)
    (11, True)
    """

    def __init__(self, network: nn.Module, task: Task, training: Training):
        self._network = network
        self._task = task
        self._training = training
        self._best: dict[str, torch.Tensor] = {}
        self.curve: list[float] = []

    def state(self) -> dict[str, Any]:
        """A snapshot between two epochs."""
        return {"training": self._training.state(), "curve": list(self.curve), "best": self._best}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned.

        Raises
        ------
        ValueError, KeyError
            If it comes from a training of another length or network.
        """
        best = dict(state["best"])
        if best.keys() != tensors_of(self._network).keys():
            raise ValueError("the best epoch's network must have the tensors of this network")
        self._training.restore(state["training"])
        self.curve = list(state["curve"])
        self._best = best

    def run(self, between_epochs: Callable[[], None] = lambda: None) -> Validation:
        """Train to the end, or until fidelity no longer rises; the network is then its best epoch.

        Parameters
        ----------
        between_epochs
            Called after each epoch where the training could be resumed.

        Raises
        ------
        FloatingPointError
            If the loss is no longer finite.
        """
        if not self.curve:
            self._judge()
        for _ in self._training:
            if self._training.between_epochs:
                self._judge()
                if self._is_over():
                    break
                if self._training.resumable:
                    between_epochs()
        with torch.no_grad():
            for name, tensor in tensors_of(self._network).items():
                tensor.copy_(self._best[name])
        return Validation(max(self.curve), untrained=self.curve[0], curve=tuple(self.curve))

    def _judge(self) -> None:
        fidelity = float(self._task.fidelity(self._network, "validation"))
        nni.report_intermediate_result(fidelity)
        self.curve.append(fidelity)
        if fidelity == max(self.curve):
            tensors = tensors_of(self._network)
            self._best = {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def _is_over(self) -> bool:
        """Whether fidelity has not risen for too long.

        That before the training does not count: the learning rate begins high again, and much of
        the training may pass until the network is as good as it was.
        """
        trained = self.curve[1:]
        since = len(trained) - 1 - trained.index(max(trained))
        return since >= max(LEAST, math.ceil(PATIENCE * self._training.epochs))
