"""From an ancestor and its masks to the physically small offspring, its optimizer along with it."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch
from nni.compression.speedup import ModelSpeedup
from nni.compression.speedup.replacement import replace_module
from torch import nn

from . import slicing
from .cluster_graph import ClusterGraph
from .serialization import laid_out_as, memory_format_of


def synthesize(
    ancestor: nn.Module,
    example_input: Any,
    masks: dict,
    optimizer: torch.optim.Optimizer | None = None,
    graph: ClusterGraph | None = None,
) -> nn.Module:
    """Make the ancestor physically small.

    Where masks take whole clusters of a network whose structure is understood, it is cut tensor by tensor; elsewhere by NNI's
    ModelSpeedup, which finds the same in many times the time.

    Parameters
    ----------
    ancestor
        The network the masks were drawn for, unwrapped. It becomes the offspring.
    example_input
        One batch of inputs, a tensor or a tuple of tensors.
    masks
        {module: {target: tensor of 0 and 1}}, as a pruner's ``compress`` returns them.
    optimizer
        The ancestor's: from here on it trains the offspring, and what it remembers of the surviving synapses (momentum,
        second moments) stays as it was. Of a parameter about which it remembers tensors of other shapes than the
        parameter's, as Adafactor does, it forgets all.
    graph
        The ancestor's, where it is at hand.

    Returns
    -------
    torch.nn.Module
        The offspring, in the mode and the memory format the ancestor was in.

    Raises
    ------
    Exception
        What ModelSpeedup raises where it cannot follow the network.
    """
    memory_format, graph = memory_format_of(ancestor), graph or _graph_of(ancestor, example_input)
    alive = graph and slicing.survivors(graph, masks)
    if alive is not None:
        _cut(ancestor, graph, alive, memory_format, optimizer)
        return ancestor
    with _quiet() as logger:
        speedup = ModelSpeedup(
            ancestor, example_input, copy.deepcopy(masks), logger=logger
        )  # it changes them
        if optimizer is None:
            return speedup.speedup_model().to(memory_format=memory_format)
        before, carrier = dict(ancestor.named_parameters()), _Carrier(optimizer)
        speedup.replacers[-1].replace_module_func_dict = carrier.replacements()
        offspring = speedup.speedup_model().to(memory_format=memory_format)
    repoint(optimizer, before, dict(offspring.named_parameters()), carrier.small)
    return offspring


def _graph_of(ancestor: nn.Module, example_input: Any) -> ClusterGraph | None:
    try:
        return ClusterGraph(ancestor, example_input)
    except ValueError:  # ModelSpeedup may still follow it, or says why not
        return None


def _cut(ancestor: nn.Module, graph: ClusterGraph, alive: set, memory_format, optimizer) -> None:
    state = optimizer.state if optimizer else {}
    before = (
        dict(ancestor.named_parameters()) if optimizer else {}
    )  # without, each may go once the new one is there
    small = {}

    def carry(old, new, cut) -> None:
        remembered = state.get(old, {})
        if all(not _is_array(value) or value.shape == old.shape for value in remembered.values()):
            small[id(new)] = {
                kind: cut(value) if _is_array(value) else value
                for kind, value in remembered.items()
            }

    slicing.cut(ancestor, graph, alive, carry)
    ancestor.to(memory_format=memory_format)
    if optimizer is not None:
        repoint(
            optimizer,
            before,
            dict(ancestor.named_parameters()),
            lambda parameter: small.get(id(parameter), {}),
        )


class _Carrier:
    """Makes an optimizer's memory small along with the parameters: by the very functions that make these small."""

    def __init__(self, optimizer):
        self._optimizer, self._small = optimizer, {}  # {id of the new parameter: its state}

    def replacements(self) -> dict:
        return {kind: self._carrying(function) for kind, function in replace_module.items()}

    def _carrying(self, function):
        def replace(module, masks):
            remembered = {
                name: self._optimizer.state.get(parameter, {})
                for name, parameter in module.named_parameters(recurse=False)
            }
            kinds = {kind for state in remembered.values() for kind in state}
            small = {kind: self._cut(function, module, masks, remembered, kind) for kind in kinds}
            replaced = function(module, masks)
            for name, state in remembered.items():
                parameter = getattr(module, name)
                if all(
                    not _is_array(value) or value.shape == parameter.shape
                    for value in state.values()
                ):
                    self._small[id(getattr(replaced, name))] = {
                        kind: small[kind][name] if _is_array(value) else value
                        for kind, value in state.items()
                    }
            return replaced

        return replace

    @staticmethod
    def _cut(function, module, masks, remembered, kind):
        """One kind of memory of all parameters of a layer, cut as the layer is: it stands in for them in a copy."""
        stand_in = copy.deepcopy(module)
        for name, parameter in stand_in.named_parameters(recurse=False):
            value = remembered[name].get(kind)
            if _is_array(value) and value.shape == parameter.shape:
                parameter.data = value.detach().clone()
        return {
            name: value.detach().clone()
            for name, value in function(stand_in, masks).named_parameters(recurse=False)
        }

    def small(self, parameter) -> dict:
        """What is remembered of a parameter of the offspring."""
        return self._small.get(id(parameter), {})


def repoint(
    optimizer: torch.optim.Optimizer, before: dict, after: dict, state: Callable | None = None
) -> None:
    """Let an optimizer train other parameters in place of those of the same name.

    Parameters
    ----------
    optimizer
        Changed in place: its groups stay the same objects, so that schedulers of the learning rate go on.
    before, after
        {name: parameter}. A parameter of the optimizer that is not in `before` stays.
    state
        What is remembered of a new parameter; default: what was remembered of the old one.
    """
    names = {id(parameter): name for name, parameter in before.items()}
    for group in optimizer.param_groups:
        old = group["params"]
        new = [after.get(names.get(id(parameter)), parameter) for parameter in old]
        group["params"] = new
        for one, other in zip(old, new):
            if one is not other and one in optimizer.state:
                remembered = optimizer.state.pop(one)
                remembered = state(other) if state else remembered
                if remembered:
                    optimizer.state[other] = {
                        kind: laid_out_as(other, value) for kind, value in remembered.items()
                    }


def _is_array(value) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() > 0


@contextmanager
def _quiet():
    """NNI's speedup logs, and prints, several lines for every node of the graph."""
    logger = logging.getLogger("nni.compression.speedup")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(None):
            yield logger
    finally:
        logger.setLevel(level)
