"""Names of the dimensions of what a layer or an operator of the user's takes and returns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

_REST = "..."
_STAYS = "_"
_WORDS = re.compile(r"\.\.\.|[A-Za-z_]\w*|1|[()]|\S+")

Axes: TypeAlias = tuple[str, ...]
"""The names that one dimension of a tensor is composed of; none for a dimension of size 1."""


@dataclass(frozen=True)
class Dimensions:
    """Which dimensions of a layer's tensors go together.

    Dimensions are named as in einops: by words, separated by blanks. Where a name stands twice,
    index by index belongs together, and can only be removed together. In place of a name may stand

    - ``...``: any number of dimensions, the same wherever it stands;
    - ``(heads width)``: a dimension that is composed of several, the last one fastest;
    - ``_``: a dimension that must stay as it is;
    - ``1``: a dimension of size 1.

    A dimension of an input that is named nowhere else may have any size, as one that a layer sums
    over. What a rule names nowhere, or of a parameter only once, stays.

    Parameters
    ----------
    inputs
        The dimensions of each tensor that the layer or operator takes, in order; None for one that
        must stay as it is. Of a layer, the tensors among the arguments of its forward pass; of an
        operator, all tensors among its arguments, weights included.
    outputs
        The dimensions of each tensor that it returns, in order.
    parameters
        {name: dimensions} of the layer's parameters and buffers. Those that are not named stay.
    attributes
        {name: dimension} of integers that the layer keeps and reads when it runs. A small layer has
        the size of its dimension there.
    statistics
        Names of dimensions over which the layer takes a statistic, as a mean, a maximum, a norm or
        a softmax. Removed clusters are left out of it.
    macs
        Names of dimensions whose sizes, multiplied, are the multiply-accumulates that PyTorch's
        operators do in the layer for the whole batch; what others do is not counted anywhere.
    sizes
        {name: size} of names that stand in composed dimensions only.

    Raises
    ------
    ValueError
        If a text is not of this form, or a name is unknown.

    Examples
    --------
    A linear layer, for any number of dimensions in front:

    >>> names = Dimensions("... taken", "... made", {"weight": "made taken", "bias": "made"})
    >>> names.parameters["weight"]
    'made taken'
    """

    inputs: str | Sequence[str | None]
    outputs: str | Sequence[str]
    parameters: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    statistics: str = ""
    macs: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _listed("inputs", self.inputs))
        object.__setattr__(self, "outputs", _listed("outputs", self.outputs))
        for name in ("parameters", "attributes", "sizes"):
            if not isinstance(getattr(self, name), Mapping):
                raise ValueError(f"{name} must be a mapping, but got {getattr(self, name)!r}")
        texts = [*self.inputs, *self.outputs, *self.parameters.values()]
        known = {word for text in texts if text is not None for own in parsed(text) for word in own}
        asked = [*self.statistics.split(), *self.macs.split(), *self.attributes.values()]
        for word in [*asked, *self.sizes]:
            if word != _REST and (word not in known or word == _STAYS):
                shown = ", ".join(sorted(known - {_REST, _STAYS})) or "none"
                raise ValueError(f"dimension {word!r} is named by no tensor; named are {shown}")


def _listed(what: str, texts: Any) -> tuple[str | None, ...]:
    listed = (texts,) if isinstance(texts, str) else texts
    if not isinstance(listed, (list, tuple)) or not all(
        isinstance(text, str) or (text is None and what == "inputs") for text in listed
    ):
        raise ValueError(
            f"{what} must be names of dimensions, or a list of them, but got {texts!r}"
        )
    return tuple(listed)


def parsed(text: str) -> list[Axes]:
    """The names of each dimension of a tensor.

    Raises
    ------
    ValueError
        If the text is not of the form that :class:`Dimensions` describes.

    Examples
    --------
    >>> parsed("batch (heads width) 1 ...")
    [('batch',), ('heads', 'width'), (), ('...',)]
    """
    if not isinstance(text, str):
        raise ValueError(f"names of dimensions must be a text, but got {text!r}")
    found: list[Axes] = []
    inside: list[str] | None = None
    for word in _WORDS.findall(text):
        if word == "(" and inside is None:
            inside = []
        elif word == ")" and inside:
            found.append(tuple(inside))
            inside = None
        elif not (word.isidentifier() or word in ("1", _REST)) or (
            inside is not None and word in ("1", _REST, _STAYS)
        ):
            raise ValueError(f"names of dimensions must be words, but got {word!r} in {text!r}")
        elif inside is not None:
            inside.append(word)
        else:
            found.append(() if word == "1" else (word,))
    if inside is not None:
        raise ValueError(f"a bracket is not closed in {text!r}")
    if found.count((_REST,)) > 1:
        raise ValueError(f"'...' may stand once, but {text!r} has it twice")
    return found


class Named(NamedTuple):
    """The names of the dimensions of one tensor.

    Parameters
    ----------
    where
        What the tensor is, for messages.
    dims
        The names of each of its dimensions.
    """

    where: str
    dims: list[Axes]

    @property
    def axes(self) -> list[str]:
        """All names, in order."""
        return [axis for dim in self.dims for axis in dim]


def named(where: str, text: str, shape: Sequence[int], rest: dict[str, int]) -> Named:
    """The names of the dimensions of a tensor of some shape.

    Parameters
    ----------
    where
        What the tensor is, for messages.
    text
        The names.
    shape
        Its shape.
    rest
        For how many dimensions ``...`` stands, under that key, as far as it is known; filled in.

    Raises
    ------
    ValueError
        If the tensor has another number of dimensions.

    Examples
    --------
    >>> named("inputs", "... taken", (2, 5, 8), {}).dims
    [('...0',), ('...1',), ('taken',)]
    """
    dims = parsed(text)
    number = len(shape)
    if (_REST,) in dims:
        free = number - len(dims) + 1
        if free < 0 or rest.setdefault(_REST, free) != free:
            known = rest.get(_REST, free)
            expected = f"{len(dims) - 1 + max(known, 0)} dimensions ({text})"
            raise ValueError(f"{where} must have {expected}, but has {number}")
        at = dims.index((_REST,))
        dims[at : at + 1] = [(f"{_REST}{index}",) for index in range(free)]
    if len(dims) != number:
        raise ValueError(f"{where} must have {len(dims)} dimensions ({text}), but has {number}")
    for dim, axes in enumerate(dims):
        if axes == () and shape[dim] != 1:
            raise ValueError(f"{where}: dimension {dim} must be of size 1, but is {shape[dim]}")
        if axes == (_STAYS,):
            dims[dim] = (f"{_STAYS}{where}{dim}",)
    found = Named(where, dims)
    twice = [axis for axis in found.axes if found.axes.count(axis) > 1]
    if twice:
        raise ValueError(f"{where} must have different names for its dimensions, but got {text!r}")
    return found


def stays(axis: str) -> bool:
    """Whether the name of a dimension says that it must stay."""
    return axis.startswith(_STAYS)


def sizes_of(
    tensors: Iterable[tuple[Named, Sequence[int]]], given: Mapping[str, int]
) -> dict[str, int]:
    """The size of each name.

    Parameters
    ----------
    tensors
        The names and the shape of each tensor.
    given
        Sizes that are known.

    Raises
    ------
    ValueError
        If a name has two sizes, or the size of one is not known.

    Examples
    --------
    >>> tensors = [(named("inputs", "(heads width)", (12,), {}), (12,))]
    >>> sizes_of(tensors, {"heads": 3})
    {'heads': 3, 'width': 4}
    """
    sizes = dict(given)
    source = dict.fromkeys(given, "sizes")

    def learn(axis: str, size: int, where: str) -> None:
        if sizes.setdefault(axis, size) != size:
            raise ValueError(
                f"dimension {axis} must have one size, but has {sizes[axis]} in {source[axis]} "
                f"and {size} in {where}"
            )
        source.setdefault(axis, where)

    tensors = [(own, [int(size) for size in shape]) for own, shape in tensors]
    for own, shape in tensors:
        for dim, size in zip(own.dims, shape):
            if len(dim) == 1:
                learn(dim[0], size, own.where)
    for own, shape in tensors:
        for dim, size in zip(own.dims, shape):
            unknown = [axis for axis in dim if axis not in sizes]
            product = math.prod(sizes.get(axis, 1) for axis in dim)
            if len(unknown) > 1:
                raise ValueError(f"sizes must have the size of {unknown[0]}, but it is not known")
            if unknown and size % product == 0:
                learn(unknown[0], size // product, own.where)
            elif len(dim) > 1 and size != product:
                raise ValueError(
                    f"({' '.join(dim)}) must have the size {product}, but has {size} in {own.where}"
                )
    return sizes
