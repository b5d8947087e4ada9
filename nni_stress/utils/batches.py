"""Batches of any structure.

A network may take several inputs, and targets may be nested, as the lists of mappings that
detectors are trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.utils._pytree import tree_leaves


class MappedBatches:
    """The batches of an epoch, each changed as it comes.

    Parameters
    ----------
    batches
        What a task's loader made.
    change
        Takes a batch, and returns the one to train on.

    Examples
    --------
    >>> doubled = MappedBatches([(1, "one"), (2, "two")], lambda batch: (2 * batch[0], batch[1]))
    >>> len(doubled), list(doubled)
    (2, [(2, 'one'), (4, 'two')])
    """

    def __init__(self, batches: Any, change: Callable[[Any], Any]):
        self._batches = batches
        self._change = change

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        return map(self._change, self._batches)


def arguments_of(inputs: Any) -> tuple[Any, ...]:
    """Positional arguments to call a network with.

    Parameters
    ----------
    inputs
        One input, or a tuple or list of several.

    Examples
    --------
    >>> arguments_of("images")
    ('images',)
    >>> arguments_of(["images", "sizes"])
    ('images', 'sizes')
    """
    return tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)


def answer(network: torch.nn.Module, inputs: Any) -> Any:
    """Outputs of a network for a batch: an input, several in a tuple, or keywords in a mapping.

    Examples
    --------
    >>> answer(torch.nn.Bilinear(2, 3, 4), (torch.rand(5, 2), torch.rand(5, 3))).shape
    torch.Size([5, 4])
    """
    if isinstance(inputs, Mapping):
        return network(**inputs)
    return network(*arguments_of(inputs))


def tensors_in(values: Any) -> list[torch.Tensor]:
    """All tensors of a nested structure of tuples, lists and dictionaries, in order.

    Examples
    --------
    >>> tensors_in({"boxes": torch.tensor([1]), "labels": [torch.tensor([2]), None]})
    [tensor([1]), tensor([2])]
    """
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def first(targets: Any, examples: int, of: int) -> Any:
    """Targets of the first examples of a batch.

    Parameters
    ----------
    targets
        A tensor whose first dimension is the batch, a list with one entry per example, or a tuple,
        list or mapping of such. Anything else (a number, None) holds for all examples.
    examples
        How many examples to keep.
    of
        How many examples the batch has.

    Returns
    -------
    object
        Targets of the same structure, for `examples` examples.

    Raises
    ------
    ValueError
        If the targets are not those of `of` examples.

    Examples
    --------
    >>> first({"labels": torch.tensor([3, 1, 4]), "boxes": [[], [], []]}, examples=2, of=3)
    {'labels': tensor([3, 1]), 'boxes': [[], []]}
    """
    if isinstance(targets, Mapping):
        return {name: first(value, examples, of) for name, value in targets.items()}
    if not isinstance(targets, (torch.Tensor, tuple, list)):
        return targets
    several_tensors = (
        not isinstance(targets, torch.Tensor)
        and len(targets) > 0
        and all(isinstance(value, torch.Tensor) for value in targets)
    )
    if len(targets) == of:
        return targets[:examples]
    if several_tensors:
        return tuple(first(value, examples, of) for value in targets)
    raise ValueError(f"screening needs as many targets as inputs, but got {len(targets)} and {of}")


def examples_in(inputs: Any) -> int:
    """Number of examples in a batch: the length of its first input that has one.

    Examples
    --------
    >>> examples_in((torch.rand(4, 3), torch.rand(4, 5)))
    4
    """
    values = inputs.values() if isinstance(inputs, Mapping) else arguments_of(inputs)
    return next((max(len(value), 1) for value in values if _has_length(value)), 1)


def first_example(inputs: Any) -> Any:
    """A batch with its first example only.

    Examples
    --------
    >>> first_example({"values": torch.rand(4, 3), "scale": 2.0})["values"].shape
    torch.Size([1, 3])
    """

    def first_of(value: Any) -> Any:
        return value[:1] if _has_length(value) else value

    if isinstance(inputs, Mapping):
        return {name: first_of(value) for name, value in inputs.items()}
    return tuple(first_of(value) for value in arguments_of(inputs))


def few_examples(inputs: Any, count: int) -> Any:
    """A batch with its first examples only; what is not as long as the batch stays.

    Examples
    --------
    >>> images, scales = few_examples((torch.rand(8, 3), torch.rand(3)), count=2)
    >>> images.shape, scales.shape
    (torch.Size([2, 3]), torch.Size([3]))
    """
    length = examples_in(inputs)

    def few(value: Any) -> Any:
        return value[:count] if _has_length(value) and len(value) == length else value

    if isinstance(inputs, Mapping):
        return {name: few(value) for name, value in inputs.items()}
    return tuple(few(value) for value in arguments_of(inputs))


def _has_length(value: Any) -> bool:
    return value.dim() > 0 if isinstance(value, torch.Tensor) else isinstance(value, (list, tuple))
