"""Reading of Darknet's .weights files, in which the authors of YOLOv2 publish their networks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nni_stress.exceptions import DamagedFileError
from nni_stress.utils.regular_files import open_regular

from .yolov2 import YOLOv2

_HEADER_BYTES = 20  # at most


class HeadMismatchError(DamagedFileError):
    """A .weights file has no detection head, or one with another number of outputs."""


class WeightsHeader(NamedTuple):
    """Header of a .weights file.

    Attributes
    ----------
    major, minor, revision
        Version of the file format.
    seen
        Number of images that the network has been trained on.
    length
        Length of the header in bytes.
    """

    major: int
    minor: int
    revision: int
    seen: int
    length: int


def read_header(content: bytes) -> WeightsHeader:
    """Parse the header of a .weights file.

    It holds the version as three int32, then the number of images seen: int64 from version 0.2 on,
    int32 before. All numbers are little-endian.

    Parameters
    ----------
    content
        The file's content.

    Returns
    -------
    WeightsHeader
        The header.

    Raises
    ------
    ValueError
        If the content is too short, or its version implausible.

    Examples
    --------
    >>> read_header(np.array([0, 1, 0, 64], "<i4").tobytes())
    WeightsHeader(major=0, minor=1, revision=0, seen=64, length=16)
    """
    if len(content) < 16:
        raise ValueError(f"a header has at least 16 bytes, but got {len(content)}")
    major, minor, revision = np.frombuffer(content, "<i4", 3).tolist()
    if not (0 <= major < 1000 and 0 <= minor < 1000):
        raise ValueError(f"its version should be numbers from 0 to 999, but is {major}.{minor}")
    seen_type = np.dtype("<i8" if major * 10 + minor >= 2 else "<i4")
    length = 12 + seen_type.itemsize
    if len(content) < length:
        raise ValueError(
            f"a header of version {major}.{minor} has {length} bytes, but got {len(content)}"
        )
    seen = int(np.frombuffer(content, seen_type, 1, offset=12)[0])
    return WeightsHeader(major, minor, revision, seen, length)


def load_darknet(network: YOLOv2, path: str | Path, backbone_only: bool = False) -> WeightsHeader:
    """Load a .weights file into a network.

    After the header the file holds float32 numbers for each convolution, in the order in which
    YOLOv2 defines its layers, which is that of yolov2-voc.cfg: biases (those of the batch norm,
    where there is one), then the batch norm's weights, means and variances, then the convolution's
    weights, filter by filter. The passthrough convolution comes after the two 3x3 layers of the
    neck and before the convolution behind the concatenation.

    This order, and the 1e-5 that batch norm adds to the variance, follow Darknet's source; no
    published file was available to test with. The sizes of two published files are what this
    function expects: 202,704,264 bytes for VOC, and 203,934,260 for COCO (an older version with a
    header of 16 bytes). Only a network made with ``darknet_reorg=True`` reproduces the outputs of
    a published file, see :func:`reorg_darknet`; any other gets passthrough features that are
    slightly displaced, until it is trained further.

    Parameters
    ----------
    network
        Network to load into. It stays unchanged if an error is raised.
    path
        The .weights file.
    backbone_only
        Whether to load only the 18 convolutions of Darknet-19. The file may then be of any number
        of classes, or hold the backbone alone, as darknet19_448.conv.23 does.

    Returns
    -------
    WeightsHeader
        Header of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    HeadMismatchError
        If the file has no detection head, or that of another number of classes.
    ValueError
        If it is no regular file, too short or too long, or holds values that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file at {path}")
    tensors = _tensors_in_file_order(_backbone(network) if backbone_only else [network])
    expected = sum(tensor.numel() for tensor in tensors)
    with open_regular(path) as file:
        try:
            header = read_header(file.read(_HEADER_BYTES))
        except ValueError as error:
            raise DamagedFileError(f"{path} is no .weights file: {error}") from None
        # The size is judged before anything is read, as a file of holes may be of any size.
        found, rest = divmod(os.fstat(file.fileno()).st_size - header.length, 4)
        if rest or found < expected or (found > expected and not backbone_only):
            raise _size_error(network, path, expected, found + rest / 4, backbone_only)
        file.seek(header.length)
        numbers = np.frombuffer(file.read(4 * expected), "<f4")
    values = torch.from_numpy(numbers.astype(np.float32))
    if not torch.isfinite(values).all():
        broken = int((~torch.isfinite(values)).sum())
        raise DamagedFileError(f"{path} is damaged: {broken} of its numbers are not finite")
    with torch.no_grad():
        for tensor, part in zip(tensors, values.split([tensor.numel() for tensor in tensors])):
            tensor.copy_(part.view(tensor.shape))
    return header


def load_initial_weights(network: YOLOv2, path: str | Path) -> bool:
    """Load a .weights file to start a training from: all of it if the head fits, else the backbone.

    Parameters
    ----------
    network
        Network to load into.
    path
        The .weights file.

    Returns
    -------
    bool
        True if everything was loaded, False if only the backbone was, because the file has no head
        or that of another number of classes.

    Raises
    ------
    FileNotFoundError, ValueError
        As for :func:`load_darknet`.
    """
    try:
        load_darknet(network, path)
        return True
    except HeadMismatchError:
        load_darknet(network, path, backbone_only=True)
        return False


def _backbone(network: YOLOv2) -> list[nn.Module]:
    return [network.fine, network.coarse]


def _tensors_in_file_order(parts: list[nn.Module]) -> list[Tensor]:
    tensors: list[Tensor] = []
    convolution: nn.Conv2d | None = None
    for module in (module for part in parts for module in part.modules()):
        if isinstance(module, nn.Conv2d):
            convolution = module
            if module.bias is not None:
                tensors += [module.bias, module.weight]
        elif isinstance(module, nn.BatchNorm2d):
            assert convolution is not None
            assert module.running_mean is not None
            assert module.running_var is not None
            tensors += [module.bias, module.weight, module.running_mean, module.running_var]
            tensors.append(convolution.weight)
    return tensors


def _size_error(
    network: YOLOv2, path: Path, expected: int, found: float, backbone_only: bool
) -> ValueError:
    """The error for a file that has `found` numbers where `expected` ones are needed."""
    head = network.output
    per_output = head.weight[0].numel() + 1
    outputs, rest = divmod(found - expected + per_output * head.out_channels, per_output)
    if not backbone_only and not rest and outputs > 0 and found != expected:
        return HeadMismatchError(
            f"{path} is of a network with {int(outputs)} outputs, anchors x (5 + classes), but "
            f"this one has {head.out_channels}; backbone_only=True leaves the head as it is"
        )
    part = "backbone" if backbone_only else "network"
    length = "short" if found < expected else "long"
    message = f"{path} is too {length}: the {part} has {expected} numbers, but the file {found:g}"
    backbone = sum(tensor.numel() for tensor in _tensors_in_file_order(_backbone(network)))
    return HeadMismatchError(message) if found == backbone else DamagedFileError(message)
