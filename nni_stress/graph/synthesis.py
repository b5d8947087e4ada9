"""From an ancestor and its masks to the physically small offspring, along with its optimizer."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any, TypeAlias, TypeGuard

import torch
from nni.compression.speedup import ModelSpeedup
from nni.compression.speedup.replacement import replace_module
from torch import nn

from . import slicing
from .cluster_graph import ClusterGraph
from .serialization import laid_out_as, memory_format_of

State: TypeAlias = dict[str, Any]  # what an optimizer remembers of one parameter
Parameters: TypeAlias = Mapping[str, nn.Parameter]

_log = logging.getLogger(__name__)


def synthesize(
    ancestor: nn.Module,
    example_input: Any,
    masks: slicing.Masks,
    optimizer: torch.optim.Optimizer | None = None,
    graph: ClusterGraph | None = None,
) -> nn.Module:
    """Make an ancestor physically small.

    If the masks remove whole clusters (output channels or neurons) of a network whose structure is
    understood, its tensors are sliced. Otherwise NNI's ModelSpeedup does the work, with the same
    result, but takes many times as long. The network's outputs all stay, whatever the masks say.

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

    Returns
    -------
    torch.nn.Module
        The offspring, in the ancestor's mode and memory format.

    Raises
    ------
    Exception
        Whatever ModelSpeedup raises for a network that it cannot follow.

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
    memory_format = memory_format_of(ancestor)
    graph = graph or _graph_of(ancestor, example_input)
    if graph is not None:
        masks = _with_outputs(graph, masks)
    alive = None if graph is None else slicing.survivors(graph, masks)
    if graph is not None and alive is not None:
        _slice(ancestor, graph, alive, memory_format, optimizer)
        return ancestor
    with _quiet_speedup() as logger:
        # ModelSpeedup changes the masks it is given.
        speedup = ModelSpeedup(ancestor, example_input, copy.deepcopy(masks), logger=logger)
        if optimizer is None:
            return _with_format(speedup.speedup_model(), memory_format)
        before = dict(ancestor.named_parameters())
        carrier = _StateCarrier(optimizer)
        speedup.replacers[-1].replace_module_func_dict = carrier.replacements()
        offspring = _with_format(speedup.speedup_model(), memory_format)
    repoint(optimizer, before, dict(offspring.named_parameters()), carrier.state_of)
    return offspring


def _graph_of(ancestor: nn.Module, example_input: Any) -> ClusterGraph | None:
    try:
        return ClusterGraph(ancestor, example_input)
    except ValueError:  # ModelSpeedup may still follow the network, or its error says why not
        return None


def _with_outputs(graph: ClusterGraph, masks: slicing.Masks) -> slicing.Masks:
    """Masks that keep all of the network's outputs; a warning names the layers that have them."""
    kept, layers = slicing.keep_outputs(graph, masks)
    if layers:
        _log.warning(
            "%s: all outputs stay, as they are those of the network, though the masks remove some",
            ", ".join(layers),
        )
    return kept


def _with_format(network: nn.Module, memory_format: torch.memory_format) -> nn.Module:
    return network.to(memory_format=memory_format)


def _slice(
    ancestor: nn.Module,
    graph: ClusterGraph,
    alive: set[int],
    memory_format: torch.memory_format,
    optimizer: torch.optim.Optimizer | None,
) -> None:
    if optimizer is None:  # hold no old parameters, so that each is freed once it is replaced
        slicing.cut(ancestor, graph, alive, lambda old, new, slice_as: None)
        _with_format(ancestor, memory_format)
        return
    before = dict(ancestor.named_parameters())
    states: dict[int, State] = {}  # {id of the new parameter: its state}

    def carry(old: nn.Parameter, new: nn.Parameter, slice_as: slicing.Slice) -> None:
        state = optimizer.state.get(old, {})
        if _has_shape_of(old, state):
            states[id(new)] = {
                kind: slice_as(value) if _is_array(value) else value
                for kind, value in state.items()
            }

    slicing.cut(ancestor, graph, alive, carry)
    _with_format(ancestor, memory_format)
    after = dict(ancestor.named_parameters())
    repoint(optimizer, before, after, lambda parameter: states.get(id(parameter), {}))


class _StateCarrier:
    """Shrinks an optimizer's state by the same functions by which NNI shrinks the parameters."""

    def __init__(self, optimizer: torch.optim.Optimizer):
        self._optimizer = optimizer
        self._states: dict[int, State] = {}  # {id of the new parameter: its state}

    def replacements(self) -> dict[str, Callable[..., nn.Module]]:
        """NNI's functions that replace a layer, by the layer's type, each followed by its state."""
        return {kind: self._carrying(function) for kind, function in replace_module.items()}

    def state_of(self, parameter: nn.Parameter) -> State:
        """State of a parameter of the offspring."""
        return self._states.get(id(parameter), {})

    def _carrying(self, function: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        def replace(module: nn.Module, masks: Any) -> nn.Module:
            states = {
                name: self._optimizer.state.get(parameter, {})
                for name, parameter in module.named_parameters(recurse=False)
            }
            kinds = {kind for state in states.values() for kind in state}
            small = {kind: _shrunk(function, module, masks, states, kind) for kind in kinds}
            replaced = function(module, masks)
            for name, state in states.items():
                if _has_shape_of(getattr(module, name), state):
                    self._states[id(getattr(replaced, name))] = {
                        kind: small[kind][name] if _is_array(value) else value
                        for kind, value in state.items()
                    }
            return replaced

        return replace


def _shrunk(
    function: Callable[..., nn.Module],
    module: nn.Module,
    masks: Any,
    states: Mapping[str, State],
    kind: str,
) -> dict[str, torch.Tensor]:
    """One kind of state of all parameters of a layer, shrunk as the layer is.

    The state takes the place of the parameters in a copy of the layer.
    """
    stand_in = copy.deepcopy(module)
    for name, parameter in stand_in.named_parameters(recurse=False):
        value = states[name].get(kind)
        if _is_array(value) and value.shape == parameter.shape:
            parameter.data = value.detach().clone()
    shrunk = function(stand_in, masks)
    return {name: value.detach().clone() for name, value in shrunk.named_parameters(recurse=False)}


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


@contextmanager
def _quiet_speedup() -> Iterator[logging.Logger]:
    """Silence NNI's speedup, which logs and prints several lines for every node of the graph."""
    logger = logging.getLogger("nni.compression.speedup")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(None):
            yield logger
    finally:
        logger.setLevel(level)
