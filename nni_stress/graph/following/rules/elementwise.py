"""Operators that work element by element, with broadcasting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from ..context import Call, Context, Rule, broadcast, named, put
from ..planes import Planes, varies


class Operand(NamedTuple):
    """A tensor as one of several that meet element by element.

    Parameters
    ----------
    planes
        Its planes, in the shape of the result.
    sized
        For each dimension of the result, whether the operand has a size of its own there. One that
        is broadcast, or expanded, suits any size.
    neutral
        Whether it suits any size altogether.
    """

    planes: Planes
    sized: list[bool]
    neutral: bool


def operand(context: Context, tensor: torch.Tensor, shape: Sequence[int]) -> Operand:
    """A tensor that broadcasts to a shape, as an operand."""
    missing = len(shape) - tensor.dim()
    planes = [broadcast(plane, shape) for plane in context.labels.of(tensor)]
    sized = [
        dim >= missing and tensor.shape[dim - missing] > 1 and tensor.stride(dim - missing) != 0
        for dim in range(len(shape))
    ]
    return Operand(planes, sized, context.labels.neutral(tensor))


def combine(context: Context, operands: Iterable[Operand]) -> Planes:
    """Tie what meets. A constant with a size of its own keeps what it meets, which ends there."""
    operands = list(operands)
    planes = [plane for item in operands for plane in item.planes]
    for item in operands:
        if item.neutral:
            continue
        for dim, sized in enumerate(item.sized):
            if not sized or any(varies(plane, dim) for plane in item.planes):
                continue
            meeting = [plane for plane in planes if varies(plane, dim)]
            context.relations.fix(
                meeting, f"combined with a constant by {context.relations.operator}"
            )
            planes = [plane for plane in planes if not varies(plane, dim)]
    return context.relations.merge(planes)


def pointwise(context: Context, call: Call) -> None:
    """The rule of all operators that work element by element."""
    tensors = call.tensors[1:] if call.name == "copy_" else call.tensors
    shape = call.outputs[0].shape
    planes = combine(context, [operand(context, tensor, shape) for tensor in tensors])
    for output in call.outputs:
        put(context, call, output, list(planes) if output.shape == shape else [])


# Those without the tag "pointwise" in torch, or that torch has under several names.
NAMES = """
    clone _to_copy copy_ detach alias lift_fresh lift_fresh_copy native_dropout dropout
    contiguous tril triu masked_fill masked_fill_ nan_to_num where fill_ bernoulli clamp prelu
    _prelu_kernel addcmul addcdiv lerp _conj _weight_norm_interface hardtanh relu relu6 gelu
    silu mish hardswish hardsigmoid leaky_relu elu celu selu softplus softshrink hardshrink
    sigmoid tanh log_sigmoid_forward rrelu_with_noise threshold
"""

RULES: dict[str, Rule] = named(NAMES, pointwise)
