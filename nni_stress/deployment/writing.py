"""Writing the files of one network side by side, and measuring them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_map

from ..graph import serialization
from ..graph.latency import turns
from ..graph.tracing import Traced, trace_any_batch
from ..trial.task import Task
from ..utils.batches import answer, examples_in, few_examples
from ..utils.messages import one_line
from ..utils.module_modes import evaluating
from .files import ExportedFile
from .int8 import write_int8
from .writers import WRITERS, Loaded, Writer

_PYTORCH = f"PyTorch {torch.__version__}"


def write_files(
    folder: Path, file: str, task: Task, formats: Sequence[str], int8: bool
) -> tuple[dict[str, ExportedFile], dict[str, str]]:
    """Write a network in several formats, each by itself, and measure all.

    Parameters
    ----------
    folder
        Holds the network's file.
    file
        Name of that file.
    task
        Makes the network.
    formats
        Names of WRITERS.
    int8
        Whether to write an 8-bit ONNX file, too.

    Returns
    -------
    dict, dict
        What was measured of each file, that of the network included; and why each other file was
        not written. Nothing of it is left.

    Raises
    ------
    ValueError
        If the network's file is damaged or of another task.

    Examples
    --------
    >>> import tempfile
    >>> folder, inputs = Path(tempfile.mkdtemp()), torch.rand(4, 2)
    >>> task = Task(lambda: nn.Linear(2, 1), inputs, None, None, None, 1, 0.1)
    >>> serialization.save(task.network(), folder / "network.safetensors")
    >>> files, failures = write_files(folder, "network.safetensors", task, ["pt2"], int8=False)
    >>> list(files), failures
    (['network.safetensors', 'network.pt2'], {})
    """
    network = serialization.load(folder / file, task.network).cpu()
    example = _on_cpu(task.example_input)
    writers: dict[str, Writer] = {f"network.{name}": WRITERS[name] for name in formats}
    if int8:
        writers["network.int8.onnx"] = partial(
            write_int8, task=task, source=folder / "network.onnx"
        )
    with evaluating(network):
        traced, loaded, failures = _write(folder, network, example, writers)
        inputs = _smallest(network, example) if traced is None else traced.smallest
        own = Loaded(_PYTORCH, lambda inputs: lambda: answer(network, inputs), {})
        files = _measured(folder, {file: own, **loaded}, inputs)
    return files, failures


def _write(
    folder: Path, network: nn.Module, example: Any, writers: Mapping[str, Writer]
) -> tuple[Traced | None, dict[str, Loaded], dict[str, str]]:
    """Write each file, or leave nothing of it."""
    loaded: dict[str, Loaded] = {}
    failures: dict[str, str] = {}
    if not writers:
        return None, loaded, failures
    try:
        traced = trace_any_batch(network, example)
    except ValueError as error:
        return None, loaded, dict.fromkeys(writers, str(error))
    for name, write in writers.items():
        try:
            found = write(traced, folder / name)
        except Exception as error:  # of torch, ONNX Runtime or the user's fidelity
            failures[name] = one_line(error)
            (folder / name).unlink(missing_ok=True)
        else:
            known = {"any_batch": traced.dynamic_batch, **found.known}
            loaded[name] = found._replace(known=known)
    return traced, loaded, failures


def _measured(folder: Path, loaded: Mapping[str, Loaded], inputs: Any) -> dict[str, ExportedFile]:
    """Measure latency in turns, beside that of the first; put together what is known of them.

    The thread's own time counts, so that trials that run at the same time matter little.
    """
    with _one_thread():
        times = turns([one.prepared(inputs) for one in loaded.values()], clock=time.thread_time)
    return {
        name: ExportedFile(
            bytes=(folder / name).stat().st_size,
            runtime=one.runtime,
            milliseconds=_digits(1e3 * np.median(own)),
            relative=_digits(np.median(own / times[:, 0])),
            examples=examples_in(inputs),
            **one.known,
        )
        for (name, one), own in zip(loaded.items(), times.T)
    }


def _digits(value: Any) -> float:
    """A measured value to as many digits as mean anything."""
    return float(f"{value:.3g}")


def _smallest(network: nn.Module, example: Any) -> Any:
    """One example, or if the network does not take one, the whole batch."""
    one = few_examples(example, 1)
    try:
        with torch.no_grad():
            answer(network, one)
    except Exception:  # of the user's network
        return example
    return one


def _on_cpu(values: Any) -> Any:
    return tree_map(lambda v: v.cpu() if isinstance(v, torch.Tensor) else v, values)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch compute on one thread, as ONNX Runtime does here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
