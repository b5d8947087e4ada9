"""Whether a network that was cut computes what the whole one computes without what was removed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ..utils.batches import answer, arguments_of, tensors_in
from ..utils.messages import one_line
from ..utils.module_copies import copy_of
from ..utils.module_modes import evaluating
from .cluster_factors import ClusterFactors
from .clusters import Alike, find_alike, in_blocks
from .following.cutting import cut
from .following.reference import difference
from .following.relations import Reason
from .following.structure import Structure, freeze

# Largest difference of an output, relative to its largest value, that rounding explains.
TOLERANCES = {torch.float64: 1e-7, torch.float32: 1e-4, torch.float16: 5e-2, torch.bfloat16: 1e-1}


def tolerance_of(network: nn.Module) -> float:
    """Largest relative difference that rounding explains for a network of this precision.

    Examples
    --------
    >>> tolerance_of(nn.Linear(2, 2))
    0.0001
    """
    kinds = [p.dtype for p in network.parameters() if p.dtype in TOLERANCES]
    return max((TOLERANCES[kind] for kind in kinds), default=1e-4)


class Answer(NamedTuple):
    """What a network computes.

    Parameters
    ----------
    output
        Its output.
    heads
        Outputs of its last layers. They are compared where the network chooses by values what it
        returns, as detectors do: rounding decides which of two equal boxes is left.
    """

    output: Any
    heads: list[Any]


def answer_of(network: nn.Module, run: Callable[[], Any], structure: Structure) -> Answer:
    """Run a network for evaluation, by a function that calls it.

    Examples
    --------
    >>> from nni_stress.graph.following.follow import follow
    >>> network, inputs = nn.Sequential(nn.Linear(2, 1)), (torch.rand(3, 2),)
    >>> answer_of(network, lambda: answer(network, inputs), follow(network, inputs)).heads
    []
    """
    found: list[Any] = []
    hooks = [
        network.get_submodule(name).register_forward_hook(lambda m, i, out: found.append(out))
        for name in _heads(structure)
    ]
    try:
        with torch.no_grad(), evaluating(network):
            output = run()
    finally:
        for hook in hooks:
            hook.remove()
    return Answer(output, found)


def masked_answer(
    network: nn.Module,
    structure: Structure,
    removed: Collection[int],
    inputs: Any,
    directly: Collection[int] | None = None,
) -> Answer:
    """What a network computes with some clusters masked.

    Parameters
    ----------
    network
        The network, which is left alone.
    structure
        Its structure.
    removed
        The clusters.
    inputs
        One batch of inputs.
    directly
        See :class:`nni_stress.graph.cluster_factors.ClusterFactors`.
    """
    factors = ClusterFactors(network, structure, directly)
    factors.mask(removed)
    try:
        return answer_of(network, lambda: answer(network, inputs), structure)
    finally:
        factors.take_off()


def _heads(structure: Structure) -> list[str]:
    """Layers of which all outputs stay, in a network that chooses by values what it returns."""
    if not structure.chooses:
        return []
    by_name = structure.by_name()
    return [
        name
        for name in structure.input_shapes
        if f"{name}.bias" in by_name and not by_name[f"{name}.bias"].dims[0].any()
    ]


def problem_with(
    small: nn.Module, expected: Answer, inputs: Any, structure: Structure
) -> str | None:
    """What is wrong with a small network, in one line; None if it computes what is expected.

    Parameters
    ----------
    small
        The network.
    expected
        What it should compute.
    inputs
        One batch of inputs.
    structure
        Structure of the network that it was cut from.
    """
    try:
        found = answer_of(small, lambda: answer(small, inputs), structure)
    except Exception as error:
        return f"it fails: {one_line(error)}"
    return differs(small, expected, found)


def differs(network: nn.Module, expected: Answer, found: Answer) -> str | None:
    """By how much a network's answer differs, in one line; None if rounding explains it."""
    tolerance = tolerance_of(network)
    off = difference(expected.output, found.output)
    if off > tolerance and expected.heads:
        off = difference(expected.heads, found.heads)
    return None if off <= tolerance else f"its output differs by {off:.0e}"


