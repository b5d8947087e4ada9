"""Forward passes of modules, replaced for a time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

_BEFORE = "_nni_stress_before"


class PatchedForward:
    """Replaces the forward pass of a module; of one that NNI wraps, what the wrapper calls.

    Parameters
    ----------
    module
        The module.
    forward
        Called with the former forward pass and the arguments.

    Examples
    --------
    >>> import torch
    >>> layer = nn.Identity()
    >>> patched = PatchedForward(layer, lambda plain, values: 2 * plain(values))
    >>> layer(torch.ones(1))
    tensor([2.])
    >>> patched.undo()
    >>> layer(torch.ones(1))
    tensor([1.])
    """

    def __init__(self, module: nn.Module, forward: Callable[..., Any]):
        wrapper = getattr(module, "_nni_wrapper", None)
        wrapped = wrapper is not None and module.forward == wrapper.forward
        self._holder: nn.Module = wrapper if wrapped else module  # type: ignore[assignment]
        self._name = "module_forward" if wrapped else "forward"
        self._before = vars(self._holder).get(self._name)
        plain = getattr(self._holder, self._name)
        self._forward = functools.partial(forward, plain)
        functools.update_wrapper(self._forward, plain)  # trainers look at the signature
        setattr(self._forward, _BEFORE, self._before)
        setattr(self._holder, self._name, self._forward)

    def undo(self) -> None:
        """Put the former forward pass back, unless it has been replaced again."""
        if vars(self._holder).get(self._name) is not self._forward:
            return
        _put_back(self._holder, self._name, self._before)


def undo_all(network: nn.Module) -> None:
    """Put all former forward passes back, in a network or a copy of one.

    Examples
    --------
    >>> import copy
    >>> network = nn.Sequential(nn.Identity())
    >>> patched = PatchedForward(network[0], lambda plain, values: 2 * plain(values))
    >>> copied = copy.deepcopy(network)
    >>> undo_all(copied)
    >>> "forward" in vars(copied[0]), "forward" in vars(network[0])
    (False, True)
    """
    for module in network.modules():
        for name in ("forward", "module_forward"):
            while (before := getattr(vars(module).get(name), _BEFORE, module)) is not module:
                _put_back(module, name, before)


def _put_back(holder: nn.Module, name: str, before: Any) -> None:
    if before is None:
        delattr(holder, name)
    else:
        setattr(holder, name, before)
