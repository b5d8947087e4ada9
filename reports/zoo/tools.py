"""What makes networks small: this package by a budget and by ratios, and Torch-Pruning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nni_stress import StressPruner
from nni_stress.graph.following.follow import output_tensors
from nni_stress.graph.verification import Answer
from nni_stress.utils.batches import answer

from ..meter import Meter
from .last_layers import LAYERS

SHARE = 0.5  # of the resource that a budget leaves, and of each layer that ratios do
_TORCH_PRUNING_RATIO = 0.3  # of each layer's channels, which leaves about half of the MACs


@dataclass(frozen=True)
class Job:
    """A network that is to be made small.

    Parameters
    ----------
    network
        The network.
    inputs
        One batch of inputs.
    outputs
        Layers that must stay.
    resource
        What a budget halves.
    heads
        Number of attention heads, for tools that must be told.
    run
        Runs the network, masked or not, to be compared later.
    meter
        Measures what a tool does.
    """

    network: nn.Module
    inputs: Any
    outputs: list[str]
    resource: str
    heads: int | None
    run: Callable[[nn.Module], Answer]
    meter: Meter


Made = tuple[nn.Module, Answer | None]  # the small network, and what it should compute


def by_budget(job: Job) -> Made:
    """Half of the whole network's resource, by StressPruner."""
    with job.meter:
        pruner = StressPruner(
            job.network,
            [_config(job)],
            temperature=0.0,
            budget={job.resource: SHARE},
            example_input=job.inputs,
        )
        pruner.compress()
    expected = job.run(job.network)
    with job.meter:
        return pruner.synthesize(job.inputs), expected


def by_ratio(job: Job) -> Made:
    """Half of every layer, by StressPruner, which learns the network where it first runs."""
    with job.meter:
        pruner = StressPruner(
            job.network, [{**_config(job), "sparse_ratio": 1 - SHARE}], temperature=0.0
        )
        pruner.compress()
        with torch.no_grad():
            answer(job.network, job.inputs)
    expected = job.run(job.network)
    with job.meter:
        return pruner.synthesize(job.inputs), expected


def by_torch_pruning(job: Job) -> Made:
    """Three tenths of every layer, by Torch-Pruning, which has no masked network."""
    import torch_pruning

    heads = attention_heads(job.network, job.heads)
    with job.meter:
        pruner = torch_pruning.pruner.MagnitudePruner(
            job.network,
            example_inputs=job.inputs,
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=1),
            pruning_ratio=_TORCH_PRUNING_RATIO,
            ignored_layers=[job.network.get_submodule(name) for name in job.outputs],
            output_transform=output_tensors,  # it stumbles over the caches of language models
            **({"num_heads": heads} if heads else {}),
        )
        pruner.step()
    return job.network, None


def attention_heads(network: nn.Module, heads: int | None) -> dict[nn.Module, int]:
    """Number of heads of every attention that Torch-Pruning must be told of.

    Parameters
    ----------
    network
        The network.
    heads
        The number, where modules do not have it.

    Examples
    --------
    >>> list(attention_heads(nn.Sequential(nn.MultiheadAttention(8, 2)), None).values())
    [2]
    """
    found: dict[nn.Module, int] = {}
    for module in network.modules():
        own = getattr(module, "num_heads", None)
        if isinstance(module, nn.MultiheadAttention):
            found[module] = module.num_heads
        if own and isinstance(getattr(module, "qkv", None), nn.Linear):
            found[module.qkv] = own
        for first, names in _PROJECTIONS.items():
            if isinstance(getattr(module, first, None), nn.Linear):
                found.update({getattr(module, name): heads or own or 1 for name in names})
    return found


_PROJECTIONS = {
    "q_proj": ("q_proj", "k_proj", "v_proj"),
    "query": ("query", "key", "value"),
}


def _config(job: Job) -> dict[str, Any]:
    kinds = [
        name
        for name, kind in LAYERS.items()
        if any(isinstance(module, kind) for module in job.network.modules())
    ]
    return {
        "op_types": kinds,
        **({"exclude_op_names": list(job.outputs)} if job.outputs else {}),
    }


TOOLS: dict[str, Callable[[Job], Made]] = {
    "budget": by_budget,
    "ratio": by_ratio,
    "torch-pruning": by_torch_pruning,
}
PACKAGES = {"torch-pruning": "torch_pruning"}  # that tools need beside this project's own
