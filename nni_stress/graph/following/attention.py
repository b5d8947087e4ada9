"""``nn.MultiheadAttention`` with heads removed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def of_any_width(module: nn.MultiheadAttention, before: Mapping[str, torch.Size]) -> None:
    """Let an attention read its widths off its weights.

    torch's own forward insists on one width for the input, the heads together and the output.
    """
    weight = module.in_proj_weight
    rows = module.q_proj_weight.shape[0] if weight is None else weight.shape[0] // 3
    module.num_heads = rows // module.head_dim
    module._qkv_same_embed_dim = False  # noqa: SLF001, keeps the encoder off its fast path
    module.forward = _bound(module)  # type: ignore[method-assign]


@contextmanager
def attention_of_any_width(network: nn.Module) -> Iterator[None]:
    """Let all attentions of a network run as they will once heads have been removed."""
    modules = [module for module in network.modules() if _replaceable(module)]
    for module in modules:
        module.forward = _bound(module)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def use_any_width(module: nn.MultiheadAttention) -> Callable[[], None] | None:
    """Let an attention call its layers, and keep encoder layers off their fast path.

    Returns
    -------
    callable or None
        Undoes it; None if the attention is left as it is.
    """
    if not _replaceable(module):
        return None
    same = module._qkv_same_embed_dim  # noqa: SLF001, the fast path asks for it
    module._qkv_same_embed_dim = False  # noqa: SLF001
    module.forward = _bound(module)  # type: ignore[method-assign]

    def undo() -> None:
        del module.forward
        module._qkv_same_embed_dim = same  # noqa: SLF001

    return undo


def masked_attentions(network: nn.Module) -> list[Callable[[], None]]:
    """Let attentions call their layers, so that NNI's masks of these apply.

    Returns
    -------
    list of callable
        They undo it.
    """
    found = [
        use_any_width(module)
        for module in network.modules()
        if isinstance(module, nn.MultiheadAttention)
        and any(hasattr(child, "_nni_wrapper") for child in module.children())
    ]
    return [undo for undo in found if undo is not None]


def _bound(module: Any) -> Callable[..., Any]:
    return functools.partial(_forward, module)  # unlike a method, it can be pickled


def _replaceable(module: nn.Module) -> bool:
    return (
        type(module).forward is nn.MultiheadAttention.forward
        and "forward" not in vars(module)
        and module.bias_k is None
        and not module.add_zero_attn
    )


def _forward(
    self: nn.MultiheadAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    swapped = not self.batch_first and query.dim() == 3
    operands = [x.transpose(0, 1) if swapped else x for x in (query, key, value)]
    projected = [
        nn.functional.linear(x, weight, bias).unflatten(-1, (-1, self.head_dim)).transpose(-2, -3)
        for x, weight, bias in zip(operands, *_projections(self))
    ]
    queries, keys, values = projected
    scores = queries @ keys.transpose(-1, -2) / self.head_dim**0.5
    scores = _masked(scores, attn_mask)
    if key_padding_mask is not None:
        scores = _masked(scores, key_padding_mask[..., None, None, :])
    weights = nn.functional.dropout(scores.softmax(-1), self.dropout, self.training)
    output = self.out_proj((weights @ values).transpose(-2, -3).flatten(-2))
    output = output.transpose(0, 1) if swapped else output
    if not need_weights:
        return output, None
    # Not the mean: the heads that are left would take a greater part than they had.
    return output, weights.sum(-3) / int(weights.shape[-3]) if average_attn_weights else weights


def _projections(self: nn.MultiheadAttention) -> tuple[Any, Any]:
    weights: Any = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
    if self.in_proj_weight is not None:
        weights = self.in_proj_weight.chunk(3)
    biases: Any = (None, None, None) if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
    return weights, biases


def _masked(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return scores
    if mask.dim() == 3:  # (batch * heads, targets, sources)
        mask = mask.view(scores.shape[0], -1, *mask.shape[1:])
    if mask.dtype == torch.bool:
        return scores.masked_fill(mask, -torch.inf)
    return scores + mask
