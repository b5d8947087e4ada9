"""Quantization of an ONNX file to 8-bit integers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from .onnx_network import Arrays
from .tracing import quiet_exporters

# Operators that multiply by weights, and those that pass 8-bit values on. Sums are left out: where
# one adds an attention mask, a range with its -inf would leave one step for all other values.
_MULTIPLYING = ["Conv", "ConvTranspose", "Gemm", "MatMul", "Gather"]
_PASSING_ON = ["MaxPool", "AveragePool", "GlobalAveragePool", "Relu", "Clip"]
_REARRANGING = ["Reshape", "Transpose", "Concat"]


def quantize(source: Path, target: Path, batches: Iterable[Arrays]) -> None:
    """Write an ONNX file with 8-bit weights and activations, by ONNX Runtime's quantization.

    Weights have a scale for each output channel. Activations have the range that they have on the
    given batches. Products of two activations, as in attention, stay in float32.

    Parameters
    ----------
    source
        The file in float32.
    target
        The file to write.
    batches
        Inputs by name, from which the ranges are taken.

    Examples
    --------
    >>> from nni_stress.graph.onnx import write_onnx
    >>> from nni_stress.graph.tracing import trace
    >>> import torch
    >>> folder, inputs = Path(tempfile.mkdtemp()), torch.rand(16, 64)
    >>> whole, _ = write_onnx(trace(torch.nn.Linear(64, 64), inputs), folder / "network.onnx")
    >>> quantize(folder / "network.onnx", folder / "int8.onnx", [whole.arrays((inputs,))])
    >>> sizes = [(folder / name).stat().st_size for name in ("network.onnx", "int8.onnx")]
    >>> sizes[1] < sizes[0] / 2
    True
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quant_pre_process,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        remaining = iter(batches)

        def get_next(self) -> Arrays | None:
            return next(self.remaining, None)

    with tempfile.TemporaryDirectory() as folder, quiet_exporters():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared)
        quantize_static(
            prepared,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*_MULTIPLYING, *_PASSING_ON, *_REARRANGING],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
