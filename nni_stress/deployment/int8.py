"""A network as an ONNX file of 8-bit integers: calibrated, and judged, on the task's data."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_map

from ..graph.agreement import check_agreement
from ..graph.onnx import write_onnx
from ..graph.onnx_network import OnnxNetwork
from ..graph.quantization import quantize
from ..graph.tracing import Traced
from ..trial.contract import fidelity_of, pair
from ..trial.task import Task
from ..utils.batches import arguments_of, examples_in
from .writers import Loaded

TOLERANCE = 0.5  # an 8-bit file that differs by more, as a share of the magnitude, is a wrong one
_EXAMPLES = 256  # training examples that ranges are taken from, where there is no screening batch
_PIECE = 32  # examples that are run at once


def write_int8(traced: Traced, path: Path, task: Task, source: Path) -> Loaded:
    """Write an 8-bit ONNX file, load it again, compare it and measure its fidelity.

    Parameters
    ----------
    traced
        The network.
    path
        The file to write.
    task
        Ranges of the activations are taken from its screening batch, or else from training batches.
        Its fidelity judges the file on both splits.
    source
        The ONNX file in float32, if it was written already.

    Raises
    ------
    ValueError
        If the network cannot be quantized, or outputs differ by half of their magnitude.

    Examples
    --------
    >>> images = torch.rand(64, 8)
    >>> task = Task(lambda: torch.nn.Linear(8, 3), images[:2], lambda generator: [(images, None)],
    ...             None, lambda network, split: float(network(images).shape[1]), 1, 0.1)
    >>> from nni_stress.graph.tracing import trace
    >>> traced = trace(task.network(), task.example_input)
    >>> folder = Path(tempfile.mkdtemp())
    >>> loaded = write_int8(traced, folder / "int8.onnx", task, folder / "network.onnx")
    >>> loaded.known["calibration"]
    '64 training examples'
    """
    import onnxruntime

    inputs, calibration = _calibration(task)
    with tempfile.TemporaryDirectory() as folder:
        if not source.exists():
            source = Path(folder) / "network.onnx"
            write_onnx(traced, source)
        whole = OnnxNetwork(source, traced)
        size = _PIECE if traced.dynamic_batch else examples_in(traced.batches[0])
        pieces = (piece for batch in inputs for piece in _pieces(batch, size, traced.dynamic_batch))
        quantize(source, path, map(whole.arrays, pieces))
    loaded = OnnxNetwork(path, traced)
    return Loaded(
        f"ONNX Runtime {onnxruntime.__version__}",
        loaded.prepared,
        {
            "difference": check_agreement(traced, loaded.answer, "the 8-bit file", TOLERANCE),
            "tolerance": TOLERANCE,
            "validation": fidelity_of(task, loaded, "validation"),
            "test": fidelity_of(task, loaded, "test"),
            "calibration": calibration,
        },
    )


def _calibration(task: Task) -> tuple[list[Any], str]:
    """Batches of inputs, and what they are."""
    if task.screening is not None:
        inputs = task.screening[0]
        return [inputs], f"{examples_in(inputs)} screening examples"
    batches: list[Any] = []
    count = 0
    for batch in task.loader(torch.Generator().manual_seed(0)):
        batches.append(pair(batch, "Task.loader must return pairs (inputs, targets), but gave")[0])
        count += examples_in(batches[-1])
        if count >= _EXAMPLES:
            break
    return batches, f"{count} training examples"


def _pieces(inputs: Any, size: int, allow_shorter: bool) -> Iterator[Any]:
    """Cut a batch into smaller ones, as the network takes them."""
    whole = dict(inputs) if isinstance(inputs, dict) else arguments_of(inputs)
    length = examples_in(whole)

    def part(value: Any, start: int) -> Any:
        is_batch = isinstance(value, torch.Tensor) and value.dim() and len(value) == length
        return value[start : start + size] if is_batch else value

    for start in range(0, length, size):
        if allow_shorter or start + size <= length:
            yield tree_map(lambda value, start=start: part(value, start), whole)
