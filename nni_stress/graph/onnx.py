"""A network as an ONNX file."""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..utils.atomic_files import write_atomically
from ..utils.batches import arguments_of
from ..utils.module_modes import evaluating


def export_onnx(
    network: nn.Module,
    path: str | Path,
    example_input: Any,
    dynamic_batch: bool = True,
    tolerance: float = 1e-4,
) -> None:
    """Write the network as one ONNX file, in evaluation mode, once ONNX Runtime has been seen to agree with it.

    Needs the packages onnxscript and onnxruntime (``pip install nni-stress[onnx]``).

    Parameters
    ----------
    network
        The network; it stays in the mode it is in.
    path
        The file.
    example_input
        One batch of inputs, a tensor or a tuple of tensors.
    dynamic_batch
        Whether the file takes any batch size, or only that of `example_input`, as some devices ask for.
    tolerance
        Largest difference between an output of ONNX Runtime and the network's, as a share of the largest output.

    Raises
    ------
    ValueError
        If ONNX Runtime's outputs differ by more than that; no file is written.
    ImportError
        If a package is missing.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise ImportError(
            f"export_onnx needs onnxscript and onnxruntime, but {error.name} is missing: "
            f"pip install nni-stress[onnx]"
        ) from None
    inputs = arguments_of(example_input)
    seen = (
        tuple(torch.cat([x, x]) for x in inputs)
        if dynamic_batch and len(inputs[0]) == 1
        else inputs
    )
    shapes = tuple({0: torch.export.Dim("batch")} for _ in inputs) if dynamic_batch else None
    with evaluating(network), torch.no_grad(), tempfile.TemporaryDirectory() as folder, _unheard():
        file = Path(folder) / "network.onnx"
        torch.onnx.export(
            network,
            seen,
            str(file),
            dynamo=True,
            dynamic_shapes=shapes,
            external_data=False,
            verbose=False,
        )
        expected = [
            x
            for x in torch.utils._pytree.tree_leaves(network(*inputs))
            if isinstance(x, torch.Tensor)
        ]
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        names = [entry.name for entry in session.get_inputs()]
        found = session.run(
            None, {name: x.detach().cpu().numpy() for name, x in zip(names, inputs)}
        )
        for one, other in zip(expected, map(torch.from_numpy, found), strict=True):
            one = one.detach().cpu()
            worst = (one - other).abs().max() if one.shape == other.shape else math.inf
            if not worst <= tolerance * one.abs().max().clamp(min=1e-6):
                raise ValueError(
                    f"ONNX Runtime disagrees with the network: an output of largest magnitude "
                    f"{float(one.abs().max()):g} differs by {float(worst):g}"
                )
        write_atomically(Path(path), file.read_bytes())


@contextmanager
def _unheard():
    """Torch's exporter warns about its own insides, and speaks of optional packages."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
