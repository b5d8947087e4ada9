"""Let a network read its integers as sizes that remember the attribute they come from."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .sizes import Attribute, TrackedSize, untracked


@contextmanager
def tracked_attributes(network: nn.Module) -> Iterator[None]:
    """Replace the integers in all modules by tracked ones, for the duration of a ``with`` block.

    Integers in tuples and lists, and in the configurations that modules refer to, are tracked, too.
    Afterwards all are plain integers again, also those that modules have stored meanwhile.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(3, 8, 1))
    >>> with tracked_attributes(network):
    ...     width = network[0].out_channels * 2
    >>> width, type(width).__name__, type(network[0].out_channels).__name__
    (16, 'TrackedSize', 'int')
    """
    homes = list(_homes(network))
    for path, attributes in homes:
        for name, value in list(attributes.items()):
            if isinstance(name, str) and not name.startswith("_"):
                attributes[name] = _tracked(value, path, name)
    try:
        yield
    finally:
        for _, attributes in [*homes, *_homes(network)]:
            for name, value in list(attributes.items()):
                plain = untracked(value)
                if plain is not value:
                    attributes[name] = plain


def set_attribute(network: nn.Module, attribute: Attribute, value: int) -> None:
    """Set an integer in a module.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(3, 8, 1))
    >>> set_attribute(network, Attribute("0", ("stride", 1)), 2)
    >>> network[0].stride
    (1, 2)
    """
    name, *rest = attribute.keys
    holder: dict[Any, Any] = vars(network.get_submodule(attribute.module))
    if not rest:
        holder[name] = value
    elif isinstance(rest[0], str):
        vars(holder[name])[rest[0]] = value
    else:
        items = list(holder[name])
        items[rest[0]] = value
        holder[name] = type(holder[name])(items)


def set_attributes(network: nn.Module, values: Mapping[Attribute, int]) -> None:
    """Set integers in modules and in their configurations.

    A configuration that changes is replaced by a copy in all modules: others may refer to it, as
    the program does that makes the network.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(3, 8, 1))
    >>> set_attributes(network, {Attribute("0", ("stride", 1)): 2})
    >>> network[0].stride
    (1, 2)
    """
    copies: dict[int, Any] = {}  # {id of the configuration: its copy}
    for attribute in values:
        name, *rest = attribute.keys
        if rest and isinstance(rest[0], str):
            configuration = getattr(network.get_submodule(attribute.module), str(name))
            copies.setdefault(id(configuration), copy.copy(configuration))
    for module in network.modules() if copies else ():
        for name, value in list(vars(module).items()):
            if id(value) in copies:
                vars(module)[name] = copies[id(value)]
    for attribute, number in values.items():
        set_attribute(network, attribute, number)


def integers_of(network: nn.Module) -> dict[Attribute, int]:
    """The integers in all modules, in their tuples and lists, and in their configurations.

    Examples
    --------
    >>> {str(attribute): value for attribute, value in integers_of(nn.LayerNorm((4, 3))).items()}
    {'normalized_shape.0': 4, 'normalized_shape.1': 3}
    """
    found = {}
    for (module, keys), attributes in _homes(network):
        for name, value in attributes.items():
            if not isinstance(name, str) or name.startswith("_"):
                continue
            if type(value) is int:
                found[Attribute(module, (*keys, name))] = value
            elif not keys and _are_integers(value):
                found.update({Attribute(module, (name, i)): each for i, each in enumerate(value)})
    return found


def get_attribute(network: nn.Module, attribute: Attribute) -> int:
    """An integer in a module.

    Examples
    --------
    >>> get_attribute(nn.Sequential(nn.Conv2d(3, 8, 1)), Attribute("0", ("out_channels",)))
    8
    """
    name, *rest = attribute.keys
    attributes: dict[Any, Any] = vars(network.get_submodule(attribute.module))
    value = attributes[name]
    for key in rest:
        value = vars(value)[key] if isinstance(key, str) else value[key]
    return int(value)


_Home = tuple[tuple[str, tuple[str | int, ...]], MutableMapping[str, Any]]


def _homes(network: nn.Module) -> Iterator[_Home]:
    """The dictionaries of attributes of all modules and of their configurations."""
    seen = set()
    for path, module in network.named_modules():
        attributes = vars(module)
        yield (path, ()), attributes
        for name, value in list(attributes.items()):
            if id(value) not in seen and _is_configuration(value):
                seen.add(id(value))
                yield (path, (name,)), vars(value)


def _is_configuration(value: Any) -> bool:
    """Whether a value is an object that merely holds values, as the config of a language model."""
    if isinstance(value, (nn.Module, torch.Tensor, type)) or callable(value):
        return False
    return "config" in type(value).__name__.lower() and hasattr(value, "__dict__")


def _tracked(value: Any, path: tuple[str, tuple[str | int, ...]], name: str) -> Any:
    module, keys = path
    if type(value) is int and value > 1:
        return TrackedSize(value, Attribute(module, (*keys, name)))
    if not keys and _are_integers(value):
        return type(value)(
            TrackedSize(item, Attribute(module, (name, index))) if item > 1 else item
            for index, item in enumerate(value)
        )
    return value


def _are_integers(value: Any) -> bool:
    return type(value) in (tuple, list) and all(type(item) is int for item in value)
