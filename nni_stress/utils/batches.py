"""Batches of any structure: a network may take several inputs, and targets may be lists of mappings, as of detectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def arguments_of(inputs: Any) -> tuple:
    """What a network is called with: one tensor, or a tuple or list of one each of its inputs."""
    return tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)


def answer(network: torch.nn.Module, inputs: Any) -> Any:
    """The network's outputs for a batch of inputs."""
    return network(*arguments_of(inputs))


def first(targets: Any, examples: int, of: int) -> Any:
    """The targets of the first examples.

    Parameters
    ----------
    targets
        Tensors with an entry an example, lists of one thing an example, and tuples, lists or mappings of such.
    examples
        How many.
    of
        How many examples there are.

    Raises
    ------
    ValueError
        If there are targets for another number of examples.
    """
    if isinstance(targets, Mapping):
        return {name: first(value, examples, of) for name, value in targets.items()}
    if not isinstance(targets, (torch.Tensor, tuple, list)):
        return targets  # one thing for all examples
    several = (
        not isinstance(targets, torch.Tensor)
        and len(targets)
        and all(isinstance(x, torch.Tensor) for x in targets)
    )
    if len(targets) == of or not several:
        if len(targets) != of:
            raise ValueError(
                f"screening needs as many targets as inputs, but got {len(targets)} and {of}"
            )
        return targets[:examples]
    return tuple(first(value, examples, of) for value in targets)
