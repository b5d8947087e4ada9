"""Reading of network files, which are judged before any tensor is made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import safetensors
import torch
from torch import nn

from ..exceptions import DamagedFileError
from ..utils.messages import one_line, short
from ..utils.plain_data import parse_json
from ..utils.regular_files import open_regular
from .layer_shapes import check_shapes

METADATA_KEY = "nni_stress"
# A network is at most this many times larger than the one of the factory; and files have a header.
_GROWTH = 16
_HEADER_BYTES = 2**24
_NETWORK_BYTES = 2**26


Shapes: TypeAlias = Mapping[str, Mapping[str, int]]


def tensors_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers of a network, by all their names.

    Also the buffers that torch does not save: they can be computed for the whole network, but not
    for one that has been cut.

    Examples
    --------
    >>> network = nn.Linear(3, 2, bias=False)
    >>> network.register_buffer("scale", torch.ones(2), persistent=False)
    >>> list(tensors_of(network))
    ['weight', 'scale']
    """
    unsaved = {
        name: tensor for name in _unsaved(network) if (tensor := _buffer(network, name)) is not None
    }
    return {**network.state_dict(keep_vars=True), **unsaved}


def check_names(source: str | Path, network: nn.Module, found: Set[str]) -> None:
    """Check that tensors of these names are those of a network of the same structure.

    Parameters
    ----------
    source
        Where they come from, named in errors.
    network
        The network. Buffers that torch does not save may be missing.
    found
        The names.

    Raises
    ------
    DamagedFileError
        If names are missing, or too many.

    Examples
    --------
    >>> check_names("a snapshot", nn.Linear(3, 2), {"weight", "bias"})
    """
    expected = set(network.state_dict())
    missing = sorted(expected - found)
    extra = sorted(found - expected - set(_unsaved(network)))
    if missing or extra:
        raise DamagedFileError(
            f"{source} holds another network: tensors missing {missing[:5]}, "
            f"not expected {extra[:5]}"
        )


def _unsaved(network: nn.Module) -> list[str]:
    """Names of the buffers that are not in a network's ``state_dict``."""
    return [
        f"{path}.{leaf}" if path else leaf
        for path, module in network.named_modules(remove_duplicate=False)
        for leaf in module._buffers  # noqa: SLF001
        if leaf in module._non_persistent_buffers_set  # noqa: SLF001
    ]


def _buffer(network: nn.Module, name: str) -> torch.Tensor | None:
    path, _, leaf = name.rpartition(".")
    found: torch.Tensor | None = getattr(network.get_submodule(path), leaf)
    return found


def read(path: Path, network: nn.Module) -> tuple[dict[str, torch.Tensor], Shapes]:
    """Tensors and sizes in a file, which were compared with a network of the same structure.

    Parameters
    ----------
    path
        The file.
    network
        A network of the structure that the file should have, of any shape.

    Raises
    ------
    DamagedFileError
        If the file is damaged, or holds another network.

    Examples
    --------
    >>> import tempfile
    >>> from safetensors.torch import save_file
    >>> file = Path(tempfile.mkdtemp()) / "network.safetensors"
    >>> save_file(nn.Linear(3, 2, bias=False).state_dict(), file, {METADATA_KEY: "{}"})
    >>> tensors, shapes = read(file, nn.Linear(3, 2, bias=False))
    >>> tensors["weight"].shape, shapes
    (torch.Size([2, 3]), {})
    """
    # Interrupts go to the main thread. In it, one that comes while safetensors makes a tensor would
    # be turned into a ValueError by torch, and the file be called damaged.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_read, path, network).result()


def _read(path: Path, network: nn.Module) -> tuple[dict[str, torch.Tensor], Shapes]:
    state = tensors_of(network)
    try:
        _check_size(path, state)
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = parse_json((file.metadata() or {}).get(METADATA_KEY, "{}"))
            names = file.keys()  # the only way to list them: it is not a mapping
            check_names(path, network, set(names))
            names = [name for name in names if name in state]
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
) -> Shapes:
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
