"""What a network costs: synapses and multiply-accumulates."""

from __future__ import annotations

import inspect

import torch
from torch import nn
from torch.utils import flop_counter

from ..utils.batches import arguments_of
from ..utils.module_modes import evaluating

# Without the decorator by which torch imports all of torch.compile, for over a second, at the first operation it counts.
if _mode := getattr(flop_counter, "_FlopCounterMode", None):
    _mode.__torch_dispatch__ = inspect.unwrap(_mode.__torch_dispatch__)


def synapses(network: nn.Module) -> int:
    """Number of weights and biases."""
    return sum(parameter.numel() for parameter in network.parameters())


@torch.no_grad()
def macs(network: nn.Module, example_input: torch.Tensor | tuple[torch.Tensor, ...]) -> int:
    """Multiply-accumulates of convolutions and matrix products for one input (the first of `example_input`'s batch)."""
    with evaluating(network), flop_counter.FlopCounterMode(display=False) as counter:
        network(*(inputs[:1] for inputs in arguments_of(example_input)))
    return counter.get_total_flops() // 2


def architecture(network: nn.Module) -> dict[str, list[int]]:
    """Shape of every layer's weight, in order of definition."""
    return {
        name: list(module.weight.shape)
        for name, module in network.named_modules()
        if isinstance(getattr(module, "weight", None), torch.Tensor)
    }
