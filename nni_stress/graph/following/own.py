"""Layers and operators of users, and how the dimensions of their tensors go together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves

from ...utils.messages import one_line
from ...utils.registry import Registry, check_own_name
from .context import Call, Context
from .counts import Demand
from .dimensions import Dimensions
from .joint import Joint

_Rule = TypeVar("_Rule", bound=Callable[..., Dimensions])
LAYERS: Registry[Callable[[nn.Module], Dimensions]] = Registry("layer", "register_layer", {})
OPERATORS: Registry[Callable[..., Dimensions]] = Registry("operator", "register_operator", {})


def register_layer(layer: type[nn.Module]) -> Callable[[_Rule], _Rule]:
    """Say how the dimensions of a layer's tensors go together.

    For a layer that cannot be followed operator by operator, as one that calls numpy or code in
    another language. Without a rule, what it touches stays. It is run as it is, and all it does
    inside counts as one operator.

    Parameters
    ----------
    layer
        Class of the layer. Classes derived from it have the same rule, unless they have their own.

    Returns
    -------
    Callable
        A decorator of a function that takes the layer and returns its
        :class:`~nni_stress.Dimensions`.

    Raises
    ------
    TypeError
        If it is not a class of modules.
    ValueError
        If it has a rule already, from elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> class Gate(nn.Module):
    ...     def __init__(self, channels):
    ...         super().__init__()
    ...         self.gain = nn.Parameter(torch.ones(channels))
    ...     def forward(self, images):
    ...         squashed = torch.from_numpy(np.tanh(images.detach().numpy()))
    ...         return squashed * self.gain[:, None, None]
    >>> @register_layer(Gate)
    ... def gate(layer):
    ...     return Dimensions("batch c ...", "batch c ...", parameters={"gain": "c"})
    """
    if not isinstance(layer, type) or not issubclass(layer, nn.Module):
        raise TypeError(f"layer must be a class of torch.nn.Module, but got {layer!r}")
    return _registering(LAYERS, layer)


def register_operator(name: str) -> Callable[[_Rule], _Rule]:
    """Say how the dimensions of an operator's tensors go together.

    For an operator of your own, made by ``torch.library``. Without a rule, what it touches stays.

    Parameters
    ----------
    name
        Its name with its namespace and without overload, as ``"my::scale"``.

    Returns
    -------
    Callable
        A decorator of a function that takes what the operator takes, and returns the
        :class:`~nni_stress.Dimensions` of its tensors.

    Raises
    ------
    ValueError
        If the name is not of that form, or the operator has a rule already, from elsewhere.

    Examples
    --------
    >>> @register_operator("example::scale")
    ... def scale(images, gain):
    ...     return Dimensions(["batch c ...", "c"], "batch c ...")
    """
    check_own_name("operator", name)
    return _registering(OPERATORS, name)


def _registering(registry: Registry[Any], key: Any) -> Callable[[_Rule], _Rule]:
    def register(rule: _Rule) -> _Rule:
        if not callable(rule):
            raise TypeError(f"a rule must be a function, but got {rule!r}")
        registry.add(key, rule, rule)
        return rule

    return register


def rule_of(module: nn.Module) -> Callable[[nn.Module], Dimensions] | None:
    """The rule by which a layer is followed; None if it is followed operator by operator.

    Examples
    --------
    >>> rule_of(nn.Linear(2, 2)) is None
    True
    """
    return next((LAYERS[kind] for kind in type(module).__mro__ if kind in LAYERS), None)


def carry_operator(context: Context, call: Call) -> bool:
    """Carry labels through an operator that has a rule of the user's.

    Returns
    -------
    bool
        Whether it has one.

    Raises
    ------
    ValueError
        If the rule does not fit.
    """
    rule = OPERATORS.get(call.name)
    if rule is None:
        return False
    with _named_in_errors(call.name):
        found = _checked(rule(*call.args, **call.kwargs))
        if found.parameters or found.attributes:
            raise ValueError("parameters and attributes are those of layers, an operator has none")
        joint = Joint(context, found, call.tensors, call.outputs, {})
        joint.mark(joint.carry())
    return True


@contextlib.contextmanager
def watching_layers(network: nn.Module, context: Context, demands: list[Demand]) -> Iterator[None]:
    """Follow layers that have a rule of the user's by it, for the duration of a ``with`` block.

    Parameters
    ----------
    network
        The network.
    context
        What is known of the labels.
    demands
        Sizes that attributes must have are added.
    """
    handles = []
    for module in network.modules():
        rule = rule_of(module)
        if rule is not None:
            followed = _Followed(rule, context, demands)
            handles.append(module.register_forward_pre_hook(followed.enter, with_kwargs=True))
            handles.append(
                module.register_forward_hook(followed.leave, with_kwargs=True, always_call=True)
            )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Followed:
    """A layer that is followed by a rule."""

    def __init__(
        self, rule: Callable[[nn.Module], Dimensions], context: Context, demands: list[Demand]
    ):
        self._rule = rule
        self._context = context
        self._demands = demands

    def enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._context.inside += 1

    def leave(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        self._context.inside -= 1
        if self._context.inside or output is None:  # a part of another such layer, or it failed
            return
        with (
            torch._C.DisableTorchFunction(),  # noqa: SLF001
            _disable_current_modes(),
            _named_in_errors(type(module).__name__),
        ):
            self._carry(module, _tensors((args, kwargs)), _tensors(output))

    def _carry(
        self, module: nn.Module, inputs: list[torch.Tensor], outputs: list[torch.Tensor]
    ) -> None:
        found = _checked(self._rule(module))
        if found.statistics and any(True for _ in module.children()):
            raise ValueError("statistics are for layers without submodules")
        parameters = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        name = self._context.relations.modules[-1]
        self._context.relations.operator = type(module).__name__
        joint = Joint(self._context, found, inputs, outputs, parameters)
        planes = joint.carry()
        joint.mark(planes)
        reads = {f"{name}.{leaf}".lstrip("."): dims for leaf, dims in joint.reads().items()}
        self._context.reads.update(reads)
        self._demands += joint.demands(name, module, planes)


def _tensors(values: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def _checked(found: Any) -> Dimensions:
    if not isinstance(found, Dimensions):
        raise ValueError(f"its rule must return nni_stress.Dimensions, but returned {found!r}")
    return found


@contextlib.contextmanager
def _named_in_errors(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise ValueError(f"the rule of {name} does not fit: {one_line(error)}") from error
