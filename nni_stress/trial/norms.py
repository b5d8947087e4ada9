"""Statistics of batch norms, estimated anew for a network that was just synthesized."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from ..utils.batches import answer
from .contract import batches_per_epoch
from .epochs import Epochs
from .task import Task
from .training import mixed_precision

BATCHES = 20  # at most; an estimate over more changes little


def estimate_norms(network: nn.Module, task: Task, seed: int) -> None:
    """Let batch norms take the statistics of the network as it is.

    Those of an offspring are its ancestor's: of other inputs, since whole clusters are gone, and
    under stress of networks of many widths.

    Parameters
    ----------
    network
        Changed in place, but for its weights. It is left alone where it has no batch norm that
        follows statistics, or keeps one in evaluation mode while it trains.
    task
        Its training batches, of which up to 20 are used.
    seed
        Seed of their order.

    Examples
    --------
    >>> inputs = torch.rand(8, 4) + 5
    >>> task = Task(
    ...     network=lambda: nn.BatchNorm1d(4), example_input=inputs,
    ...     loader=lambda generator: [(inputs, inputs)], loss=nn.functional.mse_loss,
    ...     fidelity=lambda network, split: 0.0, founder_epochs=1, founder_learning_rate=0.1,
    ... )
    >>> network = task.network()
    >>> estimate_norms(network, task, seed=0)
    >>> torch.allclose(network.running_mean, inputs.mean(0))
    True
    """
    training = network.training
    network.train()
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    if norms and all(norm.training for norm in norms):
        generator = torch.Generator().manual_seed(seed)
        epochs = Epochs(task, generator)
        number = min(BATCHES, batches_per_epoch(task))
        batches = (epochs.next_batch() for _ in range(number))
        update_bn(batches, _Answering(network, task))
    network.train(training)


class _Answering(nn.Module):
    """A network that takes its inputs, one or several, as a single argument."""

    def __init__(self, network: nn.Module, task: Task):
        super().__init__()
        self._network = network
        self._task = task

    def forward(self, inputs: Any) -> Any:
        with mixed_precision(self._network, self._task):
            return answer(self._network, inputs)
