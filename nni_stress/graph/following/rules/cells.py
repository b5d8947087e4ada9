"""Cells of recurrent layers that run as one operator, as on a GPU."""

from __future__ import annotations

import torch

from ..context import Call, Context, Rule, broadcast, named
from ..planes import Planes
from .elementwise import Operand, combine, operand


def cell(context: Context, call: Call) -> None:
    """Gates of equal width lie behind each other, and meet the state element by element."""
    state = call.args[2]
    operands = [operand(context, state, state.shape)]
    operands += [
        _gates(context, tensor, state.shape) for tensor in call.tensors if tensor is not state
    ]
    planes = combine(context, operands)
    for output in call.outputs:
        context.labels.assign(output, planes if output.shape == state.shape else [])


def _gates(context: Context, tensor: torch.Tensor, shape: torch.Size) -> Operand:
    """Gates, or their biases, as an operand in the shape of the state."""
    planes: Planes = []
    for plane in context.labels.of(tensor):
        gates = plane.unflatten(-1, (-1, shape[-1]))
        one = context.relations.collapse(gates, [gates.dim() - 2]).select(-2, 0)
        planes.append(broadcast(one, shape))
    sized = [tensor.dim() > 1 and tensor.shape[0] > 1, True]
    return Operand(planes, sized, context.labels.neutral(tensor))


RULES: dict[str, Rule] = named("_thnn_fused_lstm_cell _thnn_fused_gru_cell", cell)
