"""The layers whose outputs are those of a network, found without following its program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from nni_stress.graph.following.follow import output_tensors
from nni_stress.utils.batches import answer

LAYERS = {
    kind.__name__: kind
    for kind in (
        *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
        *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    )
}


def last_layers(network: nn.Module, inputs: Any) -> list[str]:
    """Names of the layers from which no other layer is passed on the way to the output.

    They are found in the graph that automatic differentiation records. Pruners that do not find
    them by themselves are told to leave them alone.

    Parameters
    ----------
    network
        The network.
    inputs
        One batch of inputs.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softmax(1))
    >>> last_layers(network, torch.rand(1, 4))
    ['2']
    """
    names = {
        id(module.weight): name
        for name, module in network.named_modules()
        if isinstance(module, tuple(LAYERS.values())) or type(module).__name__ == "Conv1D"
    }
    waiting = [tensor.grad_fn for tensor in output_tensors(answer(network, inputs))]
    seen = set()
    found = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        own = _layers_of(node, names)
        found.update(own)
        if not own:
            waiting += _before(node)
    return sorted(found)


def _layers_of(node: Any, names: dict[int, str]) -> list[str]:
    """Layers whose weights an operation is given, as they are or transposed."""
    if len(_before(node)) < 2:
        return []  # it only moves a tensor
    parameters = [parameter for before in _before(node) for parameter in _parameter_at(before)]
    return [names[id(parameter)] for parameter in parameters if id(parameter) in names]


def _parameter_at(node: Any) -> Iterator[torch.Tensor]:
    while len(_before(node)) == 1:
        node = _before(node)[0]
    if hasattr(node, "variable"):
        yield node.variable


def _before(node: Any) -> list[Any]:
    return [before for before, _ in node.next_functions if before is not None]
