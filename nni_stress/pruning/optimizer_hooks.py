"""Hooks of torch's optimizers, by which a pruner follows any training loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import torch
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle


def optimizers_of(
    given: Any, parameters: Collection[torch.nn.Parameter]
) -> list[torch.optim.Optimizer]:
    """The optimizers that were given, without what other libraries wrap them in.

    Parameters
    ----------
    given
        An optimizer, or a list of them.
    parameters
        The parameters of the network that they train.

    Raises
    ------
    TypeError
        If anything else was given.
    ValueError
        If one trains none of the parameters.

    Examples
    --------
    >>> network = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    >>> optimizers_of(optimizer, list(network.parameters())) == [optimizer]
    True
    """
    several = list(given) if isinstance(given, (list, tuple)) else [given]
    if not several or not all(isinstance(each, Optimizer) for each in several):
        raise TypeError(
            f"optimizer must be a torch.optim.Optimizer or a list of them, but got {given!r}"
        )
    found = []
    for each in several:
        while isinstance(inner := vars(each).get("optimizer"), Optimizer):  # as accelerate's
            each = inner
        if not owners_of(parameters, [each]):
            raise ValueError(
                f"optimizer must train the pruner's network, but this {type(each).__name__} has "
                f"none of its parameters; was it made for a copy of the network?"
            )
        found.append(each)
    return found


def owners_of(
    parameters: Iterable[torch.nn.Parameter], optimizers: Sequence[Optimizer]
) -> dict[int, int]:
    """For parameters, by their identity, the index of the optimizer that trains them.

    Those that none trains are not among them.

    Examples
    --------
    >>> layer = torch.nn.Linear(2, 1)
    >>> one, other = (torch.optim.SGD([each], lr=0.1) for each in (layer.weight, layer.bias))
    >>> owners_of(layer.parameters(), [one, other]) == {id(layer.weight): 0, id(layer.bias): 1}
    True
    """
    own = {id(parameter) for parameter in parameters}
    return {
        id(parameter): index
        for index, optimizer in enumerate(optimizers)
        for group in optimizer.param_groups
        for parameter in group["params"]
        if id(parameter) in own
    }


class StepHooks:
    """Tells of the steps of optimizers.

    A step counts once every optimizer has stepped. Those that a ``GradScaler`` skips do not count.

    Parameters
    ----------
    optimizers
        The optimizers.
    before_step
        Called with the index of an optimizer and the gradients of its parameters in place, before
        its step; where it computes them by a closure, after the first evaluation.
    after_step
        Called after a step.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> optimizer = torch.optim.SGD([weight], lr=0.5)
    >>> weight.grad = torch.ones(1)
    >>> hooks = StepHooks(
    ...     [optimizer], lambda index: print(float(weight)), lambda: print(float(weight))
    ... )
    >>> optimizer.step()
    1.0
    0.5
    >>> hooks.remove()
    >>> optimizer.step()
    """

    def __init__(
        self,
        optimizers: Sequence[Optimizer],
        before_step: Callable[[int], None],
        after_step: Callable[[], None],
    ):
        self._indices = {id(optimizer): index for index, optimizer in enumerate(optimizers)}
        self._before_step = before_step
        self._after_step = after_step
        self._stepped: set[int] = set()
        self._handles: list[RemovableHandle] = []
        # where the step is compiled, these are not
        before = torch.compiler.disable(self._before)
        after = torch.compiler.disable(self._after)
        for optimizer in optimizers:
            self._handles.append(optimizer.register_step_pre_hook(before))
            self._handles.append(optimizer.register_step_post_hook(after))

    def remove(self) -> None:
        """Leave the optimizers as they were."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """Look at the gradients, or let the closure do so; returns the arguments of the step."""
        index = self._indices[id(optimizer)]
        if index in self._stepped or _is_skipped(optimizer):
            return None
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is None:
            _unscale(optimizer)
            self._before_step(index)
            return None
        looking = _LooksOnce(closure, lambda: self._before_step(index))
        if "closure" in kwargs:
            return args, {**kwargs, "closure": looking}
        return (args[0], looking, *args[2:]), kwargs

    def _after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if _is_skipped(optimizer):
            return
        self._stepped.add(self._indices[id(optimizer)])
        if len(self._stepped) == len(self._indices):
            self._stepped.clear()
            self._after_step()


class _LooksOnce:
    """A closure that has its gradients looked at when it is called first."""

    def __init__(self, closure: Callable[[], Any], look: Callable[[], None]):
        self._closure = closure
        self._look: Callable[[], None] | None = look

    def __call__(self) -> Any:
        loss = self._closure()
        if self._look is not None:
            with torch.no_grad():
                self._look()
            self._look = None
        return loss


def _is_skipped(optimizer: Optimizer) -> bool:
    """Whether a fused optimizer will skip its step, or has skipped it.

    A GradScaler does not call other optimizers. It tells these whether gradients are infinite.
    """
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)


def _unscale(optimizer: Optimizer) -> None:
    """Take a GradScaler's factor out of gradients that a fused optimizer would take out itself."""
    scale = getattr(optimizer, "grad_scale", None)
    if scale is None:
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad.div_(scale.to(parameter.grad.device))
    optimizer.grad_scale = None  # type: ignore[attr-defined]
