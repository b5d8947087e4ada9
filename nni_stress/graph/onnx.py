"""Export of a network as an ONNX file."""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

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
        One batch of inputs, a tensor or a tuple of tensors.
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
    inputs = arguments_of(example_input)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        with evaluating(network), torch.no_grad(), _quiet_exporter():
            _export(network, file, inputs, dynamic_batch)
            expected = tensors_in(answer(network, inputs))
            session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            names = [entry.name for entry in session.get_inputs()]
            feed = {name: value.detach().cpu().numpy() for name, value in zip(names, inputs)}
            outputs = session.run(None, feed)
            for wanted, output in zip(expected, map(torch.from_numpy, outputs), strict=True):
                _check_equal(wanted.detach().cpu(), output, tolerance)
        write_atomically(Path(path), file.read_bytes())


def _export(
    network: nn.Module, file: Path, inputs: tuple[torch.Tensor, ...], dynamic_batch: bool
) -> None:
    shapes = None
    if dynamic_batch:
        shapes = tuple({0: torch.export.Dim("batch")} for _ in inputs)
        if len(inputs[0]) == 1:  # torch takes a dimension of size 1 for a constant
            inputs = tuple(torch.cat([value, value]) for value in inputs)
    torch.onnx.export(
        network,
        inputs,
        str(file),
        dynamo=True,
        dynamic_shapes=shapes,
        external_data=False,
        verbose=False,
    )


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
