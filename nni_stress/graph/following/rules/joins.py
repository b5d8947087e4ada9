"""Concatenation and stacking."""

from __future__ import annotations

import torch

from ..context import Call, Context, Rule
from ..planes import Plane, Planes, compact, varies, varying


def join(context: Context, call: Call) -> None:
    """Labels along the joined dimension lie behind each other; others of all parts are tied."""
    dim = call.argument(1, "dim", 0) % call.outputs[0].dim()
    parts = [part for part in call.args[0] if part.numel()]
    _join(context, call.outputs[0], dim, parts, [context.labels.of(part) for part in parts])


def stack(context: Context, call: Call) -> None:
    """Labels of all parts are tied: also those of recurrent layers, which torch keeps equal."""
    output = call.outputs[0]
    dim = call.argument(1, "dim", 0) % output.dim()
    parts = [part.unsqueeze(dim) for part in call.args[0]]
    of_parts = [[plane.unsqueeze(dim) for plane in context.labels.of(p)] for p in call.args[0]]
    _join(context, output, dim, parts, of_parts)


def _join(
    context: Context,
    output: torch.Tensor,
    dim: int,
    parts: list[torch.Tensor],
    of_parts: list[Planes],
) -> None:
    _fix_constant_parts(context, parts, of_parts, dim)
    across = [
        plane.narrow(dim, 0, 1).expand(output.shape)
        for planes in of_parts
        for plane in planes
        if not varies(plane, dim)
    ]
    along = [_along(context, planes, dim) for planes in of_parts]
    planes = [plane for plane in map(compact, across) if plane.numel() > 1]
    if any(plane is not None for plane in along):
        shapes = [
            (*output.shape[:dim], part.shape[dim], *output.shape[dim + 1 :]) for part in parts
        ]
        planes.append(torch.cat([_or_zero(*pair) for pair in zip(along, shapes)], dim))
    joined = [compact(plane).expand(output.shape) for plane in planes]
    context.labels.assign(output, context.relations.merge(joined))


def _along(context: Context, planes: Planes, dim: int) -> Plane | None:
    """The plane that varies along the joined dimension."""
    own = [plane for plane in planes if varies(plane, dim)]
    context.relations.fix(own[1:], "joined in two ways")
    return own[0] if own else None


def _or_zero(plane: Plane | None, shape: tuple[int, ...]) -> Plane:
    return torch.zeros((), dtype=torch.int32).expand(shape) if plane is None else plane


def _fix_constant_parts(
    context: Context, parts: list[torch.Tensor], of_parts: list[Planes], dim: int
) -> None:
    """A part that is constant along another dimension keeps the labels of the other parts there."""
    everything = [plane for planes in of_parts for plane in planes]
    labelled = {other for plane in everything for other in varying(plane)} - {dim}
    for part, planes in zip(parts, of_parts):
        if context.labels.neutral(part):
            continue
        for other in labelled - {d for plane in planes for d in varying(plane)}:
            meeting = [plane for plane in everything if varies(plane, other)]
            context.relations.fix(meeting, "joined with a constant")


RULES: dict[str, Rule] = {"cat": join, "_cat": join, "stack": stack}
