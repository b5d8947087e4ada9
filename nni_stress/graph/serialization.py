"""Physically small networks on disk.

A file holds tensors and the shapes of layers as plain data (safetensors), never pickled code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from ..exceptions import DamagedFileError
from ..utils.atomic_files import write_atomically
from ..utils.messages import one_line, short
from ..utils.plain_data import parse_json
from ..utils.regular_files import open_regular
from .layer_shapes import attributes_of, check_shapes

_METADATA_KEY = "nni_stress"
# A network is at most this many times larger than the one of the factory; and files have a header.
_GROWTH = 16
_HEADER_BYTES = 2**24
_NETWORK_BYTES = 2**26


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
        for name, tensor in network.state_dict().items()
    }
    metadata = {_METADATA_KEY: json.dumps(layer_shapes(network))}
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
    tensors, shapes = _read(path, network)
    fill(network, tensors, shapes, path)
    return network.to(memory_format=memory_format)


def layer_shapes(network: nn.Module) -> dict[str, dict[str, int]]:
    """The attributes in which a network's layers store their shapes, by layer.

    Examples
    --------
    >>> layer_shapes(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    {'0': {'in_features': 3, 'out_features': 2}}
    """
    shapes = {name: attributes_of(module) for name, module in network.named_modules()}
    return {name: shape for name, shape in shapes.items() if shape}


def fill(
    network: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    shapes: Mapping[str, Mapping[str, Any]],
    source: str | Path,
) -> None:
    """Give a network the tensors of one of the same structure, and its layers their shapes.

    Parameters
    ----------
    network
        Changed in place. Its layers keep their data type and device.
    tensors
        As its ``state_dict``, of any shapes. Their memory layout is kept.
    shapes
        What `layer_shapes` returned.
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
    _check_names(source, set(network.state_dict()), set(tensors))
    modules = dict(network.named_modules())
    for name, shape in shapes.items():
        for attribute in attributes_of(modules[name]).keys() & shape:
            setattr(modules[name], attribute, shape[attribute])
    for name, tensor in tensors.items():
        owner, _, leaf = name.rpartition(".")
        _set_tensor(source, name, modules[owner], leaf, tensor)


def _read(
    path: Path, network: nn.Module
) -> tuple[dict[str, torch.Tensor], dict[str, dict[str, int]]]:
    """Tensors and shapes of layers, which were compared with a network of the same structure."""
    state = network.state_dict()
    try:
        _check_size(path, state)
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = parse_json((file.metadata() or {}).get(_METADATA_KEY, "{}"))
            names = file.keys()  # the only way to list them: it is not a mapping
            _check_names(path, set(state), set(names))
            found = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            _check_dimensions(path, state, found)
            shapes = _check_shapes(path, network, metadata, found)
            tensors = {name: file.get_tensor(name) for name in names}
    except DamagedFileError:
        raise
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise DamagedFileError(
            f"{path} is damaged or not a network file: {one_line(error)}"
        ) from None
    return tensors, shapes


def _check_size(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Check the sizes of a file and its header, so that reading it takes bounded memory."""
    whole = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    with open_regular(path, _NETWORK_BYTES + _GROWTH * whole) as file:
        header = int.from_bytes(file.read(8), "little")
    if header > _HEADER_BYTES:
        raise DamagedFileError(
            f"{path} is damaged or not a network file: its header must have at most "
            f"{_HEADER_BYTES:,} bytes, but announces {header:,}"
        )


def _check_names(source: str | Path, expected: set[str], found: set[str]) -> None:
    if expected != found:
        missing = sorted(expected - found)
        extra = sorted(found - expected)
        raise DamagedFileError(
            f"{source} holds another network: tensors missing {missing[:5]}, "
            f"not expected {extra[:5]}"
        )


def _check_dimensions(
    path: Path, state: Mapping[str, torch.Tensor], found: Mapping[str, tuple[int, ...]]
) -> None:
    for name, shape in found.items():
        if len(shape) != state[name].dim():
            raise DamagedFileError(
                f"{path}: tensor {name} should be {state[name].dim()}-dimensional, "
                f"but is {len(shape)}-dimensional"
            )


def _check_shapes(
    path: Path, network: nn.Module, metadata: Any, found: Mapping[str, tuple[int, ...]]
) -> dict[str, dict[str, int]]:
    """The shapes of layers in a file's metadata, if they are those of its tensors."""
    modules = dict(network.named_modules())
    if not isinstance(metadata, dict):
        raise ValueError(f"its shapes must be a mapping of layers, but are {short(metadata)}")
    for name, shape in metadata.items():
        if name not in modules or not isinstance(shape, dict):
            raise DamagedFileError(f"{path}: layer {name!r} cannot have the shape {short(shape)}")
    most = max([1, *map(math.prod, found.values())])
    tensors: dict[str, dict[str, tuple[int, ...]]] = {name: {} for name in modules}
    for tensor, dimensions in found.items():
        owner, _, leaf = tensor.rpartition(".")
        tensors.setdefault(owner, {})[leaf] = dimensions
    for name, module in modules.items():
        try:
            check_shapes(module, metadata.get(name, {}), tensors[name], most)
        except ValueError as error:
            raise DamagedFileError(f"{path}: layer {name!r}: {error}") from None
    return metadata


def _set_tensor(
    source: str | Path, name: str, module: nn.Module, leaf: str, tensor: torch.Tensor
) -> None:
    old = getattr(module, leaf)
    if old.dtype != tensor.dtype:
        raise DamagedFileError(
            f"{source}: tensor {name} should be {old.dtype}, but is {tensor.dtype}"
        )
    new = tensor.to(old.device)
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
    setattr(module, leaf, new)


def memory_format_of(network: nn.Module) -> torch.memory_format:
    """Memory format of a network's convolutions: channels last if any weight is in it.

    Examples
    --------
    >>> memory_format_of(nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last))
    torch.channels_last
    >>> memory_format_of(nn.Linear(3, 8))
    torch.contiguous_format
    """
    # A tensor with a single channel is in both formats.
    channels_last = any(
        tensor.dim() == 4
        and tensor.is_contiguous(memory_format=torch.channels_last)
        and not tensor.is_contiguous()
        for tensor in network.parameters()
    )
    return torch.channels_last if channels_last else torch.contiguous_format


def laid_out_as(parameter: torch.Tensor, remembered: Any) -> Any:
    """Bring a tensor of an optimizer's state into the memory layout of its parameter.

    Fused optimizers rely on equal layouts.

    Parameters
    ----------
    parameter
        The parameter.
    remembered
        What an optimizer's state holds for it: a tensor or anything else.

    Returns
    -------
    object
        A copy with the parameter's strides, or `remembered` itself if its strides are the same
        already, or if it is not a tensor of the parameter's shape.

    Examples
    --------
    >>> weight = torch.rand(3, 2).T
    >>> laid_out_as(weight, torch.rand(2, 3)).stride() == weight.stride()
    True
    """
    if getattr(remembered, "shape", None) != parameter.shape:
        return remembered
    if remembered.stride() == parameter.stride():
        return remembered
    copy = torch.empty_like(parameter, dtype=remembered.dtype, requires_grad=False)
    return copy.copy_(remembered)
