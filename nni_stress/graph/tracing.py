"""A network as a graph of operators, by torch.export, from which files for devices are written."""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from ..utils.batches import answer, arguments_of, examples_in
from ..utils.messages import place_in
from ..utils.module_modes import evaluating


@dataclass(frozen=True)
class Traced:
    """A network in evaluation mode as a graph of operators.

    Parameters
    ----------
    program
        The graph.
    network
        The network that it was traced from.
    batches
        Batches of inputs on which files are compared with the network: the example, and if any
        batch size is allowed, one of another size.
    dynamic_batch
        Whether any batch size is allowed, or only the example's.

    Examples
    --------
    >>> traced = trace(nn.Linear(2, 1), torch.rand(4, 2))
    >>> [tuple(inputs[0].shape) for inputs in traced.batches]
    [(4, 2), (1, 2)]
    """

    program: torch.export.ExportedProgram
    network: nn.Module
    batches: tuple[Any, ...]
    dynamic_batch: bool

    @property
    def smallest(self) -> Any:
        """One example, or the example's batch where that is the only size."""
        return min(self.batches, key=examples_in)

    def outputs(self, inputs: Any) -> Any:
        """Outputs of the network in evaluation mode."""
        with evaluating(self.network), torch.no_grad():
            return answer(self.network, inputs)


def trace(network: nn.Module, example_input: Any, dynamic_batch: bool = True) -> Traced:
    """Follow a network with torch.export.

    Parameters
    ----------
    network
        The network. Its mode is left alone.
    example_input
        One batch of inputs: a tensor, a tuple of tensors, or a mapping of keyword arguments.
    dynamic_batch
        Whether the graph takes any batch size: the length of all inputs that are as long as the
        first one. Or only that of `example_input`.

    Raises
    ------
    ValueError
        If torch.export cannot follow the network, or not for any batch size.

    Examples
    --------
    >>> class Paired(nn.Module):
    ...     def forward(self, values):
    ...         return values.view(2, 2, -1)
    >>> trace(Paired(), torch.rand(4, 3), dynamic_batch=False).dynamic_batch
    False
    """
    by_name = isinstance(example_input, Mapping)
    inputs: Any = dict(example_input) if by_name else arguments_of(example_input)
    example, shapes = inputs, None
    batches: tuple[Any, ...] = (inputs,)
    if dynamic_batch:
        length = examples_in(inputs)
        example = _resized(inputs, length, 2)  # torch takes a size of 1 for a constant
        batches = (inputs, example if length == 1 else _resized(inputs, length, 1))
        size = torch.export.Dim("batch")
        shapes = tree_map(lambda v: {0: size} if _is_batch(v, length) else None, inputs)
    try:
        with evaluating(network), torch.no_grad(), quiet_exporters():
            program = _program(
                network, () if by_name else example, example if by_name else None, shapes
            )
    except Exception as error:  # of many types, with advice for torch's developers
        how = " for any batch size" if dynamic_batch else ""
        raise ValueError(
            f"torch.export cannot follow the network{how}: {first_cause(error)}"
        ) from None
    _forget_origin(program)
    return Traced(program, network, batches, dynamic_batch)


def trace_any_batch(network: nn.Module, example_input: Any) -> Traced:
    """Follow a network for any batch size if it allows that, or else for the example's.

    Examples
    --------
    >>> trace_any_batch(nn.Linear(2, 1), torch.rand(4, 2)).dynamic_batch
    True
    """
    try:
        return trace(network, example_input)
    except ValueError:
        return trace(network, example_input, dynamic_batch=False)


def _program(
    network: nn.Module, arguments: Any, keywords: Any, shapes: Any
) -> torch.export.ExportedProgram:
    try:
        return torch.export.export(
            network, arguments, keywords, dynamic_shapes=shapes, strict=False
        )
    except Exception:  # of many types
        if shapes is None:
            raise
    # By running Python, torch takes `len(images)` for a constant; by reading its code, it does not.
    return torch.export.export(network, arguments, keywords, dynamic_shapes=shapes, strict=True)


def _resized(inputs: Any, length: int, count: int) -> Any:
    """A batch of another number of examples."""
    copies = -(-count // length)
    return tree_map(
        lambda v: torch.cat([v] * copies)[:count] if _is_batch(v, length) else v, inputs
    )


def _forget_origin(program: torch.export.ExportedProgram) -> None:
    """Take data of the user's, and paths and lines of their code, out of what is written."""
    program.example_inputs = tree_map(
        lambda v: torch.zeros_like(v) if isinstance(v, torch.Tensor) else v, program.example_inputs
    )
    for module in program.graph_module.modules():
        for node in getattr(module, "graph", torch.fx.Graph()).nodes:
            node.meta.pop("stack_trace", None)


def _is_batch(value: Any, length: int) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() > 0 and len(value) == length


def first_cause(error: BaseException) -> str:
    r"""The first line of the error at which others began, with its place in the user's code.

    torch's exporters raise errors of many types, with pages of advice for those who develop them.

    Examples
    --------
    >>> first_cause(RuntimeError("no function for bessel_j0\nIf you develop torch, then ..."))
    'no function for bessel_j0'
    """
    place = place_in("".join(traceback.format_exception(error)))
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{lines[0]} ({place})" if place else lines[0]


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """Silence torch's exporters, which warn about their internals and about optional packages.

    Examples
    --------
    >>> import warnings
    >>> with quiet_exporters():
    ...     warnings.warn("an internal matter")
    """
    before = logging.root.manager.disable
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            logging.disable(logging.ERROR)
            yield
    finally:
        logging.disable(before)
