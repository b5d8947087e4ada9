"""Attributes of torch's own modules that repeat the sizes of their tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.weight_norm import WeightNorm

from .attention import of_any_width

Shapes = Mapping[str, torch.Size]


def set_sizes(module: nn.Module, before: Shapes, whole_groups: bool = True) -> None:
    """Set the attributes of a module whose tensors have been sliced.

    Parameters
    ----------
    module
        The module.
    before
        {name: former shape} of its tensors that changed.
    whole_groups
        Whether a grouped convolution can only lose whole groups. Otherwise all its groups stay, and
        lose equally many channels.

    Examples
    --------
    >>> layer = nn.Linear(4, 3)
    >>> layer.weight = nn.Parameter(layer.weight[:2])
    >>> set_sizes(layer, {"weight": torch.Size([3, 4])})
    >>> layer
    Linear(in_features=4, out_features=2, bias=True)
    """
    for hook in module._forward_pre_hooks.values():  # noqa: SLF001
        if isinstance(hook, WeightNorm):  # it makes the weight anew where the module runs
            hook(module, None)
    if isinstance(module, _ConvNd) and whole_groups:
        _remove_groups(module, before)
    for kind, setter in _SETTERS:
        if isinstance(module, kind):
            setter(module, before)
            return
    setter = _BY_NAME.get(type(module).__name__, _set_normalized_shape)
    setter(module, before)


def _remove_groups(module: _ConvNd, before: Shapes) -> None:
    now = module.weight.shape
    old = before.get("weight", before.get("weight_v", now))  # of torch's former weight norm
    if module.groups > 1 and now[1] == old[1]:
        module.groups = module.groups * now[0] // old[0]


def _set_convolution(module: _ConvNd, before: Shapes) -> None:
    outputs = 1 if module.transposed else 0
    counts = list(module.weight.shape[:2])
    counts[1] *= module.groups
    module.out_channels = counts[outputs]
    module.in_channels = counts[1 - outputs]


def _set_linear(module: nn.Linear, before: Shapes) -> None:
    module.out_features, module.in_features = module.weight.shape


def _set_bilinear(module: nn.Bilinear, before: Shapes) -> None:
    module.out_features, module.in1_features, module.in2_features = module.weight.shape


def _set_embedding(module: nn.Embedding, before: Shapes) -> None:
    module.num_embeddings, module.embedding_dim = module.weight.shape


def _set_group_norm(module: nn.GroupNorm, before: Shapes) -> None:
    module.num_channels = len(module.weight)


def _set_recurrent(module: Any, before: Shapes) -> None:
    module.hidden_size = module.weight_hh_l0.shape[1]
    module.input_size = module.weight_ih_l0.shape[1]
    if module.proj_size:
        module.proj_size = module.weight_hr_l0.shape[0]
        module.hidden_size = module.weight_hr_l0.shape[1]
    names = module._flat_weights_names  # noqa: SLF001, torch keeps a list of the same tensors
    module._flat_weights = [getattr(module, name) for name in names]  # noqa: SLF001
    module.flatten_parameters()  # as a GPU wants them


def _set_recurrent_cell(module: Any, before: Shapes) -> None:
    module.hidden_size = module.weight_hh.shape[1]
    module.input_size = module.weight_ih.shape[1]


def _set_channel_norm(module: Any, before: Shapes) -> None:
    module.num_features = len(next(iter(_tensors(module, before))))


def _set_prelu(module: nn.PReLU, before: Shapes) -> None:
    module.num_parameters = len(module.weight)


def _set_normalized_shape(module: nn.Module, before: Shapes) -> None:
    weight = getattr(module, "weight", None)
    if isinstance(weight, torch.Tensor) and hasattr(module, "normalized_shape"):
        module.normalized_shape = tuple(weight.shape)  # type: ignore[assignment]
    if hasattr(module, "num_features"):
        _set_channel_norm(module, before)


def _set_transposed_linear(module: Any, before: Shapes) -> None:
    module.nx, module.nf = module.weight.shape


def _tensors(module: nn.Module, before: Shapes) -> list[torch.Tensor]:
    return [getattr(module, name) for name in before]


_SETTERS: list[tuple[type[nn.Module], Callable[[Any, Shapes], None]]] = [
    (_ConvNd, _set_convolution),
    (nn.Linear, _set_linear),
    (nn.Bilinear, _set_bilinear),
    (nn.Embedding, _set_embedding),
    (nn.EmbeddingBag, _set_embedding),
    (nn.GroupNorm, _set_group_norm),
    (nn.RNNBase, _set_recurrent),
    (nn.RNNCellBase, _set_recurrent_cell),
    (_NormBase, _set_channel_norm),
    (nn.PReLU, _set_prelu),
    (nn.MultiheadAttention, of_any_width),
]
_BY_NAME: dict[str, Callable[[Any, Shapes], None]] = {"Conv1D": _set_transposed_linear}
