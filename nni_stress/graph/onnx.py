"""Export of a network as an ONNX file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..utils.atomic_files import write_atomically
from .agreement import TOLERANCE, check_agreement
from .onnx_network import OnnxNetwork
from .tracing import Traced, first_cause, quiet_exporters, trace


def export_onnx(
    network: nn.Module,
    path: str | Path,
    example_input: Any,
    dynamic_batch: bool = True,
    tolerance: float = TOLERANCE,
) -> None:
    """Write a network, in evaluation mode, to an ONNX file that ONNX Runtime agrees with.

    The file is written only after ONNX Runtime has computed the network's outputs for
    `example_input`, and with `dynamic_batch` for a batch of another size. Needs the packages
    onnxscript and onnxruntime (``pip install nni-stress[onnx]``).

    Parameters
    ----------
    network
        The network. Its mode is left alone.
    path
        The file to write.
    example_input
        One batch of inputs: a tensor, a tuple of tensors, or a mapping of keyword arguments.
    dynamic_batch
        Whether the file accepts any batch size, or only that of `example_input`, which some devices
        require.
    tolerance
        Largest difference allowed between an output of ONNX Runtime and the network's output, as a
        share of the output's largest magnitude.

    Raises
    ------
    ValueError
        If torch.export cannot follow the network, or not for any batch size, or ONNX Runtime's
        outputs differ by more than the tolerance. No file is written then.
    ImportError
        If a package is missing.

    Examples
    --------
    >>> import nni_stress
    >>> network = nn.Linear(2, 1)
    >>> nni_stress.export_onnx(network, "network.onnx", torch.rand(1, 2))  # doctest: +SKIP
    """
    require_packages("export_onnx")
    traced = trace(network, example_input, dynamic_batch)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        write_onnx(traced, file, tolerance)
        write_atomically(Path(path), file.read_bytes())


def require_packages(what: str) -> None:
    """Check that the packages are there that ONNX needs.

    Parameters
    ----------
    what
        What needs them, for the message.

    Raises
    ------
    ImportError
        If one is missing; the message names it.

    Examples
    --------
    >>> require_packages("export_onnx")
    """
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise ImportError(
            f"{what} needs onnxscript and onnxruntime, but {error.name} is missing: "
            f"pip install nni-stress[onnx]"
        ) from None


def write_onnx(
    traced: Traced, path: Path, tolerance: float = TOLERANCE
) -> tuple[OnnxNetwork, float]:
    """Write an ONNX file, load it again and compare it with the network.

    Parameters
    ----------
    traced
        The network.
    path
        The file to write.
    tolerance
        Largest difference allowed, as a share of the output's largest magnitude.

    Returns
    -------
    OnnxNetwork, float
        The file, and the largest difference.

    Raises
    ------
    ValueError
        If the network has an operator that ONNX lacks, or the difference exceeds the tolerance.
        What is in the file then is of no use.

    Examples
    --------
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp()) / "network.onnx"
    >>> loaded, difference = write_onnx(trace(nn.Linear(2, 1), torch.rand(4, 2)), file)
    >>> loaded(torch.rand(7, 2)).shape, difference < 1e-5
    (torch.Size([7, 1]), True)
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    try:
        with quiet_exporters():
            program = torch.onnx.export(traced.program, (), verbose=False)
            assert program is not None  # as no file was named
            # Names of modules and classes, which no runtime reads, can be most of a small file.
            ClearMetadataAndDocStringPass()(program.model)
            program.save(path, external_data=False)
    except Exception as error:  # of many types
        raise ValueError(f"torch.onnx cannot write the network: {first_cause(error)}") from None
    loaded = OnnxNetwork(path, traced)
    return loaded, check_agreement(traced, loaded.answer, "ONNX Runtime", tolerance)
