"""Export of a network as an ONNX file."""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from ..utils.atomic_files import write_atomically
from ..utils.batches import answer, arguments_of, tensors_in
from ..utils.module_modes import evaluating


def export_onnx(
    network: nn.Module,
    path: str | Path,
    example_input: Any,
    dynamic_batch: bool = True,
    tolerance: float = 1e-4,
) -> None:
    """Write a network, in evaluation mode, to an ONNX file that ONNX Runtime agrees with.

    The file is written only after ONNX Runtime has computed the network's outputs for
    `example_input`. Needs the packages onnxscript and onnxruntime
    (``pip install nni-stress[onnx]``).

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
        If ONNX Runtime's outputs differ by more than the tolerance. No file is written then.
    ImportError
        If a package is missing.

    Examples
    --------
    >>> import nni_stress
    >>> network = nn.Linear(2, 1)
    >>> nni_stress.export_onnx(network, "network.onnx", torch.rand(1, 2))  # doctest: +SKIP
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise ImportError(
            f"export_onnx needs onnxscript and onnxruntime, but {error.name} is missing: "
            f"pip install nni-stress[onnx]"
        ) from None
    by_name = isinstance(example_input, Mapping)
    inputs: Any = dict(example_input) if by_name else arguments_of(example_input)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        with evaluating(network), torch.no_grad(), _quiet_exporter():
            _export(network, file, inputs, dynamic_batch)
            expected = tensors_in(answer(network, inputs))
            session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            names = [entry.name for entry in session.get_inputs()]
            feed = inputs if by_name else dict(zip(names, tensors_in(inputs)))
            arrays = {name: value.detach().cpu().numpy() for name, value in feed.items()}
            outputs = session.run(None, arrays)
            for wanted, output in zip(expected, map(torch.from_numpy, outputs), strict=True):
                _check_equal(wanted.detach().cpu(), output, tolerance)
        write_atomically(Path(path), file.read_bytes())


def _export(network: nn.Module, file: Path, inputs: Any, dynamic_batch: bool) -> None:
    shapes = None
    if dynamic_batch:
        batch = torch.export.Dim("batch")
        shapes = tree_map(lambda value: {0: batch} if _is_batch(value) else None, inputs)
        if any(len(value) == 1 for value in filter(_is_batch, tensors_in(inputs))):
            # torch takes a dimension of size 1 for a constant
            inputs = tree_map(lambda v: torch.cat([v, v]) if _is_batch(v) else v, inputs)
    keywords: dict[str, Any] = {"kwargs": inputs} if isinstance(inputs, dict) else {}
    torch.onnx.export(
        network,
        () if keywords else inputs,
        str(file),
        **keywords,
        dynamo=True,
        dynamic_shapes=shapes,
        external_data=False,
        verbose=False,
    )


def _is_batch(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() > 0


def _check_equal(expected: torch.Tensor, output: torch.Tensor, tolerance: float) -> None:
    largest = float(expected.abs().max())
    same_shape = expected.shape == output.shape
    difference = float((expected - output).abs().max()) if same_shape else math.inf
    if not difference <= tolerance * max(largest, 1e-6):  # also if the difference is NaN
        raise ValueError(
            f"ONNX Runtime disagrees with the network: an output of largest magnitude {largest:g} "
            f"differs by {difference:g}"
        )


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence torch's exporter, which warns about its internals and about optional packages."""
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
