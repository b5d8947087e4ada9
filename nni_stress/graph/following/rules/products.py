"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..context import Call, Context, Rule
from ..labels import storage_of
from ..planes import Plane, Planes, compact, varying
from ..scales import Contraction
from .elementwise import Operand, combine, operand


def multiply(context: Context, call: Call) -> None:
    """Tie labels in the shape (batch, rows, contracted, columns), then sum over the contracted."""
    if call.name in _WITH_BIAS:
        bias, first, second = call.args[:3]
    else:
        bias, (first, second) = None, call.args[:2]
    output = call.outputs[0]
    first = first[None] if first.dim() == 1 else first
    second = second[:, None] if second.dim() == 1 else second
    shape = (*first.shape[:-1], first.shape[-1], second.shape[-1])
    contracted = len(shape) - 2
    operands = [
        operand(context, tensor, shape) for tensor in (first[..., None], second.unsqueeze(-3))
    ]
    _watch(context, (first, second), operands, contracted)
    planes = combine(context, operands)
    context.count_product(planes, shape)
    planes = context.relations.summed(planes, [contracted])
    if call.name == "addbmm":
        planes = context.relations.summed(planes, [0])
    planes = [plane.reshape(output.shape) for plane in planes]
    context.labels.assign(output, with_bias(context, planes, bias, output))


def _watch(
    context: Context,
    tensors: Sequence[torch.Tensor],
    operands: Sequence[Operand],
    contracted: int,
) -> None:
    """Remember products of activations: those of attentions are among them."""
    if any(storage_of(tensor) in context.weights for tensor in tensors):
        return
    batch = contracted - 1  # the dimensions in front of the rows
    for plane in operands[0].planes:
        if any(dim < batch for dim in varying(plane)):
            context.batched.append(_labels(plane))
    first, second = (
        [_labels(plane) for plane in item.planes if varying(plane) == [contracted]]
        for item in operands
    )
    if first:
        modules = context.relations.modules
        context.contractions.append(
            Contraction(
                modules[-1] if modules else "",
                first[0],
                second[0] if second else np.zeros(0, np.int64),
                context.relations.known,
                storage_of(tensors[0]) == storage_of(tensors[1]),
            )
        )


def _labels(plane: Plane) -> NDArray[np.int64]:
    return compact(plane).reshape(-1).numpy().astype(np.int64)


def multiply_three(context: Context, call: Call) -> None:
    """As ``nn.Bilinear``: three tensors meet in a shape of their own, then some of it is summed."""
    tensors = list(call.args[:3])
    for index, dims in enumerate(call.args[3:6]):
        for dim in sorted(dims):
            tensors[index] = tensors[index].unsqueeze(dim)
    shape = torch.broadcast_shapes(*[tensor.shape for tensor in tensors])
    planes = combine(context, [operand(context, tensor, shape) for tensor in tensors])
    context.count_product(planes, shape)
    context.labels.assign(call.outputs[0], context.relations.summed(planes, call.args[6]))


def with_bias(
    context: Context, planes: Planes, bias: torch.Tensor | None, output: torch.Tensor
) -> Planes:
    """Planes of a product to which a bias is added."""
    if bias is None:
        return planes
    product = Operand(planes, [True] * output.dim(), neutral=False)
    return combine(context, [product, operand(context, bias, output.shape)])


_WITH_BIAS = {"addmm", "baddbmm", "addbmm", "addmv", "baddbmm_", "addmm_"}
RULES: dict[str, Rule] = {
    **dict.fromkeys(["mm", "bmm", "mv", "dot", *_WITH_BIAS], multiply),
    "_trilinear": multiply_three,
}
