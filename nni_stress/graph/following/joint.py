"""Tie the labels of tensors whose dimensions have names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from .context import Context
from .counts import Count, Demand
from .dimensions import Dimensions, Named, named, sizes_of, stays
from .planes import Plane, Planes, compact, varies
from .rules.elementwise import Operand, combine
from .sizes import Attribute


class _Tensor(NamedTuple):
    """A tensor with names of its dimensions."""

    named: Named
    tensor: torch.Tensor


class Joint:
    """All tensors of a layer or an operator in one shape, with a dimension for every name.

    Parameters
    ----------
    context
        What is known of the labels.
    rule
        The names of the dimensions.
    inputs, outputs
        The tensors that it took and made.
    parameters
        Its parameters and buffers by name.

    Raises
    ------
    ValueError
        If the rule does not fit the tensors.
    """

    def __init__(
        self,
        context: Context,
        rule: Dimensions,
        inputs: Sequence[torch.Tensor],
        outputs: Sequence[torch.Tensor],
        parameters: Mapping[str, torch.Tensor],
    ):
        self._context = context
        self._rule = rule
        rest: dict[str, int] = {}
        unknown = [name for name in rule.parameters if name not in parameters]
        if unknown:
            have = ", ".join(parameters) or "none"
            raise ValueError(f"parameters must be some of {have}, but got {unknown[0]!r}")
        self._taken = taken = _named("inputs", rule.inputs, inputs, rest)
        self._own = own = [
            _Tensor(named(name, text, parameters[name].shape, rest), parameters[name])
            for name, text in rule.parameters.items()
        ]
        self._made = _named("outputs", rule.outputs, outputs, rest)
        self._read = [*taken, *own]
        self._unread = [
            *(tensor for tensor, text in zip(inputs, rule.inputs) if text is None),
            *(tensor for name, tensor in parameters.items() if name not in rule.parameters),
        ]
        everything = [*self._read, *self._made]
        self.sizes = sizes_of([(each.named, each.tensor.shape) for each in everything], rule.sizes)
        self._axes = list(self.sizes)
        self._once = _only_in_a_parameter(taken, own, self._made)

    def carry(self) -> Planes:
        """Tie what goes together, and label the outputs; return the labels by all names."""
        relations = self._context.relations
        self._context.fix_all(self._unread, "named by no dimension of its rule")
        planes = combine(self._context, map(self._operand, self._read))
        kept = []
        for plane in planes:
            fixed = [axis for axis in self._varying(plane) if stays(axis) or axis in self._once]
            if fixed:
                relations.fix([plane], f"its rule lets {fixed[0].lstrip('_')} stay")
            else:
                kept.append(plane)
        for made in self._made:
            labels = self._labels(made, kept)
            self._context.labels.assign(made.tensor, labels)
        return kept

    def _varying(self, plane: Plane) -> list[str]:
        return [axis for dim, axis in enumerate(self._axes) if varies(plane, dim)]

    def _operand(self, read: _Tensor) -> Operand:
        shape = [self.sizes[axis] for axis in self._axes]
        whole = [self.sizes[axis] for axis in read.named.axes]
        order = [read.named.axes.index(axis) for axis in self._axes if axis in read.named.axes]

        def placed(plane: Plane) -> Plane:
            own = compact(plane).expand(plane.shape).reshape(whole).permute(order)
            for dim, axis in enumerate(self._axes):
                if axis not in read.named.axes:
                    own = own.unsqueeze(dim)
            return compact(own).expand(shape)

        planes = [placed(plane) for plane in self._context.labels.of(read.tensor)]
        sized = [axis in read.named.axes and self.sizes[axis] > 1 for axis in self._axes]
        return Operand(planes, sized, self._context.labels.neutral(read.tensor))

    def _labels(self, made: _Tensor, planes: Planes) -> Planes:
        """The labels of an output."""
        gone = [dim for dim, axis in enumerate(self._axes) if axis not in made.named.axes]
        left = [axis for axis in self._axes if axis in made.named.axes]
        order = [left.index(axis) for axis in made.named.axes]
        found = []
        for plane in self._context.relations.summed(planes, gone):
            own = compact(plane.permute(order))
            start = 0
            sizes = []
            for dim in made.named.dims:
                parts = list(range(start, start + len(dim)))
                if any(own.shape[part] > 1 for part in parts):
                    wanted = [own.shape[d] for d in range(own.dim())]
                    for part, axis in zip(parts, dim):
                        wanted[part] = self.sizes[axis]
                    own = own.expand(wanted)
                sizes.append(int(np.prod([own.shape[part] for part in parts], dtype=int)))
                start += len(dim)
            found.append(own.reshape(sizes).expand(made.tensor.shape))
        return found

    def mark(self, planes: Planes) -> None:
        """Remember the statistics and the products of the rule."""
        dims = [self._axes.index(axis) for axis in self._expanded(self._rule.statistics)]
        self._context.relations.mark_statistic(planes, dims)
        if self._rule.macs:
            counted = self._expanded(self._rule.macs)
            out = [dim for dim, axis in enumerate(self._axes) if axis not in counted]
            factors = self._context.relations.summed(planes, out, keepdim=True)
            shape = [self.sizes[axis] if axis in counted else 1 for axis in self._axes]
            self._context.count_product([own.expand(shape) for own in factors], shape)

    def reads(self) -> dict[str, tuple[int, ...]]:
        """For each parameter, the dimensions along which the layer reads clusters.

        These are the ones that do not go on to an output. A name that only parameters have is read
        by all of them but the first.
        """
        made = {axis for each in self._made for axis in each.named.axes}
        first = {axis for each in self._taken for axis in each.named.axes}
        found = {}
        for own in self._own:
            dims = enumerate(own.named.dims)
            reading = [dim for dim, axes in dims if not made.intersection(axes) and first & {*axes}]
            found[own.named.where] = tuple(reading)
            first.update(own.named.axes)
        return found

    def _expanded(self, text: str) -> list[str]:
        words = text.split()
        return [axis for axis in self._axes if axis in words or (axis[:3] in words)]

    def demands(self, module: str, layer: torch.nn.Module, planes: Planes) -> Iterable[Demand]:
        """The sizes that attributes of a layer must have.

        Raises
        ------
        ValueError
            If an attribute is not of the size that it is said to be.
        """
        for name, axis in self._rule.attributes.items():
            value, size = getattr(layer, name, None), self.sizes[axis]
            if value != size:
                raise ValueError(
                    f"attribute {name} must be {size}, that of {axis}, but is {value!r}"
                )
            dim = self._axes.index(axis)
            for plane in planes:
                if varies(plane, dim):
                    rows = compact(plane).movedim(dim, 0)
                    counted = Count(rows.reshape(len(rows), -1).numpy().astype(np.int64))
                    reason = self._context.relations.here(f"size of attribute {name}")
                    yield Demand(Attribute(module, (name,)), counted, reason)


def _named(
    what: str, texts: Sequence[str | None], tensors: Sequence[torch.Tensor], rest: dict[str, int]
) -> list[_Tensor]:
    if len(texts) != len(tensors):
        raise ValueError(
            f"{what} must name {len(tensors)} tensors, but the rule names {len(texts)}"
        )
    several = len(texts) > 1
    return [
        _Tensor(named(f"{what}[{i}]" if several else what, text, tensor.shape, rest), tensor)
        for i, (text, tensor) in enumerate(zip(texts, tensors))
        if text is not None
    ]


def _only_in_a_parameter(
    taken: Iterable[_Tensor], own: Iterable[_Tensor], made: Iterable[_Tensor]
) -> set[str]:
    """Names that stand once, in a parameter: nothing says what else would go with it."""
    elsewhere = {axis for each in (*taken, *made) for axis in each.named.axes}
    counted = [axis for each in own for axis in each.named.axes if axis not in elsewhere]
    return {axis for axis in counted if counted.count(axis) == 1}
