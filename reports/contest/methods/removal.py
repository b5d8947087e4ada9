"""One removal of channels by Torch-Pruning, as many as a budget asks for."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.following.follow import output_tensors
from nni_stress.graph.grouping import must_be_named, output_dim
from nni_stress.graph.memory_layout import memory_format_of
from nni_stress.pruning.functional.approaching import ENOUGH, Best, approach
from nni_stress.pruning.measured_share import share_used
from nni_stress.resources import RESOURCES
from nni_stress.utils.batches import first_example
from nni_stress.utils.module_modes import evaluating

from ...zoo.tools import attention_heads
from .base import Trial
from .limits import exceeded, free_groups

# Layers of the same width do not lose a channel at the same ratio, but one after the other: their
# ratios differ by this share at most.
_SPREAD = 2e-3

Importance = Callable[[Any], "Tensor | None"]  # Torch-Pruning's, of a group of layers
Ratios = Mapping[str, float]  # by layer


class Removal:
    """A removal of channels, the ratio of which is still to be found.

    Parameters
    ----------
    package
        Torch-Pruning.
    network
        The network, which stays as it is.
    trial
        Its task, resource and hyperparameters.
    importance
        Torch-Pruning's importance of channels.
    graph
        Cluster graph of the trial's network as it was at first. Layers keep all channels if the
        task's config does not select them or those that lose channels with them, or if they are
        outputs.
    gradients
        Of the loss by each parameter, where the importance needs them.
    """

    def __init__(
        self,
        package: ModuleType,
        network: nn.Module,
        trial: Trial,
        importance: Importance,
        graph: ClusterGraph,
        gradients: Sequence[Tensor] = (),
    ) -> None:
        self._package = package
        self._network = network
        self._trial = trial
        self._importance = importance
        self._gradients = gradients
        self._groups = [
            graph.groups[index].layers for index in free_groups(graph, trial.task, network)
        ]

    def within(self, share: float, whole: nn.Module, enough: float = ENOUGH) -> nn.Module:
        """A smaller copy of the network that uses a share of what the whole network does.

        The network itself if it uses no more.

        Parameters
        ----------
        share
            The share.
        whole
            The whole network.
        enough
            Share of the budget at which the search for the ratio ends.

        Raises
        ------
        ValueError
            If no copy uses so little.
        """
        resource = RESOURCES[self._trial.resource]

        def use_of(network: nn.Module) -> float:
            return share_used(resource, network, whole, self._trial.task.example_input, share)

        best: Best[nn.Module] = Best()

        def noted(network: nn.Module) -> float:
            return best.note(network, use_of(network))

        present = use_of(self._network)
        if present <= 1:  # latency may be less than it was when the last channels went
            return self._network
        # Most layers have inputs and outputs that lose channels: use goes with their square.
        last = approach(
            lambda square: noted(self._at(1 - math.sqrt(square))),
            (0.0, 0.0),
            (1.0, present),
            enough,
        )
        if best.found is None:
            raise exceeded(resource.name, share, last * share)
        # What the ratio was too coarse for goes to the widest layers.
        widths = self._widths_of(best.found)
        for layers in sorted(self._groups, key=lambda layers: -widths[layers[0]]):
            if best.use >= enough:
                break
            self._widen(layers, best, noted)
        return best.found

    def _at(self, ratio: float) -> nn.Module:
        """The network at one ratio for all layers, or for a ranking of all channels."""
        if self._trial.knobs["scope"] == "global":
            return self._without(ratio, None)
        step = _SPREAD / max(1, len(self._groups))
        return self._without(
            ratio,
            {
                layer: min(ratio * (1 + place * step), 1 - 1.5 / width)
                for place, layers in enumerate(self._groups)
                for layer in layers
                for width in [self._widths[layer]]
            },
        )

    def _widen(
        self, layers: Sequence[str], best: Best[nn.Module], noted: Callable[[nn.Module], float]
    ) -> None:
        """Let layers that lose channels together have as many as fit."""
        assert best.found is not None
        widths = self._widths_of(best.found)
        low, high = widths[layers[0]], self._widths[layers[0]]

        def use_at(width: float) -> float:
            wider = {**widths, **dict.fromkeys(layers, round(width))}
            # Half a channel more, as Torch-Pruning rounds the number that stays down.
            ratios = {name: 1 - (own + 0.5) / self._widths[name] for name, own in wider.items()}
            return noted(self._without(0.0, ratios))

        if high > low and (most := use_at(high)) > 1:
            approach(use_at, (low, best.use), (high, most), ENOUGH, nearest=1.0)

    def _without(self, ratio: float, ratios: Ratios | None) -> nn.Module:
        """A copy of the network without some channels: by ratios of layers, or by a ranking."""
        small = copy.deepcopy(self._network)
        needed = {name: parameter.requires_grad for name, parameter in small.named_parameters()}
        for parameter, gradient in zip(small.parameters(), self._gradients):
            parameter.grad = gradient
        with trainable(small), evaluating(small), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about parameters outside of all layers
            self._pruner(small, ratio, ratios).step()
        for name, parameter in small.named_parameters():
            parameter.requires_grad_(needed[name])
            parameter.grad = None
        return small.to(memory_format=memory_format_of(self._network))

    def _pruner(self, small: nn.Module, ratio: float, ratios: Ratios | None) -> Any:
        free = {layer for layers in self._groups for layer in layers}
        modules = {small.get_submodule(name): max(0.0, own) for name, own in (ratios or {}).items()}
        pruner = self._package.pruner.BasePruner(
            small,
            first_example(self._trial.task.example_input),
            importance=partial(_keeping_one, self._importance),
            global_pruning=ratios is None,
            pruning_ratio=ratio,
            pruning_ratio_dict=modules or None,
            ignored_layers=[
                module
                for name, module in small.named_modules()
                if must_be_named(module) and name not in free
            ],
            # Its defaults are dictionaries that all pruners share.
            in_channel_groups={},
            out_channel_groups={},
            num_heads=attention_heads(small, None),
            output_transform=output_tensors,
        )
        if ratios is None:
            groups = pruner.DG.get_all_groups(pruner.ignored_layers, pruner.root_module_types)
            highest = 1 - (len(list(groups)) + 0.5) / max(1, pruner.initial_total_channels)
            pruner.per_step_pruning_ratio = [0.0, min(ratio, max(0.0, highest))]
        return pruner

    @cached_property
    def _widths(self) -> dict[str, int]:
        return self._widths_of(self._network)

    def _widths_of(self, network: nn.Module) -> dict[str, int]:
        """{layer: number of channels} of the layers that may lose some."""
        found = {}
        for name in (layer for layers in self._groups for layer in layers):
            module = network.get_submodule(name)
            weight = module.weight
            assert isinstance(weight, Tensor)
            found[name] = weight.shape[output_dim(module) or 0]
        return found


def _keeping_one(importance: Importance, group: Any) -> Tensor | None:
    """Importance by which the most important channel of a group stays, whatever its rank.

    Torch-Pruning leaves a group whole of which all channels would go.
    """
    found = importance(group)
    if found is not None:
        found[found.argmax()] = torch.inf
    return found


@contextmanager
def trainable(network: nn.Module) -> Iterator[None]:
    """Let all parameters require gradients for the duration of a ``with`` block."""
    needed = {parameter: parameter.requires_grad for parameter in network.parameters()}
    network.requires_grad_(True)
    try:
        yield
    finally:
        for parameter, need in needed.items():
            parameter.requires_grad_(need)
