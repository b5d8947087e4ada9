"""Export of a network as a file of torch.export."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ..utils.batches import answer
from .agreement import check_agreement
from .tracing import Traced, quiet_exporters


def write_pt2(traced: Traced, path: Path) -> tuple[nn.Module, float]:
    """Write a file of ``torch.export.save``, load it again and compare it with the network.

    Parameters
    ----------
    traced
        The network.
    path
        The file to write; its name ends in ``.pt2``.

    Returns
    -------
    torch.nn.Module, float
        The file's network, and its largest difference as a share of an output's largest magnitude.

    Raises
    ------
    ValueError
        If the difference exceeds the tolerance. The file is there, but is of no use.

    Examples
    --------
    >>> import tempfile
    >>> from nni_stress.graph.tracing import trace
    >>> file = Path(tempfile.mkdtemp()) / "network.pt2"
    >>> loaded, difference = write_pt2(trace(nn.Linear(2, 1), torch.rand(4, 2)), file)
    >>> loaded(torch.rand(7, 2)).shape, difference
    (torch.Size([7, 1]), 0.0)
    """
    with quiet_exporters(), torch.no_grad():
        torch.export.save(traced.program, path)
        loaded = torch.export.load(path).module()
        return loaded, check_agreement(
            traced, lambda inputs: answer(loaded, inputs), "torch.export"
        )
