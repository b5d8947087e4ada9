"""The interface of an importance: what makes a cluster (output channel or neuron) strong."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import torch
from nni.compression.base.target_space import PruningTargetSpace
from torch import Tensor

from ..cluster_values import per_cluster
from ..targets import Masks, Target, TargetSpaces, active_targets, scaler_of

_TOGETHER = 2**20  # values of which norms are taken at once


class Observer:
    """Gathers strengths while a network trains; this one gathers nothing.

    Attributes
    ----------
    strengths
        {module name: {target name: strength of each cluster}} gathered so far. Unlike norms, which
        compare within a layer only, they are comparable between layers.

    Examples
    --------
    >>> Observer().strengths
    {}
    """

    def __init__(self) -> None:
        self.strengths: Masks = {}

    def observe(self, targets: Iterable[Target], felt: Callable[[], Masks] = dict) -> None:
        """Look at the gradients of the targets, before each optimizer step.

        Parameters
        ----------
        targets
            The targets.
        felt
            Returns {module name: {target name: factor of each cluster}} of the stress under which
            the gradients were computed, as far as masks do not show it.
        """

    def state(self) -> dict[str, Any]:
        """What was gathered so far, as tensors and plain data; a subclass adds what else it has."""
        return {"strengths": self.strengths}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.strengths = state["strengths"]


class Importance:
    """What makes a cluster strong: by default, a norm of its weights.

    A subclass sets the class attributes and is registered in
    :mod:`nni_stress.pruning.importances`.

    Attributes
    ----------
    name
        Name of the importance in settings.
    norm
        Order of the norm of the weights.
    needs_training
        Whether strengths are gathered while the network trains.

    Examples
    --------
    >>> import torch
    >>> from nni.compression.base.compressor import register_scalers
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> from nni_stress.pruning.importances import IMPORTANCES
    >>> layer = torch.nn.Linear(2, 2)
    >>> torch.nn.init.ones_(layer.weight).requires_grad
    True
    >>> wrapper = ModuleWrapper(layer, "layer", {"pruning": {"sparse_ratio": 0.5}})
    >>> spaces = {"layer": wrapper.pruning_target_spaces}
    >>> register_scalers(spaces, lambda space: "out_channel")
    >>> IMPORTANCES["magnitude"].strengths(spaces, {})["layer"]["weight"].flatten()
    tensor([2., 2.])
    """

    name: ClassVar[str]
    norm: ClassVar[int] = 1
    needs_training: ClassVar[bool] = False

    def observer(self, total_steps: int) -> Observer:
        """Return a new observer of a training of that many optimizer steps."""
        return Observer()

    def strengths(self, spaces: TargetSpaces, observed: Masks) -> Masks:
        """Strength of each cluster of the active targets.

        Parameters
        ----------
        spaces
            All targets.
        observed
            Strengths that an observer gathered; they replace the norms.

        Returns
        -------
        dict
            {module name: {target name: strength of each cluster}}
        """
        found: Masks = {
            module: {
                target: self.of_clusters(module, target, spaces[module][target], values)
                for target, values in targets.items()
            }
            for module, targets in active_targets(spaces).items()
        }
        for module_name, strengths in observed.items():
            found[module_name] = {**found[module_name], **strengths}
        return found

    def of_clusters(
        self, module: str, target: str, space: PruningTargetSpace, values: Tensor
    ) -> Tensor:
        """Strength of each cluster of a target: by default a norm, as NNI's ``norm_metrics``.

        Parameters
        ----------
        module, target
            Names of the module and of the target.
        space
            The target.
        values
            Its weights.
        """
        if scaler_of(space) is None:
            return values.abs()
        return per_cluster(space, values, functools.partial(_norm, order=self.norm))


def _norm(values: Tensor, order: int) -> Tensor:
    """Norm over the last dimension."""
    if order != 1 or values.dtype != torch.bfloat16 or values.device.type != "cpu":
        return values.norm(p=order, dim=-1)
    # PyTorch's norm takes eight times as long; part by part, there is no copy of all values
    parts = values.split(max(1, _TOGETHER // max(1, values[:1].numel())))
    return torch.cat([part.abs().sum(-1) for part in parts])
