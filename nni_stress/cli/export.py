"""`python -m nni_stress export`: one network of a lineage, with what it is and where it comes from, for use elsewhere."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..evolution.ancestry import ancestry, best_survivor
from ..lineage.locate import find_lineage
from ..lineage.store import Lineage, Record
from ..utils.atomic_files import beside, digest, write_json

if TYPE_CHECKING:
    from ..trial.task import Task


def export(
    lineage: Lineage, uid: str | None, target: Path, task: Task | None, onnx: bool = True
) -> Record:
    """Write a network and its record into a new folder, all of it or nothing. The lineage is only read.

        <target>/network.safetensors    what nni_stress.load reads
        <target>/record.json            what the network is and achieved
        <target>/ancestors.json         the records from the founder to it
        <target>/network.onnx           for everything else

    Parameters
    ----------
    lineage
        The lineage.
    uid
        The network's name; None: the best survivor.
    target
        A folder that does not exist yet, or is empty.
    task
        Makes the network and has an example input; the network's file is checked against it. Needed for ONNX.
    onnx
        Whether the ONNX file is written, once ONNX Runtime has been seen to agree with the network.

    Raises
    ------
    ValueError, OSError, ImportError
        If there is no such network, its file is damaged or of another task, the target is in use, or a package is missing.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise FileExistsError(f"{target} is there already, and not an empty folder")
    record = best_survivor(lineage) if uid is None else lineage.record(uid)
    if record is None:
        raise ValueError(f"{lineage.folder} holds no offspring {uid}")
    ancestors = ancestry(lineage, record)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(target)
    temporary.mkdir()
    try:
        _write(lineage, record, ancestors, temporary, task, onnx)
        os.rename(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return record


def _write(lineage, record, ancestors, folder, task, onnx) -> None:
    network = folder / "network.safetensors"
    shutil.copyfile(lineage.network_path(record.uid), network)
    if record.digest not in (None, digest(network)):
        raise ValueError(
            f"{lineage.network_path(record.uid)} is damaged: it is not the file that was recorded"
        )
    write_json(folder / "record.json", record._asdict())
    write_json(folder / "ancestors.json", [ancestor._asdict() for ancestor in ancestors])
    if task is not None:
        from ..graph import serialization
        from ..graph.onnx import export_onnx

        small = serialization.load(network, task.network)
        if onnx:
            export_onnx(small, folder / "network.onnx", task.example_input)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        metavar="FOLDER|ID",
        help="folder of the lineage or the run, or NNI's id of the experiment",
    )
    parser.add_argument(
        "uid", nargs="?", help="the network's name, as g003-01; default: the best survivor"
    )
    parser.add_argument(
        "--to", type=Path, required=True, help="folder to write; must not exist yet, or be empty"
    )
    parser.add_argument(
        "--task",
        help="FILE.py:FUNCTION or MODULE:FUNCTION that makes the task, as trial.py:make_task",
    )
    parser.add_argument(
        "--no-onnx",
        dest="onnx",
        action="store_false",
        help="write no ONNX file; needs no --task then",
    )


def run(options: argparse.Namespace) -> Iterator[str]:
    """Export, and say what; a ValueError, an OSError or an ImportError says why not."""
    if options.onnx and options.task is None:
        raise ValueError(
            "an ONNX file needs --task FILE.py:FUNCTION, which makes the task; or give --no-onnx"
        )
    lineage = Lineage(find_lineage(options.folder))
    task = None
    if options.task is not None:
        from ..trial.task import load_task

        task = load_task(options.task)
    try:
        record = export(lineage, options.uid, options.to, task, options.onnx)
    except Exception as error:  # torch's exporter raises all kinds
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    yield (
        f"{record.uid}: {record.synapses:,} synapses, {record.efficiency:.1f}x fewer than the founder, fidelity "
        f"{record.validation:.4f} (validation), {record.test:.4f} (test)"
    )
    yield str(options.to)
