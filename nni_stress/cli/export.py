"""``python -m nni_stress export``: write a network of a lineage, its record, and an ONNX file."""

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
from ..utils.atomic_files import write_json
from ..utils.messages import one_line
from ..utils.temporaries import folder_beside, remove_leftovers

if TYPE_CHECKING:
    from ..trial.task import Task

HELP = "write the network of an offspring, with its record and an ONNX file"


def export(
    lineage: Lineage, uid: str | None, target: Path, task: Task | None, onnx: bool = True
) -> Record:
    """Write a network and its record into a new folder: all files or none.

    The lineage is only read. The files are

    - network.safetensors, which nni_stress.load reads;
    - record.json, what the network is and achieved;
    - ancestors.json, the records from the founder (the network of generation 0) to it;
    - network.onnx, if there is a task and `onnx` is true.

    Parameters
    ----------
    lineage
        The lineage.
    uid
        Name of the network, as "g003-01"; None: the best survivor.
    target
        A folder that does not exist yet, or is empty.
    task
        Makes the network and has an example input; the network's file is checked against it. None:
        no check, and no ONNX file.
    onnx
        Whether to write the ONNX file; ONNX Runtime must agree with the network.

    Returns
    -------
    Record
        The network's record.

    Raises
    ------
    ValueError
        If there is no such network, or its file is damaged or of another task.
    OSError
        If the target is in use, or cannot be written to.
    ImportError
        If a package that ONNX needs is missing.

    Examples
    --------
    >>> import tempfile
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 10, 20, 1.0, None, {}, {})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lineage = Lineage(Path(folder, "lineage"))
    ...     added = lineage.add(founder, lambda path: path.write_bytes(b"network"))
    ...     exported = export(lineage, "g000-00", Path(folder, "founder"), task=None)
    ...     sorted(path.name for path in Path(folder, "founder").iterdir())
    ['ancestors.json', 'network.safetensors', 'record.json']
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise FileExistsError(f"{target} already exists, and is not an empty folder")
    record = best_survivor(lineage) if uid is None else lineage.record(uid)
    if record is None:
        raise ValueError(f"{lineage.folder} holds no offspring {uid}")
    ancestors = ancestry(lineage, record)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target.parent, target.name)
    with folder_beside(target) as temporary:
        _write_records(lineage, record, ancestors, temporary)
        if task is not None:
            _check_network(temporary, task, onnx)
        os.rename(temporary, target)
    return record


def _write_records(lineage: Lineage, record: Record, ancestors: list[Record], folder: Path) -> None:
    with (
        lineage.open_network(record) as recorded,
        open(folder / "network.safetensors", "xb") as network,
    ):
        shutil.copyfileobj(recorded, network, 2**20)
    write_json(folder / "record.json", record._asdict())
    write_json(folder / "ancestors.json", [ancestor._asdict() for ancestor in ancestors])


def _check_network(folder: Path, task: Task, onnx: bool) -> None:
    """Load the network that was written, and write its ONNX file if wanted."""
    from ..graph import serialization
    from ..graph.onnx import export_onnx

    network = serialization.load(folder / "network.safetensors", task.network)
    if onnx:
        export_onnx(network, folder / "network.onnx", task.example_input)


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
        "--no-onnx",
        dest="onnx",
        action="store_false",
        help="write no ONNX file; --task is then not needed",
    )


def run(options: argparse.Namespace) -> Iterator[str]:
    """Export a network, and yield lines that say which, and where it is.

    Raises
    ------
    ValueError, OSError
        If it cannot be exported; the message says why.
    """
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
    except Exception as error:  # torch's exporter raises errors of many types
        raise ValueError(one_line(error)) from error
    yield (
        f"{record.uid}: {record.synapses:,} synapses, {record.efficiency:.1f}x fewer than the "
        f"founder, fidelity {record.validation:.4f} (validation), {record.test:.4f} (test)"
    )
    yield str(options.to)
