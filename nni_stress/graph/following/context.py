"""What the rules of operators work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._pytree import tree_map

from .labels import Labels, storage_of
from .planes import Plane, Planes, compact
from .relations import Relations
from .scales import Contraction
from .summaries import Summaries


class Product(NamedTuple):
    """Multiply-accumulates of one operator: a number times the labels of each factor that survive.

    Parameters
    ----------
    module
        Name of the innermost module that ran it.
    constant
        Multiply-accumulates for one label of each factor, for the whole batch.
    factors
        Labels of the dimensions that can shrink; they are counted, and the numbers multiplied.
    """

    module: str
    constant: float
    factors: tuple[NDArray[np.int64], ...]


class Blocks(NamedTuple):
    """Labels of which each row must keep the same number, as the channels of a grouped convolution.

    Parameters
    ----------
    labels
        Shape (groups, channels of a group).
    """

    labels: NDArray[np.int64]


@dataclass
class Context:
    """Everything that is known so far.

    Attributes
    ----------
    relations, labels
        What is known of labels, and the labels of tensors.
    products
        Operators that multiply and accumulate.
    blocks
        Labels whose rows must keep equal numbers.
    grouped
        For each weight of a grouped convolution, by ``id``, the labels of its inputs, of shape
        (groups, inputs of a group).
    splitting
        Whether the program has called ``torch.split``, the sizes of which are judged elsewhere.
    choices
        Names of the modules in which an operator ran whose result has as many elements as the
        values say, as the detections that are left of many.
    summaries
        Statistics whose results nothing is computed from.
    weights
        Storages of the network's parameters and buffers.
    batched
        Labels that varied over a batch of matrices when these were multiplied.
    contractions
        Products of activations that sum over labels.
    reads
        {name of a parameter: dimensions along which its layer reads clusters}, of layers that are
        followed by a rule of the user's.
    inside
        How many layers run that are followed by a rule of the user's: what they do counts as one.
    """

    relations: Relations
    labels: Labels
    products: list[Product] = field(default_factory=list)
    blocks: list[Blocks] = field(default_factory=list)
    grouped: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    splitting: bool = False
    choices: list[str] = field(default_factory=list)
    summaries: Summaries = field(default_factory=Summaries)
    weights: set[int] = field(default_factory=set)
    batched: list[NDArray[np.int64]] = field(default_factory=list)
    contractions: list[Contraction] = field(default_factory=list)
    reads: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inside: int = 0

    def choose(self) -> None:
        """An operator ran whose result has as many elements as the values say."""
        modules = self.relations.modules
        self.choices.append(modules[-1] if modules else "")

    def fix_all(self, tensors: Sequence[torch.Tensor], why: str) -> None:
        """Say that all labels of some tensors must stay."""
        for tensor in tensors:
            self.relations.fix(self.labels.of(tensor), why)

    def count_product(self, planes: Planes, shape: Sequence[int]) -> None:
        """Remember a product of some shape, of which some planes can shrink."""
        small = [compact(plane) for plane in planes]
        elements = np.prod([float(size) for size in shape])
        constant = elements / np.prod([float(plane.numel()) for plane in small])
        modules = self.relations.modules
        factors = tuple(plane.reshape(-1).numpy().astype(np.int64) for plane in small)
        self.products.append(Product(modules[-1] if modules else "", constant, factors))


@dataclass
class Call:
    """One operator that has run.

    Attributes
    ----------
    func
        The operator, as ``torch.ops.aten.add.Tensor``.
    name
        Its name without overload, ``add``; of an operator of the user's with its namespace.
    args, kwargs
        What it was given.
    tensors, outputs
        All tensors in its arguments and in its result.
    mutable
        Whether it writes into an argument.
    """

    func: Any
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    tensors: list[torch.Tensor]
    outputs: list[torch.Tensor]
    mutable: bool

    @property
    def new_outputs(self) -> list[torch.Tensor]:
        """The outputs that are no views of its arguments, nor written into one."""
        storages = set(map(storage_of, self.tensors))
        return [output for output in self.outputs if storage_of(output) not in storages]

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument given by position or by name."""
        if len(self.args) > position:
            return self.args[position]
        return self.kwargs.get(name, default)

    def applied_to(self, plane: Plane) -> torch.Tensor:
        """The first result of the operator for a plane, which lies in the CPU's memory."""
        args, kwargs = tree_map(_on_cpu, (self.args[1:], self.kwargs))
        result = self.func(plane, *args, **kwargs)
        first: torch.Tensor = result if isinstance(result, torch.Tensor) else result[0]
        return first


def _on_cpu(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return torch.zeros(value.shape, dtype=value.dtype) if value.is_meta else value.cpu()


def name_of(func: Any) -> str:
    """The name of an operator: ``add`` of torch's own, ``my::add`` of a user's.

    Examples
    --------
    >>> name_of(torch.ops.aten.add.Tensor)
    'add'
    """
    namespace, _, name = func._schema.name.partition("::")  # noqa: SLF001, torch has no other name
    return str(name if namespace in _TORCHS else f"{namespace}::{name}")


# Namespaces of operators to which the rules here apply.
_TORCHS = ("aten", "prim", "prims", "torchvision", "quantized", "mkldnn", "onednn")

Rule: TypeAlias = Callable[[Context, Call], None]


def named(names: str, rule: Rule) -> dict[str, Rule]:
    """The rule of several operators, whose names are separated by blanks.

    Examples
    --------
    >>> sorted(named("sum mean", lambda context, call: None))
    ['mean', 'sum']
    """
    return dict.fromkeys(names.split(), rule)


def put(context: Context, call: Call, output: torch.Tensor, planes: Planes) -> None:
    """Set the planes of an output, which may be a part of a tensor that was written to."""
    if call.mutable:
        context.labels.write(output, planes)
    else:
        context.labels.assign(output, planes)


def broadcast(plane: Plane, shape: Sequence[int]) -> Plane:
    """A plane with as many dimensions as a shape, new ones in front, spread to that shape."""
    missing = len(shape) - plane.dim()
    return compact(plane[(None,) * missing]).expand(tuple(shape))
