"""A block of stress that begins in one call of a trainer and ends in another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from torch.optim import Optimizer

from ..pruning.parameters import parameters_of
from ..pruning.pruner import StressPruner


class StressBlock:
    """Enters and leaves :meth:`nni_stress.StressPruner.stress` for a trainer.

    Parameters
    ----------
    pruner
        The pruner.
    steps
        Length of the stress phase in optimizer steps. None: as long as the trainer trains.

    Examples
    --------
    >>> import torch
    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
    >>> optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    >>> config = [{"op_names": ["0"], "sparse_ratio": 0.5}]
    >>> block = StressBlock(StressPruner(network, config), steps=1)
    >>> block.begin([optimizer], planned=100)
    >>> network(torch.rand(1, 4)).sum().backward()
    >>> optimizer.step()
    >>> block.end()
    """

    def __init__(self, pruner: StressPruner, steps: int | None):
        if not isinstance(pruner, StressPruner):
            raise TypeError(f"pruner must be a nni_stress.StressPruner, but got {pruner!r}")
        self._pruner = pruner
        self._steps = steps
        self._entered: AbstractContextManager[None] | None = None

    def begin(self, optimizers: Sequence[Optimizer], planned: int | None) -> None:
        """Begin a block, with those optimizers that train the pruner's network.

        Parameters
        ----------
        optimizers
            All optimizers of the trainer.
        planned
            How many steps it will take, if that is known.

        Raises
        ------
        ValueError
            If none of the optimizers trains the network, or the length is not known.
        """
        self.abandon()
        parameters = list(parameters_of(self._pruner.bound_model).values())
        held = {id(parameter) for parameter in parameters}
        training = [
            optimizer
            for optimizer in optimizers
            if any(id(each) in held for group in optimizer.param_groups for each in group["params"])
        ]
        steps = self._steps or self._pruner.training_steps or planned
        entered = self._pruner.stress(training or list(optimizers), steps)
        entered.__enter__()
        self._entered = entered

    def end(self, error: BaseException | None = None) -> None:
        """End the block, if there is one; after an error the network is unwrapped."""
        entered, self._entered = self._entered, None
        if entered is None:
            return
        if error is None:
            entered.__exit__(None, None, None)
            return
        traceback: TracebackType | None = error.__traceback__
        try:
            entered.__exit__(type(error), error, traceback)
        except BaseException as raised:
            if raised is not error:
                raise

    def abandon(self) -> None:
        """End a block whose trainer stopped without a word."""
        self.end(KeyboardInterrupt())
