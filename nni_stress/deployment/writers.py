"""The formats in which a network can be written.

A writer writes a file, loads it again and compares it with the network. A new format is a function
and a line in WRITERS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..graph.agreement import TOLERANCE
from ..graph.onnx import write_onnx
from ..graph.pt2 import write_pt2
from ..graph.tracing import Traced
from ..utils.batches import answer


class Loaded(NamedTuple):
    """A file that agreed with the network when it was loaded again.

    Parameters
    ----------
    runtime
        What runs it, with its version.
    prepared
        Makes, of a batch, a function that runs the file on this batch; for measuring latency.
    known
        What else is known of it: values of `ExportedFile`.

    Examples
    --------
    >>> Loaded("PyTorch 2.14.1", lambda inputs: lambda: None, {}).runtime
    'PyTorch 2.14.1'
    """

    runtime: str
    prepared: Callable[[Any], Callable[[], object]]
    known: dict[str, Any]


Writer = Callable[[Traced, Path], Loaded]


def _onnx(traced: Traced, path: Path) -> Loaded:
    import onnxruntime

    loaded, difference = write_onnx(traced, path)
    return Loaded(
        f"ONNX Runtime {onnxruntime.__version__}",
        loaded.prepared,
        {"difference": difference, "tolerance": TOLERANCE},
    )


def _pt2(traced: Traced, path: Path) -> Loaded:
    loaded, difference = write_pt2(traced, path)
    return Loaded(
        f"PyTorch {torch.__version__}",
        lambda inputs: lambda: answer(loaded, inputs),
        {"difference": difference, "tolerance": TOLERANCE},
    )


WRITERS: dict[str, Writer] = {"onnx": _onnx, "pt2": _pt2}
