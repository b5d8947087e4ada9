"""Physically small networks on disk.

A file holds tensors and the shapes of layers as plain data (safetensors), never pickled code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from ..exceptions import DamagedFileError
from ..utils.atomic_files import write_atomically
from .following.attributes import set_sizes
from .following.cutting import shapes_by_module
from .following.sizes import Attribute
from .following.tracking import integers_of, set_attributes
from .layer_shapes import attributes_of
from .memory_layout import memory_format_of
from .network_file import METADATA_KEY, Shapes, check_names, read, tensors_of


def save(network: nn.Module, path: str | Path) -> None:
    """Write a network's tensors and the shapes of its layers to one file, atomically.

    Parameters
    ----------
    network
        The network, of any shape and on any device.
    path
        The file to write. Missing folders are made.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "network.safetensors"
    >>> save(nn.Linear(3, 2), file)
    >>> load(file, lambda: nn.Linear(8, 4))
    Linear(in_features=3, out_features=2, bias=True)
    """
    tensors = {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in tensors_of(network).items()
    }
    metadata = {METADATA_KEY: json.dumps(layer_shapes(network))}
    write_atomically(Path(path), safetensors.torch.save(tensors, metadata))


def load(path: str | Path, factory: Callable[[], nn.Module]) -> nn.Module:
    """Read a network that :func:`save` wrote.

    Parameters
    ----------
    path
        The file to read.
    factory
        Makes a network of the same structure, for instance the founder. Its layers take the shapes
        and numbers of the file, and keep their memory format, data type and device.

    Returns
    -------
    torch.nn.Module
        The network that `factory` made.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or holds a network of another structure than the factory's.

    Examples
    --------
    The factory makes the network as it was before it lost neurons; the file knows what is left.

    >>> import tempfile
    >>> small = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(small, f"{folder}/small.safetensors")
    ...     loaded = load(
    ...         f"{folder}/small.safetensors",
    ...         lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)),
    ...     )
    >>> loaded[0]
    Linear(in_features=4, out_features=3, bias=True)
    >>> torch.equal(loaded(torch.ones(1, 4)), small(torch.ones(1, 4)))
    True
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no network file at {path}")
    network = factory()
    memory_format = memory_format_of(network)
    tensors, shapes = read(path, network)
    fill(network, tensors, shapes, path)
    return network.to(memory_format=memory_format)


def layer_shapes(network: nn.Module) -> dict[str, dict[str, int]]:
    """The integers in a network's modules and their configurations, by module.

    Some of them are sizes of tensors, as numbers of channels or heads.

    Examples
    --------
    >>> layer_shapes(nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)))
    {'0': {'in_features': 3, 'out_features': 2}, '1': {'normalized_shape.0': 2}}
    """
    shapes: dict[str, dict[str, int]] = {}
    for attribute, value in integers_of(network).items():
        if value > 0:
            shapes.setdefault(attribute.module, {})[_key(attribute)] = value
    return shapes


def _key(attribute: Attribute) -> str:
    return ".".join(map(str, attribute.keys))


def fill(
    network: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    shapes: Shapes,
    source: str | Path,
) -> None:
    """Give a network the tensors of one of the same structure, and its layers their shapes.

    Parameters
    ----------
    network
        Changed in place. Its layers keep their data type and device.
    tensors
        As its ``state_dict``, of any shapes. Their memory layout is kept. What is one tensor in the
        network stays one if all its names have equal values.
    shapes
        What `layer_shapes` returned. Of integers that are no sizes of torch's layers, only those
        are taken that are lower than the network's, as sizes of small networks are.
    source
        Where they come from, named in errors.

    Raises
    ------
    ValueError
        If they are of a network of another structure.

    Examples
    --------
    >>> small, network = nn.Linear(3, 2), nn.Linear(8, 4)
    >>> fill(network, small.state_dict(), layer_shapes(small), "a snapshot")
    >>> network
    Linear(in_features=3, out_features=2, bias=True)
    """
    check_names(source, network, set(tensors))
    own = tensors_of(network)
    smaller = [name for name, tensor in tensors.items() if own[name].shape != tensor.shape]
    before = shapes_by_module(network, smaller)
    sizes = _sizes(network, shapes)
    known: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}  # {id of the old: (given, new)}
    for name, tensor in tensors.items():
        same = known.setdefault(id(own[name]), [])
        new = next((made for given, made in same if torch.equal(given, tensor)), None)
        if new is None:
            new = _like(own[name], tensor, f"{source}: tensor {name}")
            same.append((tensor, new))
        path, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(path), leaf, new)
    set_attributes(network, sizes)
    for path, former in before.items():
        set_sizes(network.get_submodule(path), former, whole_groups=False)


def _sizes(network: nn.Module, shapes: Shapes) -> dict[Attribute, int]:
    """The integers that a network takes."""
    sizes = {}
    for attribute, own in integers_of(network).items():
        value = shapes.get(attribute.module, {}).get(_key(attribute), own)
        module = network.get_submodule(attribute.module)
        if value < own or _key(attribute) in attributes_of(module):
            sizes[attribute] = value
    return sizes


def _like(old: torch.Tensor, tensor: torch.Tensor, what: str) -> torch.Tensor:
    """A tensor in the place of another, of its kind and on its device."""
    if old.dtype != tensor.dtype:
        raise DamagedFileError(f"{what} should be {old.dtype}, but is {tensor.dtype}")
    new = tensor.to(old.device)
    if isinstance(old, nn.Parameter):
        return nn.Parameter(new, requires_grad=old.requires_grad)
    return new