def verified(
    network: nn.Module, structure: Structure, inputs: Any
) -> tuple[Structure, list[Alike]]:
    """A structure in which every set of alike clusters can be cut rightly, and these sets.

    Those that cannot are frozen.

    Half of all sets is cut from a copy of the network, and the output compared. Where it is wrong,
    the sets to blame are found by halving.

    Parameters
    ----------
    network
        The network, which is left alone.
    structure
        Its structure.
    inputs
        One batch of inputs.
    """
    while True:
        alike = find_alike(structure)
        sets = [half for half in halves([(own.clusters, own.blocks) for own in alike]) if half]
        problem_of = functools.partial(_problem, network, structure, inputs)
        problem = problem_of(sets) if sets else None
        if problem is None:
            return structure, alike
        for half in guilty_of(sets, problem_of):
            found = problem_of([half]) or problem
            reason = Reason(f"without some of them the network is wrong: {found}")
            own = next(own for own in alike if half[0] in own.clusters)
            structure = freeze(structure, own.clusters, reason)


def guilty_of(
    sets: Sequence[Sequence[int]], problem_of: Callable[[Sequence[Sequence[int]]], str | None]
) -> list[Sequence[int]]:
    """Sets of clusters that are a problem by themselves; all if only several together are.

    Examples
    --------
    >>> guilty_of([[1], [2], [3]], lambda sets: "wrong" if [2] in sets else None)
    [[2]]
    """
    if len(sets) == 1:
        return list(sets)
    middle = len(sets) // 2
    found = []
    for part in (sets[:middle], sets[middle:]):
        if problem_of(part) is not None:
            found += guilty_of(part, problem_of)
    return found or list(sets)


def _problem(
    network: nn.Module,
    structure: Structure,
    inputs: Any,
    sets: Sequence[Sequence[int]],
) -> str | None:
    removed = {cluster for half in sets for cluster in half}
    parametrized = any(map(is_parametrized, network.modules()))  # these are written to
    small = copy_of(network, () if parametrized else network.parameters())
    try:
        cut(small, structure, removed)
    except ValueError as error:
        return one_line(error)
    expected = masked_answer(network, structure, removed, inputs)
    if not all(bool(torch.isfinite(one).all()) for one in tensors_in(expected) if not one.is_meta):
        return None  # nothing can be compared; a pruner refuses weights that are not finite
    return problem_with(small, expected, inputs, structure)


def halves(groups: Sequence[tuple[Sequence[int], int]]) -> list[list[int]]:
    """Every other cluster of each group, as many in each of its blocks.

    Parameters
    ----------
    groups
        (clusters, number of blocks) of each group.

    Examples
    --------
    >>> halves([([1, 2, 3, 4, 5, 6], 2)])
    [[2, 5]]
    """
    return [
        [cluster for block in in_blocks(clusters, blocks) for cluster in block[1::2]]
        for clusters, blocks in groups
    ]


def doubled(inputs: Any) -> Any:
    """A batch with each example twice, where the first dimension counts examples.

    Examples
    --------
    >>> doubled((torch.rand(2, 3),))[0].shape
    torch.Size([4, 3])
    """

    def twice(value: Any) -> Any:
        if isinstance(value, list):
            return [*value, *value]
        if isinstance(value, torch.Tensor) and value.dim():
            return torch.cat([value, value])
        return value

    if isinstance(inputs, Mapping):
        return {name: twice(value) for name, value in inputs.items()}
    return tuple(twice(value) for value in arguments_of(inputs))


def runs(network: nn.Module, inputs: Any) -> str | None:
    """What a network raises for some inputs, in one line; None if it runs.

    Examples
    --------
    >>> runs(nn.Linear(2, 1), (torch.rand(1, 2),)) is None
    True
    """
    try:
        with torch.no_grad(), evaluating(network):
            answer(network, inputs)
    except Exception as error:
        return one_line(error)
    return None
