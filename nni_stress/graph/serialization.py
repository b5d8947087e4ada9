"""Physically small networks on disk: tensors and shapes as plain data (safetensors), never a pickle of code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from ..utils.atomic_files import write_atomically

# The attributes by which torch's layers know their own shape.
_SHAPE_ATTRIBUTES = (
    "in_channels",
    "out_channels",
    "groups",
    "in_features",
    "out_features",
    "num_features",
    "num_channels",
    "num_groups",
)


def save(network: nn.Module, path: str | Path) -> None:
    """Write the network's tensors, and the shapes of its layers, to one file, atomically."""
    shapes = {
        name: {
            attribute: getattr(module, attribute)
            for attribute in _SHAPE_ATTRIBUTES
            if isinstance(getattr(module, attribute, None), int)
        }
        for name, module in network.named_modules()
    }
    tensors = {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in network.state_dict().items()
    }
    metadata = {"nni_stress": json.dumps({name: shape for name, shape in shapes.items() if shape})}
    write_atomically(Path(path), safetensors.torch.save(tensors, metadata))


def load(path: str | Path, factory: Callable[[], nn.Module]) -> nn.Module:
    """Read a network that :func:`save` wrote.

    Parameters
    ----------
    path
        The file.
    factory
        Makes the founder's network, of any shape; its layers take the shapes of the file, and stay in its memory format.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or holds another network than the factory's.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no network file at {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            shapes = json.loads((file.metadata() or {}).get("nni_stress", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise ValueError(f"{path} is damaged or not a network file: {error}") from None
    network = factory()
    memory_format = memory_format_of(network)
    modules = dict(network.named_modules())
    expected = network.state_dict()
    if set(expected) != set(tensors):
        missing, extra = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
        raise ValueError(
            f"{path} holds another network: tensors missing {missing[:5]}, not expected {extra[:5]}"
        )
    _set_shapes(path, modules, shapes)
    for name, tensor in tensors.items():
        owner, _, leaf = name.rpartition(".")
        old = getattr(modules[owner], leaf)
        if old.dim() != tensor.dim() or old.dtype != tensor.dtype:
            raise ValueError(
                f"{path}: tensor {name} should be {old.dim()}-dimensional {old.dtype}, "
                f"but is {tensor.dim()}-dimensional {tensor.dtype}"
            )
        tensor = tensor.to(old.device)
        if isinstance(old, nn.Parameter):
            setattr(modules[owner], leaf, nn.Parameter(tensor, requires_grad=old.requires_grad))
        else:
            setattr(modules[owner], leaf, tensor)
    return network.to(memory_format=memory_format)


def memory_format_of(network: nn.Module) -> torch.memory_format:
    """Channels last, where weights of convolutions are; else the contiguous format."""
    last = any(
        tensor.dim() == 4
        and tensor.is_contiguous(memory_format=torch.channels_last)
        and not tensor.is_contiguous()
        for tensor in network.parameters()
    )  # with a single channel a tensor is in both
    return torch.channels_last if last else torch.contiguous_format


def laid_out_as(parameter: torch.Tensor, remembered: Any) -> Any:
    """What an optimizer remembers of a parameter, in the order of its memory: fused optimizers take that for granted."""
    if (
        getattr(remembered, "shape", None) != parameter.shape
        or remembered.stride() == parameter.stride()
    ):
        return remembered
    return torch.empty_like(parameter, dtype=remembered.dtype, requires_grad=False).copy_(
        remembered
    )


def _set_shapes(path, modules, shapes):
    for name, shape in shapes.items():
        for attribute, value in shape.items():
            known = attribute in _SHAPE_ATTRIBUTES and isinstance(
                getattr(modules.get(name), attribute, None), int
            )
            if not known or not isinstance(value, int) or value < 1:
                raise ValueError(f"{path}: layer {name!r} cannot have {attribute} = {value!r}")
            setattr(modules[name], attribute, value)
