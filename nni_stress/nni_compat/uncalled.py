"""Wrapped modules whose parameters other modules read, without calling them.

NNI's wrapper masks parameters while its module is called. Attentions, for example, read the weights
of their projections instead, and would see a copy that is neither masked nor trained.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nni.compression.base.target_space import TargetType
from nni.compression.base.wrapper import ModuleWrapper
from torch import nn


class UncalledWrappers:
    """Lets a network run with the masked parameters of wrapped modules that are not called.

    Parameters
    ----------
    network
        The wrapped network.
    wrappers
        Its wrappers by the names of their modules.
    called
        Names of the modules that are called.

    Examples
    --------
    >>> import torch
    >>> class Reader(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = nn.Linear(2, 1, bias=False)
    ...
    ...     def forward(self, values):
    ...         return values @ self.layer.weight.T
    >>> network = Reader()
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(network.layer, "layer", config)
    >>> wrapper.wrap()
    >>> wrapper.pruning_target_spaces["weight"].mask = torch.zeros(1, 2)
    >>> before = float(network(torch.ones(1, 2)))
    >>> uncalled = UncalledWrappers(network, {"layer": wrapper}, called={""})
    >>> before != 0, float(network(torch.ones(1, 2)))
    (True, 0.0)
    >>> uncalled.take_off()
    >>> float(network(torch.ones(1, 2))) == before
    True
    """

    def __init__(
        self, network: nn.Module, wrappers: Mapping[str, ModuleWrapper], called: Container[str]
    ):
        self._wrappers = [wrapper for name, wrapper in wrappers.items() if name not in called]
        self._handles = []
        if self._wrappers:
            self._handles = [
                network.register_forward_pre_hook(lambda network, args: self.put_on()),
                network.register_forward_hook(self._after_run, always_call=True),
            ]

    def put_on(self) -> None:
        """Show the masked parameters, until the run of the network ends."""
        for wrapper in self._wrappers:
            vars(wrapper.module).update(wrapper.patch_params(parameters_of_wrapper(wrapper)))

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the masked parameters for the duration of a ``with`` block."""
        self.put_on()
        try:
            yield
        finally:
            self._hide()

    def take_off(self) -> None:
        """Let the network run as NNI leaves it."""
        for handle in self._handles:
            handle.remove()
        self._hide()

    def _after_run(self, network: nn.Module, args: Any, output: Any) -> None:
        self._hide()

    def _hide(self) -> None:
        for wrapper in self._wrappers:
            for name in wrapper.pruning_target_spaces:
                vars(wrapper.module).pop(name, None)


def parameters_of_wrapper(wrapper: ModuleWrapper) -> dict[str, Any]:
    """The parameters that a wrapper has taken from its module, by name.

    Examples
    --------
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", {"pruning": {"sparse_ratio": 0.5}})
    >>> list(parameters_of_wrapper(wrapper))
    ['weight', 'bias']
    """
    return {
        name: space.target
        for name, space in wrapper.pruning_target_spaces.items()
        if space.type is TargetType.PARAMETER and space.target is not None
    }
