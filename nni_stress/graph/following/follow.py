"""Follow a network for one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import _disable_current_modes

from ...utils.batches import answer
from ...utils.module_modes import evaluating, forget_caches
from .attention import attention_of_any_width
from .context import Context
from .counts import Demand
from .demands import attributes_of
from .follower import Calls, Follower, plain_operators
from .heads import HeadView, head_views
from .labels import Labels, storage_of
from .own import watching_layers
from .relations import Reason, Relations
from .reshapes import Reshapes
from .scales import Contraction, Fold, fold_of, take_scales
from .size_reader import SizeReader
from .sizes import observe
from .storages import own_storages
from .structure import (
    OUTPUT,
    LabelledTensor,
    Roots,
    Structure,
    demand_by_roots,
    normalizing_by_roots,
)
from .tracking import tracked_attributes

Named = list[tuple[list[str], torch.Tensor, list[torch.Tensor]]]


def follow(network: nn.Module, inputs: Any, narrowed: Mapping[int, int] | None = None) -> Structure:
    """Run a network once, and find out which indices of its tensors go together.

    Parameters
    ----------
    network
        The network. Its mode and its weights are left alone.
    inputs
        One batch of inputs: a tensor, a tuple of several, or a mapping of keyword arguments.
    narrowed
        {number of a view: axis of its heads}, of attentions that lose width in place of heads. By
        default, all lose whole heads.

    Returns
    -------
    Structure
        Its structure.

    Raises
    ------
    Exception
        Whatever the network raises for these inputs.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> structure = follow(network, (torch.rand(1, 2),))
    >>> [(tensor.names, tensor.dims) for tensor in structure.tensors][0]
    (('0.weight',), (array([1, 2, 3]), array([0, 0])))
    """
    relations = Relations()
    context = Context(relations, Labels(relations))
    reshapes = Reshapes(context, narrowed)
    calls = Calls(context)
    with own_storages(network):
        with torch.device("cpu"):
            named = label_tensors(network, context)
        with (
            plainly(network),
            watching_layers(network, context, reshapes.demands),  # its hooks come first
            calls.watching(network),
            tracked_attributes(network),
            _observing(reshapes),
            SizeReader(reshapes),
            Follower(context),
        ):
            output = answer(network, inputs)
    with torch.device("cpu"):
        for tensor in output_tensors(output):
            relations.fix(context.labels.of(tensor), Reason(OUTPUT))
            relations.add_statistics(context.summaries.of([tensor]))
        reshapes.demands, scaled = take_scales(reshapes.demands, context.contractions)
        roots = _settled(reshapes, relations, calls)
        return _structure(
            context,
            named,
            reshapes.all_demands(roots),
            calls,
            roots,
            _folds(named, [*reshapes.scaled, *scaled], calls, relations, roots),
            head_views(reshapes.views, context.batched, relations, roots),
            reshapes.narrowed,
        )


def _folds(
    named: Named,
    scaled: Iterable[Contraction],
    calls: Calls,
    relations: Relations,
    roots: Roots,
) -> list[Fold]:
    """Rows that make up for scales that depend on the width of queries."""
    different = {id(item): item for item in scaled if roots[item.first].any()}.values()
    parameters = {
        names[0]: [own.numpy() for own in labels]
        for names, tensor, labels in named
        if isinstance(tensor, nn.Parameter)
    }
    called = list(calls.input_shapes)
    return [fold_of(item, parameters, called, relations, roots) for item in different]


def _settled(reshapes: Reshapes, relations: Relations, calls: Calls) -> Roots:
    """Fix clusters over which a statistic is taken, but for those of norms."""
    taken = {
        module: rows
        for module, rows in relations.statistics.items()
        if module not in calls.normalizing
    }
    while True:
        roots = reshapes.settle(lambda demand: bool(attributes_of(demand)))
        found = False
        for module, statistics in taken.items():
            for rows in statistics:
                clusters = roots[rows]
                some = rows[(clusters != clusters[:, :1]).any(1)]  # others die as a whole
                if len(some):
                    found = True
                    plane = torch.from_numpy(some.astype(np.int32))
                    relations.fix([plane], Reason("mean or other statistic over clusters", module))
        if not found:
            return roots


@contextmanager
def plainly(network: nn.Module) -> Iterator[None]:
    """Let a network run for evaluation, without what it has kept, on operators that have rules."""
    forget_caches(network)
    try:
        with (
            evaluating(network),
            plain_operators(network),
            attention_of_any_width(network),
        ):
            yield
    finally:
        forget_caches(network)


def label_tensors(network: nn.Module, context: Context, first: Sequence[str] = ()) -> Named:
    """Give every index of every dimension of every parameter and buffer a label.

    Parameters
    ----------
    network
        The network.
    context
        What is known of labels.
    first
        Names of tensors that are labelled first, in this order: a network that was wrapped and
        unwrapped has its parameters in another order.
    """
    named: dict[int, tuple[list[str], torch.Tensor, list[torch.Tensor]]] = {}
    tensors = {
        **dict(network.named_parameters(remove_duplicate=False)),
        **dict(network.named_buffers(remove_duplicate=False)),
    }
    kernels = {id(m.weight) for m in network.modules() if isinstance(m, _ConvNd)}
    for name in dict.fromkeys([*first, *tensors]):
        tensor = tensors[name]
        if id(tensor) in named:
            named[id(tensor)][0].append(name)
            continue
        free = 2 if id(tensor) in kernels else tensor.dim()  # positions in a kernel all stay
        labels = [
            context.relations.new(size)
            if size > 1 and dim < free
            else torch.zeros(size, dtype=torch.int32)
            for dim, size in enumerate(tensor.shape)
        ]
        named[id(tensor)] = ([name], tensor, labels)
        context.weights.add(storage_of(tensor))
        shape = [
            [-1 if i == dim else 1 for i in range(tensor.dim())] for dim in range(tensor.dim())
        ]
        planes = [
            own.view(shape[dim]).expand(tensor.shape) for dim, own in enumerate(labels) if own.any()
        ]
        context.labels.assign(tensor, planes)
    return list(named.values())


def _structure(
    context: Context,
    named: Named,
    demands: list[Demand],
    calls: Calls,
    roots: Roots,
    folds: list[Fold],
    heads: list[HeadView],
    narrowed: Mapping[int, int],
) -> Structure:
    tensors = []
    for names, tensor, labels in named:
        dims = [roots[own.numpy()] for own in labels]
        grouped = context.grouped.get(id(tensor))
        if grouped is not None:
            grouped = roots[grouped]
            dims[1] = np.zeros_like(dims[1])
        tensors.append(
            LabelledTensor(
                tuple(names), tensor.shape, isinstance(tensor, nn.Parameter), tuple(dims), grouped
            )
        )
    reasons = context.relations.reasons()
    frozen = {}
    for names, _, labels in named:
        for dim, own in enumerate(labels):
            stuck = [label for label in own.tolist() if label and not roots[label]]
            known = [reasons[label] for label in stuck if label in reasons]
            if known:
                frozen[names[0], dim] = known[0]
    return Structure(
        tensors,
        [
            product._replace(factors=tuple(roots[factor] for factor in product.factors))
            for product in context.products
        ],
        [roots[block.labels] for block in context.blocks],
        [demand_by_roots(demand, roots) for demand in demands],
        {name: normalizing_by_roots(module, roots) for name, module in calls.normalizing.items()},
        frozen,
        calls.input_shapes,
        roots,
        folds,
        heads,
        narrowed,
        bool(context.choices),
        context.reads,
    )


@contextmanager
def _observing(reshapes: Reshapes) -> Iterator[None]:
    observe(escaped=_unwatched(reshapes.escaped), equal=_unwatched(reshapes.equal))
    try:
        yield
    finally:
        observe()


def _unwatched(observer: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """An observer that uses tensors itself, unseen by the modes that watch the program."""

    def run(first: Any, second: Any) -> None:
        with torch._C.DisableTorchFunction(), _disable_current_modes():  # noqa: SLF001
            observer(first, second)

    return run


def output_tensors(value: Any) -> list[torch.Tensor]:
    """All tensors of an output, without the caches of language models."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        items = [item for key, item in value.items() if key != "past_key_values"]
    elif isinstance(value, (tuple, list)):
        items = list(value)
    elif hasattr(value, "__dataclass_fields__"):
        items = list(vars(value).values())
    else:
        return []
    return [tensor for item in items for tensor in output_tensors(item)]
