"""Networks that were never trained, but in which every layer matters as in one that was."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .entries import Entry

SEED = 0
_SCALES = ("ls1", "ls2")  # names that a layer scale has, beside those with "gamma" in them


def prepared(entry: Entry) -> tuple[nn.Module, Any]:
    """A network for evaluation, and a batch of inputs; both the same at every call.

    Examples
    --------
    >>> entry = Entry("linear", lambda: nn.Linear(2, 3), lambda: torch.rand(4, 2))
    >>> torch.equal(prepared(entry)[0].weight, prepared(entry)[0].weight)
    True
    """
    torch.manual_seed(SEED)
    network = entry.make().eval()
    inputs = entry.inputs()
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    use_every_layer(network)
    return network, inputs


def use_every_layer(network: nn.Module) -> None:
    """Give norms statistics, and values to what begins at zero.

    A batch norm that was never trained passes its input on, and a layer whose weights begin at
    zero passes nothing on: what happens before it would not be seen.

    Examples
    --------
    >>> network = nn.Sequential(nn.BatchNorm1d(3))
    >>> use_every_layer(network)
    >>> bool((network[0].running_mean != 0).all())
    True
    """
    generator = torch.Generator().manual_seed(SEED + 1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001, has no other
                _train_norm(module, generator)
        for name, parameter in network.named_parameters():
            leaf = name.rpartition(".")[2]
            if "gamma" in leaf or "layer_scale" in name or leaf in _SCALES:
                parameter.uniform_(0.3, 1.0, generator=generator)
            elif not parameter.any():
                parameter.normal_(0, 0.05, generator=generator)


def _train_norm(norm: Any, generator: torch.Generator) -> None:
    if norm.running_mean is not None:
        norm.running_mean.normal_(0, 0.1, generator=generator)
        norm.running_var.uniform_(0.5, 1.5, generator=generator)
    if norm.affine:
        norm.weight.uniform_(0.5, 1.5, generator=generator)
        norm.bias.normal_(0, 0.1, generator=generator)
