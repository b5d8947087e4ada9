"""Modules that take a statistic over clusters, and take it over the survivors only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from ..utils.devices import on_device
from .following.cutting import slicing_of
from .following.demands import attributes_of, solve
from .following.follower import Normalizing
from .following.sizes import Attribute
from .following.structure import Removed, Structure
from .following.tracking import get_attribute, set_attribute
from .patched_forward import PatchedForward
from .survivors import small_copy, survivors_among

Forward = Callable[..., Tensor]


class Normalizer:
    """Lets a module compute on the survivors among its inputs, its result among zeros.

    Parameters
    ----------
    network
        The network.
    path
        Name of the module.
    normalizing
        Where its input and its output have clusters.
    structure
        The structure of the network.
    device
        Where the network computes.

    Attributes
    ----------
    patched : PatchedForward
        The module's forward pass in place of its own.
    """

    def __init__(
        self,
        network: nn.Module,
        path: str,
        normalizing: Normalizing,
        structure: Structure,
        device: torch.device,
    ):
        self._network = network
        self._path = path
        self._module = network.get_submodule(path)
        self._normalizing = normalizing
        self._structure = structure
        self._device = device
        self._leaves = {
            name.rpartition(".")[2]: tensor
            for tensor in structure.tensors
            for name in tensor.names
            if name.rpartition(".")[0] == path
        }
        axes = [*normalizing.input, *normalizing.output]
        self._clusters = np.unique(np.concatenate([np.zeros(1, int), *(a.clusters for a in axes)]))
        self._gone: Removed | None = None
        self._forward: Forward | None = None
        self.patched = PatchedForward(self._module, self._run)

    def put_on(self, factors: NDArray[Any]) -> None:
        """Leave clusters with a factor of 0 out of the statistics from now on."""
        gone = factors == 0
        before, self._gone = self._gone, gone
        if before is not None and np.array_equal(gone[self._clusters], before[self._clusters]):
            return
        self._forward = None
        if gone[self._clusters].any():
            self._forward = self._of_layer_norm(gone) or self._of_any(gone)

    def _run(self, plain: Forward, *args: Any, **kwargs: Any) -> Tensor:
        return plain(*args, **kwargs) if self._forward is None else self._forward(*args, **kwargs)

    def _of_layer_norm(self, gone: Removed) -> Forward | None:
        """torch's layer norm over survivors, of which a step of training has many."""
        module = self._module
        if type(module) is not nn.LayerNorm or len(module.normalized_shape) != 1:
            return None
        (axis,) = self._normalizing.input
        alive = torch.from_numpy((~gone[axis.clusters]).astype(np.float32))
        size, count = len(alive), int(alive.sum())
        alive = on_device(alive, self._device)
        scale = math.sqrt(count / size)

        def forward(values: Tensor) -> Tensor:
            own = alive.to(values.device, values.dtype)
            centered = (values - (values * own).sum(-1, keepdim=True) / count) * own
            weight = own * scale if module.weight is None else module.weight * scale
            eps = module.eps * count / size
            return nn.functional.layer_norm(centered, (size,), weight, module.bias, eps)

        return forward

    def _of_any(self, gone: Removed) -> Forward | None:
        inputs = survivors_among(self._normalizing.input, gone, self._device)
        outputs = survivors_among(self._normalizing.output, gone, self._device)
        if inputs is None and outputs is None:
            return None
        module = self._module
        slices = {leaf: slicing_of(tensor, gone) for leaf, tensor in self._leaves.items()}
        small = small_copy(module, slices)
        for attribute, size in self._sizes(gone).items():
            set_attribute(small, attribute, size)

        def forward(values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            tensors = {}
            for leaf, slice_as in slices.items():
                tensor = getattr(module, leaf)
                tensors[leaf] = tensor if slice_as is None else slice_as(tensor)
            if inputs is not None:
                values = values.index_select(inputs.dim, inputs.indices.to(values.device))
            result: Tensor = functional_call(small, tensors, (values, *args), kwargs)
            return result if outputs is None else outputs.among_zeros(result)

        return forward

    def _sizes(self, gone: Removed) -> dict[Attribute, int]:
        """Attributes of the module that must change, by their names in the module."""
        own = [
            demand
            for demand in self._structure.demands
            if {attribute.module for attribute in attributes_of(demand)} == {self._path}
        ]
        sizes = solve(own, gone, lambda leaf: get_attribute(self._network, leaf))
        return {replace(attribute, module=""): size for attribute, size in sizes.items()}
