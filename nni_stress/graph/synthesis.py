"""From an ancestor and its masks to the physically small offspring, along with its optimizer."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeGuard

import torch
from torch import nn

from ..exceptions import SynthesisError
from . import slicing
from .cluster_graph import ClusterGraph
from .compact_masks import collapsed
from .following.cutting import Slice, cut
from .memory_layout import laid_out_as, memory_format_of
from .verification import Answer, doubled, masked_answer, problem_with, runs

_log = logging.getLogger(__name__)

State: TypeAlias = dict[str, Any]  # what an optimizer remembers of one parameter
Parameters: TypeAlias = Mapping[str, nn.Parameter]


def synthesize(
    ancestor: nn.Module,
    example_input: Any,
    masks: slicing.Masks,
    optimizer: torch.optim.Optimizer | None = None,
    graph: ClusterGraph | None = None,
    also_removed: Set[int] = frozenset(),
) -> nn.Module:
    """Make an ancestor physically small.

    Clusters (output channels, neurons, heads, ...) that the masks remove as a whole are cut. What
    else the masks remove is zero in the offspring. The offspring is run once and compared with the
    masked ancestor, and once more with each example twice. The network's outputs all stay,
    whatever the masks say.

    Parameters
    ----------
    ancestor
        The network that the masks were made for, without NNI's wrappers. It becomes the offspring.
    example_input
        One batch of inputs, a tensor or a tuple of tensors.
    masks
        ``{layer: {target: tensor of 0 and 1}}``, as a pruner's ``compress`` returns them.
    optimizer
        The optimizer that trained the ancestor. Afterwards it trains the offspring, and its state
        of the surviving synapses (weights), as momentum, is unchanged. The state of a parameter is
        dropped if it holds tensors of other shapes than the parameter's, as Adafactor's does.
    graph
        The ancestor's cluster graph, if it is known already.
    also_removed
        Clusters by the graph's numbers that are removed although no mask shows it.

    Returns
    -------
    torch.nn.Module
        The offspring, in the ancestor's mode and memory format.

    Raises
    ------
    ValueError
        If the ancestor does not run on the example input.
    SynthesisError
        If the offspring does not compute what the masked ancestor does. The ancestor is left whole.

    Examples
    --------
    >>> ancestor = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> mask = torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    >>> synthesize(ancestor, torch.rand(1, 2), {"0": {"weight": mask}})
    Sequential(
      (0): Linear(in_features=2, out_features=2, bias=True)
      (1): ReLU()
      (2): Linear(in_features=2, out_features=1, bias=True)
    )
    """
    graph = graph or ClusterGraph(ancestor, example_input)
    masks, layers = slicing.keep_outputs(graph, ancestor, masks)
    if layers:
        _log.warning(
            "%s: all outputs stay, as they are those of the network, though the masks remove some",
            ", ".join(layers),
        )
    removed = slicing.removed_by(graph, ancestor, masks, also_removed)
    zeros = _remaining_zeros(graph, ancestor, masks, removed)
    before = dict(ancestor.named_parameters()) if optimizer is not None else {}
    with _zeroed(ancestor, zeros):
        expected = masked_answer(ancestor, graph.structure, removed, graph.inputs)
    twice = doubled(graph.inputs)
    make_small = functools.partial(_make_small, ancestor, graph, removed, expected, zeros)
    try:
        states = make_small(optimizer, twice)
    except _OtherNumbersError:
        if runs(ancestor, twice) is None:
            raise
        states = make_small(optimizer, None)  # the ancestor does not run on it, either
    if optimizer is not None:
        after = dict(ancestor.named_parameters())
        repoint(optimizer, before, after, lambda parameter: states.get(id(parameter), {}))
    return ancestor


class _OtherNumbersError(SynthesisError):
    """A small network does not run on other numbers of examples."""


def _make_small(
    ancestor: nn.Module,
    graph: ClusterGraph,
    removed: set[int],
    expected: Answer,
    zeros: Zeros,
    optimizer: torch.optim.Optimizer | None,
    twice: Any,
) -> dict[int, State]:
    """Cut the ancestor, and check it; return the state of each new parameter, by its ``id``."""
    memory_format = memory_format_of(ancestor)
    states: dict[int, State] = {}
    remaining = dict(zeros)
    with _whole_on_failure(ancestor, zeros):
        cut(ancestor, graph.structure, removed, _carrying(optimizer, states, remaining))
        for parameter, mask in remaining.items():  # of those that were not cut
            parameter.data = parameter.data * mask.to(parameter)
        ancestor.to(memory_format=memory_format)
        names = ", ".join(slicing.masks_of(graph, ancestor, removed)) or "no layer"
        wrong = f"the network without clusters of {names} is wrong"
        problem = problem_with(ancestor, expected, graph.inputs, graph.structure)
        if problem is not None:
            raise SynthesisError(f"{wrong}: {problem}")
        failure = None if twice is None else runs(ancestor, twice)
        if failure is not None:
            raise _OtherNumbersError(f"{wrong}: with other numbers of examples it fails: {failure}")
    return states


Zeros: TypeAlias = dict[nn.Parameter, torch.Tensor]  # {parameter: mask that is not cut away}


def _remaining_zeros(
    graph: ClusterGraph, network: nn.Module, masks: slicing.Masks, removed: set[int]
) -> Zeros:
    """Masks that remove more than what is cut."""
    kept = slicing.masks_of(graph, network, removed)
    found: Zeros = {}
    for layer, targets in masks.items():
        parameters = dict(network.get_submodule(layer).named_parameters(recurse=False))
        for target, mask in targets.items():
            parameter = parameters.get(target)
            if mask is None or parameter is None or mask.shape != parameter.shape:
                continue
            rows = kept.get(layer)
            covered = collapsed(mask).bool()
            if rows is not None:
                dim = slicing.output_dim(network.get_submodule(layer)) if mask.dim() > 1 else 0
                shape = [-1 if index == dim else 1 for index in range(mask.dim())]
                covered = covered | ~rows.bool().to(mask.device).view(shape)
            if not covered.all():
                found[parameter] = mask
    return found


@contextmanager
def _zeroed(network: nn.Module, zeros: Zeros) -> Iterator[None]:
    """Multiply parameters by masks for the duration of a ``with`` block."""
    whole = {parameter: parameter.data for parameter in zeros}
    for parameter, mask in zeros.items():
        parameter.data = parameter.data * mask.to(parameter)
    try:
        yield
    finally:
        for parameter, data in whole.items():
            parameter.data = data


def _carrying(
    optimizer: torch.optim.Optimizer | None, states: dict[int, State], zeros: Zeros
) -> Callable[[nn.Parameter, nn.Parameter, Slice], None]:
    """What is to be done with each parameter that is cut."""

    def carry(old: nn.Parameter, new: nn.Parameter, slice_as: Slice) -> None:
        if old in zeros:
            new.data.mul_(slice_as(zeros.pop(old)).to(new))
        if optimizer is None:
            return
        state = optimizer.state.get(old, {})
        if _has_shape_of(old, state):
            states[id(new)] = {
                kind: slice_as(value) if _is_array(value) else value
                for kind, value in state.items()
            }

    return carry


@contextmanager
def _whole_on_failure(network: nn.Module, zeros: Zeros) -> Iterator[None]:
    """Put a network back as it was if the block raises an exception."""
    whole = {parameter: parameter.data for parameter in zeros}
    modules = [(module, _snapshot(module)) for module in network.modules()]
    try:
        yield
    except BaseException:
        for module, attributes in modules:
            vars(module).clear()
            vars(module).update(attributes)
        for parameter, data in whole.items():
            parameter.data = data
        raise


def _snapshot(module: nn.Module) -> dict[str, Any]:
    """The attributes of a module; its tables of tensors and modules are copied, the rest is not."""
    return {
        name: value.copy() if isinstance(value, dict) else value
        for name, value in vars(module).items()
    }


def repoint(
    optimizer: torch.optim.Optimizer,
    before: Parameters,
    after: Parameters,
    state_of: Callable[[nn.Parameter], State] | None = None,
) -> None:
    """Let an optimizer train other parameters in place of those of the same name.

    Parameters
    ----------
    optimizer
        The optimizer, changed in place. Its groups stay the same objects, so that learning rate
        schedulers keep working.
    before, after
        ``{name: parameter}``. Parameters of the optimizer that are not in `before` stay.
    state_of
        State of a new parameter. By default, the state of the old one is kept.

    Examples
    --------
    >>> old, new = nn.Linear(2, 1), nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(old.parameters(), lr=0.1)
    >>> repoint(optimizer, dict(old.named_parameters()), dict(new.named_parameters()))
    >>> optimizer.param_groups[0]["params"][0] is new.weight
    True
    """
    names = {id(parameter): name for name, parameter in before.items()}
    for group in optimizer.param_groups:
        old_parameters = group["params"]
        group["params"] = [
            after.get(names.get(id(parameter), ""), parameter) for parameter in old_parameters
        ]
        for old, new in zip(old_parameters, group["params"]):
            if old is new or old not in optimizer.state:
                continue
            state = optimizer.state.pop(old)
            if state_of is not None:
                state = state_of(new)
            if state:
                optimizer.state[new] = {
                    kind: laid_out_as(new, value) for kind, value in state.items()
                }


def _is_array(value: Any) -> TypeGuard[torch.Tensor]:
    return isinstance(value, torch.Tensor) and value.dim() > 0


def _has_shape_of(parameter: torch.Tensor, state: Mapping[str, Any]) -> bool:
    """Whether all arrays of a parameter's state have its shape."""
    return all(not _is_array(value) or value.shape == parameter.shape for value in state.values())
