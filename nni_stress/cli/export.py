"""``python -m nni_stress export``: write a network of a lineage, for PyTorch and for devices."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from ..deployment.export import FORMATS, Exported, export
from ..deployment.files import ExportedFile
from ..exceptions import ExportError
from ..lineage.locate import find_lineage
from ..lineage.store import Lineage
from ..utils.messages import one_line

HELP = "write the network of an offspring, with its record, as ONNX and in other formats"
_SAFETENSORS = "safetensors"  # always written


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
    parser.add_argument(
        "folder",
        metavar="FOLDER|ID",
        help="folder of the lineage or the run, or NNI's id of the experiment",
    )
    parser.add_argument(
        "uid", nargs="?", help="name of the network, as g003-01; default: the best survivor"
    )
    parser.add_argument(
        "--to", type=Path, required=True, help="folder to write; must not exist yet, or be empty"
    )
    parser.add_argument(
        "--task",
        help="FILE.py:FUNCTION or MODULE:FUNCTION that makes the task, as trial.py:make_task",
    )
    parser.add_argument(
        "--format",
        default="onnx",
        dest="formats",
        metavar="FORMAT,...",
        help=f"formats to write, separated by commas: {', '.join(FORMATS)}, and {_SAFETENSORS}, "
        "which is always written, and alone needs no --task; default: onnx",
    )
    parser.add_argument(
        "--no-onnx",  # of release 0.2.0
        action="store_const",
        const=_SAFETENSORS,
        dest="formats",
        help=argparse.SUPPRESS,
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="also write an ONNX file with 8-bit weights and activations, and measure its fidelity",
    )


def run(options: argparse.Namespace) -> Iterator[str]:
    """Export a network, and yield lines that say which, what was written, and where.

    Raises
    ------
    ValueError, OSError
        If it cannot be exported, or not in all formats; the message says why.
    """
    formats = [name for name in options.formats.split(",") if name != _SAFETENSORS]
    if options.task is None and (formats or options.int8):
        raise ValueError(
            "without --task FILE.py:FUNCTION, which makes the task, there is no other format than "
            "safetensors, and nothing to calibrate and judge an 8-bit network on: "
            "give --task, or --format safetensors"
        )
    lineage = Lineage(find_lineage(options.folder))
    task = None
    if options.task is not None:
        from ..trial.task import load_task

        task = load_task(options.task)
    try:
        exported = export(lineage, options.to, task, options.uid, formats, options.int8)
    except ExportError as error:
        yield from _lines(error.exported)
        raise
    except Exception as error:  # the user's network can raise errors of any type
        raise ValueError(one_line(error)) from error
    yield from _lines(exported)


def _lines(exported: Exported) -> Iterator[str]:
    record = exported.record
    yield (
        f"{record.uid}: {record.synapses:,} synapses, {record.efficiency:.1f}x fewer than the "
        f"founder, fidelity {record.validation:.4f} (validation), {record.test:.4f} (test)"
    )
    for name, file in exported.files.items():
        yield f"{name}: {', '.join(_facts(file))}"
    yield str(exported.folder)


def _facts(file: ExportedFile) -> Iterator[str]:
    yield f"{file.bytes:,} bytes"
    if file.milliseconds is None:
        yield "neither checked nor measured, for lack of --task"
    else:
        batch = "an example" if file.examples == 1 else f"a batch of {file.examples}"
        yield f"{file.milliseconds:g} ms for {batch} ({file.runtime}, one thread)"
    if file.any_batch is False:
        yield f"takes batches of {file.examples} only"
    if file.validation is not None and file.test is not None:
        yield f"fidelity {file.validation:.4f} (validation), {file.test:.4f} (test)"
        yield f"calibrated on {file.calibration}"
