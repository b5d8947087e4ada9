"""Darknet's .weights files, as its authors publish them for YOLOv2."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .yolov2 import YOLOv2


class OtherHead(ValueError):
    """A .weights file has another detection head than the network, or none."""


class Header(NamedTuple):
    """Version of the file, how many images the network has seen in training, and the header's length in bytes."""

    major: int
    minor: int
    revision: int
    seen: int
    length: int


def read_header(content: bytes) -> Header:
    """Three int32 of the version, then the images seen: int64 from version 0.2 on, int32 before; all little-endian.

    Raises
    ------
    ValueError
        If that is no such header.
    """
    if len(content) < 16:
        raise ValueError(f"a header has at least 16 bytes, but got {len(content)}")
    major, minor, revision = np.frombuffer(content, "<i4", 3).tolist()
    if not (0 <= major < 1000 and 0 <= minor < 1000):
        raise ValueError(f"its version should be numbers from 0 to 999, but is {major}.{minor}")
    wide = major * 10 + minor >= 2
    if len(content) < 12 + 4 * (1 + wide):
        raise ValueError(
            f"a header of version {major}.{minor} has 20 bytes, but got {len(content)}"
        )
    seen = int(np.frombuffer(content, "<i8" if wide else "<i4", 1, offset=12)[0])
    return Header(major, minor, revision, seen, 20 if wide else 16)


def load_darknet(network: YOLOv2, path: str | Path, backbone_only: bool = False) -> Header:
    """Read a .weights file into a network.

    The file has a header and then float32, of every convolution in the order of yolov2-voc.cfg, which is this network's
    order of definition: the biases (of its batch norm, where it has one), the batch norm's weights, means and variances,
    then the convolution's weights, filter by filter. The passthrough convolution stands between the two 3x3 layers before
    it and the one behind the concatenation.

    No published file was at hand. That the order is as Darknet's source has it, and that batch norm adds 1e-5 to the
    variance as its GPU code does, is read off that source; the sizes of two published files, 202,704,264 bytes for VOC and
    203,934,260 for COCO (of an older version, with a header of 16), are those this function asks for. For the very outputs
    of such a file the network must be made with ``darknet_reorg=True``, see :func:`trials.models.yolov2.darknets_reorg`;
    without, a published head works on slightly displaced passthrough features until it is trained further.

    Parameters
    ----------
    network
        Changed in place; as it was where an error is raised.
    path
        The file.
    backbone_only
        Read no more than Darknet-19's 18 convolutions, from a file of any number of classes, or of the backbone alone
        (as darknet19_448.conv.23). The detection head stays as it is.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is too short or too long, is of a network with another number of classes, or holds no numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file at {path}")
    content = path.read_bytes()
    try:
        header = read_header(content)
    except ValueError as error:
        raise ValueError(f"{path} is no .weights file: {error}") from None
    slots = _slots([network.fine, network.coarse] if backbone_only else [network])
    wanted, found, rest = (
        sum(slot.numel() for slot in slots),
        *divmod(len(content) - header.length, 4),
    )
    if rest or found < wanted or (found > wanted and not backbone_only):
        raise _misfit(network, path, wanted, found + rest / 4, backbone_only)
    values = torch.from_numpy(
        np.frombuffer(content, "<f4", wanted, offset=header.length).astype(np.float32)
    )
    if not torch.isfinite(values).all():
        raise ValueError(
            f"{path} is damaged: {int((~torch.isfinite(values)).sum())} of its numbers are not finite"
        )
    with torch.no_grad():
        for slot, part in zip(slots, values.split([slot.numel() for slot in slots])):
            slot.copy_(part.view(slot.shape))
    return header


def start_from(network: YOLOv2, path: str | Path) -> bool:
    """Read a .weights file as the start of a training: all of it, or its backbone alone where the rest does not suit.

    Returns
    -------
    bool
        Whether all was read. The backbone alone is, where the file holds no more, or is of another number of classes.

    Raises
    ------
    FileNotFoundError, ValueError
        As for :func:`load_darknet`.
    """
    try:
        load_darknet(network, path)
        return True
    except OtherHead:
        load_darknet(network, path, backbone_only=True)
        return False


def _slots(parts: list[nn.Module]) -> list[Tensor]:
    """The tensors of all convolutions, in the order of the file."""
    slots, convolution = [], None
    for module in (module for part in parts for module in part.modules()):
        if isinstance(module, nn.Conv2d):
            convolution = module
            if module.bias is not None:
                slots += [module.bias, module.weight]
        elif isinstance(module, nn.BatchNorm2d):
            slots += [
                module.bias,
                module.weight,
                module.running_mean,
                module.running_var,
                convolution.weight,
            ]
    return slots


def _misfit(network, path: Path, wanted: int, found: float, backbone_only: bool) -> ValueError:
    """What is wrong with a file of so many numbers."""
    per_output = network.output.weight[0].numel() + 1
    outputs, rest = divmod(found - wanted + per_output * network.output.out_channels, per_output)
    if not backbone_only and not rest and outputs > 0 and found != wanted:
        return OtherHead(
            f"{path} is of a network with {int(outputs)} outputs, anchors x (5 + classes), but this one has "
            f"{network.output.out_channels}; backbone_only=True leaves the head as it is"
        )
    which = "backbone" if backbone_only else "network"
    backbone = sum(slot.numel() for slot in _slots([network.fine, network.coarse]))
    return (OtherHead if found == backbone else ValueError)(
        f"{path} is too {'short' if found < wanted else 'long'}: the {which} has {wanted} numbers, but the file {found:g}"
    )
