"""What a network computes without some of its clusters, before anything is cut.

Slow and exact: every element that belongs to a removed cluster is zero after every operator, and
statistics (means, variances, maxima, softmax) are taken over the survivors only.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves

from ...utils.batches import answer
from .context import Context, name_of
from .follow import label_tensors, plainly
from .follower import Follower
from .labels import Labels
from .planes import Plane, varying
from .relations import Relations
from .reshapes import Reshapes
from .rules.reductions import RULES as REDUCTIONS
from .rules.reductions import reduced_dims
from .size_reader import SizeReader
from .storages import own_storages
from .structure import Removed, Structure, removed_flags

_NORMS = {"native_layer_norm", "_fused_rms_norm"}
_BATCH_NORMS = {"native_batch_norm", "_native_batch_norm_legit"}
_SOFTMAX = {"_softmax", "_log_softmax", "_safe_softmax"}


def run_without(network: nn.Module, structure: Structure, removed: Set[int], inputs: Any) -> Any:
    """Output of a network without some of its clusters, which is left as it is.

    Parameters
    ----------
    network
        The network that was followed.
    structure
        Its structure.
    removed
        The clusters.
    inputs
        One batch of inputs.

    Examples
    --------
    >>> from nni_stress.graph.following.follow import follow
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 1))
    >>> inputs = (torch.rand(1, 2),)
    >>> output = run_without(network, follow(network, inputs), {1, 2}, inputs)
    >>> alive = torch.sigmoid(network[0](inputs[0]))[:, 2:]
    >>> torch.allclose(output, alive @ network[2].weight[:, 2:].T + network[2].bias)
    True
    """
    relations = Relations()
    context = Context(relations, Labels(relations))
    gone = removed_flags(structure, removed)[structure.roots]
    with own_storages(network):
        with torch.device("cpu"):
            label_tensors(network, context, [tensor.names[0] for tensor in structure.tensors])
        reader = SizeReader(Reshapes(context, structure.narrowed))
        with plainly(network), reader, _Without(context, gone):
            return answer(network, inputs)


class _Without(Follower):
    """Carries labels along, and keeps what belongs to removed clusters at zero."""

    def __init__(self, context: Context, gone: Removed):
        super().__init__(context)
        self._gone = gone

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        with torch._C.DisableTorchFunction(), _disable_current_modes():  # noqa: SLF001
            result = self._over_survivors(func, args, kwargs)
        return func(*args, **kwargs) if result is None else result

    def _carry(self, call: Any) -> None:
        super()._carry(call)
        for output in call.outputs if call.mutable else call.new_outputs:
            for plane in self._context.labels.of(output):
                dead = torch.from_numpy(self._gone)[plane.long()]
                if dead.any():
                    output.masked_fill_(dead.to(output.device), 0)

    def _over_survivors(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Result of an operator that takes a statistic, over survivors; None for all others."""
        name = name_of(func)
        if not args or not isinstance(args[0], torch.Tensor):
            return None
        values = args[0]
        if name in REDUCTIONS:
            for dim in reduced_dims(name, args, kwargs, values.dim()):
                alive = self._alive(values, dim)
                if alive is not None:
                    values = values.index_select(dim, alive)
            return None if values is args[0] else func(values, *args[1:], **kwargs)
        if name in _SOFTMAX:
            return self._scattered(func, args, kwargs, args[1] % values.dim(), {})
        if name in _NORMS:
            return self._normalized(func, args, kwargs)
        if name == "native_group_norm" and args[6] == 1:
            return self._scattered(func, args, kwargs, 1, {1: 0, 2: 0, 4: "count"})
        if name in _BATCH_NORMS and not isinstance(args[3], torch.Tensor):  # of weights, by rows
            return self._scattered(func, args, kwargs, values.dim() - 1, {})
        return None

    def _alive(self, values: torch.Tensor, dim: int) -> torch.Tensor | None:
        """Indices of the survivors along a dimension; None if all survive."""
        for plane in self._context.labels.of(values):
            if varying(plane) == [dim]:
                dead = self._gone[_line(plane, dim).numpy()]
                if dead.any() and not dead.all():
                    return torch.from_numpy(np.flatnonzero(~dead)).to(values.device)
        return None

    def _normalized(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A norm over the last dimensions of a tensor, over the survivors along one of them."""
        first = args[0].dim() - len(args[1])
        for dim in range(first, args[0].dim()):
            alive = self._alive(args[0], dim)
            if alive is not None:
                own = dim - first
                shape = list(args[1])
                shape[own] = len(alive)
                changed = [args[0], shape, *args[2:]]
                return self._scattered(func, changed, kwargs, dim, {2: own, 3: own})
        return None

    def _scattered(
        self, func: Any, args: Any, kwargs: Any, dim: int, others: dict[int, Any]
    ) -> Any:
        """The operator on survivors along a dimension, its result among zeros."""
        alive = self._alive(args[0], dim)
        if alive is None:
            return None
        changed = [args[0].index_select(dim, alive), *args[1:]]
        for position, how in others.items():
            if position < len(changed) and how == "count":
                changed[position] = len(alive)
            elif position < len(changed) and isinstance(changed[position], torch.Tensor):
                changed[position] = changed[position].index_select(how, alive)
        result = func(*changed, **kwargs)
        first = result if isinstance(result, torch.Tensor) else result[0]
        whole = torch.zeros_like(args[0]).index_copy(dim, alive, first)
        return whole if isinstance(result, torch.Tensor) else (whole, *result[1:])


def _line(plane: Plane, dim: int) -> torch.Tensor:
    for other in reversed(range(plane.dim())):
        if other != dim:
            plane = plane.select(other, 0)
    return plane.long()


def difference(first: Any, second: Any) -> float:
    """The largest difference between two outputs, relative to the largest value of each tensor.

    Infinite if they have other shapes, or one is not finite where the other is. Of tensors on the
    meta device only shapes are compared.

    Examples
    --------
    >>> difference(torch.tensor([1.0, 2.0]), {"logits": torch.tensor([1.0, 1.0])})
    0.5
    """
    ones, others = (
        [
            leaf
            for leaf in tree_leaves(output)
            if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()
        ]
        for output in (first, second)
    )
    if [one.shape for one in ones] != [other.shape for other in others]:
        return float("inf")
    worst = 0.0
    for one, other in zip(ones, others):
        if one.numel() and not (one.is_meta or other.is_meta):
            scale = one.double().abs().max().clamp(min=1e-12)
            off = float((one.double() - other.double()).abs().max() / scale)
            worst = max(worst, off if off == off else float("inf"))
    return worst
