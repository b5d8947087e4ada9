"""Sizes that remember where they come from: from a tensor's shape, or from a module's attribute.

A size that is read from a tensor adapts by itself when the tensor gets smaller. One that is read
from an attribute adapts once the attribute is set. One that is written as a number never does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch


@dataclass(frozen=True)
class Attribute:
    """An integer in a module.

    Parameters
    ----------
    module
        Name of the module.
    keys
        The attribute's name, then whatever leads from there to the integer: an index into a tuple,
        or the name of an attribute of a configuration.

    Examples
    --------
    >>> str(Attribute("encoder.attention", ("num_heads",)))
    'encoder.attention.num_heads'
    """

    module: str
    keys: tuple[str | int, ...]

    def __str__(self) -> str:
        return ".".join(str(part) for part in (self.module, *self.keys) if part != "")


@dataclass(frozen=True, eq=False)
class TensorDim:
    """The size of a tensor along a dimension."""

    tensor: torch.Tensor
    dim: int


@dataclass(frozen=True, eq=False)
class Computed:
    """A number that was computed from others."""

    function: Callable[..., Any]
    operands: tuple[Any, ...]


Leaf: TypeAlias = Attribute | TensorDim
Expression: TypeAlias = Attribute | TensorDim | Computed | int | float


def leaves(expression: Any) -> Iterator[Leaf]:
    """All attributes and tensor sizes that an expression was computed from.

    Examples
    --------
    >>> heads = Attribute("", ("heads",))
    >>> list(leaves(Computed(operator.mul, (heads, 8)))) == [heads]
    True
    """
    if isinstance(expression, Computed):
        for operand in expression.operands:
            yield from leaves(operand)
    elif isinstance(expression, (Attribute, TensorDim)):
        yield expression


def evaluate(expression: Any, value_of: Callable[[Leaf], int]) -> Any:
    """The value of an expression for other values of its leaves.

    Examples
    --------
    >>> evaluate(Computed(operator.mul, (Attribute("", ("heads",)), 8)), lambda leaf: 3)
    24
    """
    if isinstance(expression, Computed):
        operands = [evaluate(operand, value_of) for operand in expression.operands]
        return expression.function(*operands)
    if isinstance(expression, (Attribute, TensorDim)):
        return value_of(expression)
    return expression


class TrackedSize(int):
    """An integer that remembers how it was computed.

    Parameters
    ----------
    value
        The integer.
    expression
        Where it comes from.

    Examples
    --------
    >>> heads = TrackedSize(4, Attribute("", ("heads",)))
    >>> width = heads * 8
    >>> width, [str(leaf) for leaf in leaves(width.expression)]
    (32, ['heads'])
    """

    expression: Expression

    def __new__(cls, value: int, expression: Expression) -> TrackedSize:
        """An integer that remembers an expression."""
        size = super().__new__(cls, value)
        size.expression = expression
        return size

    def __reduce__(self) -> Any:
        return int, (int(self),)

    def __deepcopy__(self, memo: Any) -> int:
        return int(self)

    def __hash__(self) -> int:
        return int.__hash__(self)


def expression_of(value: Any) -> Expression:
    """How a number was computed; the number itself if nothing is known.

    Examples
    --------
    >>> expression_of(3)
    3
    """
    return value.expression if isinstance(value, TrackedSize) else value


def untracked(value: Any) -> Any:
    """A value with plain integers in place of tracked ones, also within tuples and lists.

    Examples
    --------
    >>> type(untracked([TrackedSize(4, 4)])[0]) is int
    True
    """
    if isinstance(value, TrackedSize):
        return int(value)
    if type(value) in (tuple, list, torch.Size) and any(
        isinstance(item, TrackedSize) for item in value
    ):
        return type(value)(untracked(item) for item in value)
    return value


# Told of numbers that leave the world of sizes, as a scale 1 / sqrt(width), and of comparisons.
Observer: TypeAlias = Callable[[Expression, Any], None]
_observers: dict[str, Observer] = {}


def observe(**observers: Observer) -> None:
    """Set who is told of numbers computed from sizes (``escaped``) and of equal sizes (``equal``).

    Without arguments, nobody is.
    """
    _observers.clear()
    _observers.update(observers)


def _tell(kind: str, expression: Expression, value: Any) -> None:
    observer = _observers.get(kind)
    if observer is not None:
        observer(expression, value)


def _arithmetic(function: Callable[..., Any], swapped: bool = False) -> Callable[..., Any]:
    def compute(self: TrackedSize, *others: Any) -> Any:
        operands = (*others, self) if swapped else (self, *others)
        if not all(isinstance(operand, (int, float)) for operand in operands):
            return NotImplemented
        result = function(*[untracked(operand) for operand in operands])
        expression = Computed(function, tuple(map(expression_of, operands)))
        if type(result) is int:
            return TrackedSize(result, expression)
        _tell("escaped", expression, result)
        return result

    return compute


for _name in ("add", "sub", "mul", "floordiv", "mod", "pow", "truediv"):
    setattr(TrackedSize, f"__{_name}__", _arithmetic(getattr(operator, _name)))
    setattr(TrackedSize, f"__r{_name}__", _arithmetic(getattr(operator, _name), swapped=True))
for _name in ("neg", "abs"):
    setattr(TrackedSize, f"__{_name}__", _arithmetic(getattr(operator, _name)))
TrackedSize.__float__ = _arithmetic(float)  # type: ignore[method-assign]


def _comparison(function: Callable[..., Any]) -> Callable[..., Any]:
    def compare(self: TrackedSize, other: Any) -> Any:
        if not isinstance(other, int):
            return NotImplemented
        if int(self) == int(other):
            _tell("equal", expression_of(self), expression_of(other))
        return function(int(self), int(other))

    return compare


TrackedSize.__eq__ = _comparison(operator.eq)  # type: ignore[method-assign]
TrackedSize.__ne__ = _comparison(operator.ne)  # type: ignore[method-assign]
