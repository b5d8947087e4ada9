"""`python -m nni_stress export`: one network of a lineage, with what it is and where it comes from, for use elsewhere."""
from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Mapping

from . import evolution
from .files import beside, digest, read_json, write_json
from .finding import find_lineage
from .lineage import Lineage, Record

if TYPE_CHECKING:
    from .training import Task


def best_survivor(lineage: Lineage) -> Record:
    """The best survivor of the last generation that has ended and had one. Only reads, even where something is damaged.

    Raises
    ------
    ValueError
        If no generation has ended, or a file that says which offspring count is damaged.
    """
    path, generations = lineage.folder / "state.json", []
    try:
        state = read_json(path)
        rules = evolution.Rules.of(state)
        while (path := lineage.folder / "generations" / f"g{len(generations):03d}.json").exists():
            counted = read_json(path)["closed"]
            if counted is None:
                break
            generations.append([record for record in map(lineage.record, counted) if record is not None])
    except (KeyError, TypeError, FileNotFoundError) as error:
        raise ValueError(f"{path} does not tell which networks survived ({error!r}): name one, as g001-00") from None
    if not generations or not generations[0]:
        raise ValueError(f"{lineage.folder}: the founder is not there yet")
    return evolution.line(generations, rules)[-1]


def ancestry(lineage: Lineage, record: Record) -> list[Record]:
    """The founder, all further ancestors of a network, and itself."""
    found, wanted = {}, [record.uid]
    while wanted:
        uid = wanted.pop()
        if uid not in found:
            found[uid] = lineage.record(uid)
            if found[uid] is None:
                raise ValueError(f"{lineage.folder} does not hold {uid}, an ancestor of {record.uid}")
            wanted += [one for one in (found[uid].ancestor, found[uid].other) if one is not None]
    return sorted(found.values(), key=lambda one: one.uid)


def load_task(name: str, arguments: Mapping[str, Any] | None = None) -> Task:
    """Make the task that ``trial.py:make_task`` or ``package.module:make_task`` names, with these arguments.

    Raises
    ------
    ValueError
        If there is no such file, module or function, or it does not make a task; with the reason in one line.
    """
    from .training import Task

    source, _, function = name.rpartition(":")
    if not source or not function:
        raise ValueError(f"--task takes FILE.py:FUNCTION or MODULE:FUNCTION, but got {name!r}")
    try:
        task = getattr(_import(source), function)(**(arguments or {}))
    except (Exception, SystemExit) as error:  # the user's own code, which may end in any way
        raise ValueError(f"{name} cannot be used: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if not isinstance(task, Task):
        raise ValueError(f"{name} must make an nni_stress.Task, but made {type(task).__name__}")
    return task


def _import(source: str):
    """A module, as `python3 source.py` or `python3 -m source` would find it."""
    if not source.endswith(".py"):
        sys.path.insert(0, os.getcwd())
        return importlib.import_module(source)
    path = Path(source).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def export(lineage: Lineage, uid: str | None, target: Path, task: Task | None, onnx: bool = True) -> Record:
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
        raise ValueError(f"{lineage.network_path(record.uid)} is damaged: it is not the file that was recorded")
    write_json(folder / "record.json", record._asdict())
    write_json(folder / "ancestors.json", [ancestor._asdict() for ancestor in ancestors])
    if task is not None:
        from . import networks

        small = networks.load(network, task.network)
        if onnx:
            networks.export_onnx(small, folder / "network.onnx", task.example_input)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER|ID",
                        help="folder of the lineage or the run, or NNI's id of the experiment")
    parser.add_argument("uid", nargs="?", help="the network's name, as g003-01; default: the best survivor")
    parser.add_argument("--to", type=Path, required=True, help="folder to write; must not exist yet, or be empty")
    parser.add_argument("--task", help="FILE.py:FUNCTION or MODULE:FUNCTION that makes the task, as trial.py:make_task")
    parser.add_argument("--no-onnx", dest="onnx", action="store_false", help="write no ONNX file; needs no --task then")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Export, and say what; a ValueError, an OSError or an ImportError says why not."""
    if options.onnx and options.task is None:
        raise ValueError("an ONNX file needs --task FILE.py:FUNCTION, which makes the task; or give --no-onnx")
    lineage = Lineage(find_lineage(options.folder))
    task = None if options.task is None else load_task(options.task)
    try:
        record = export(lineage, options.uid, options.to, task, options.onnx)
    except Exception as error:  # torch's exporter raises all kinds
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    yield (f"{record.uid}: {record.synapses:,} synapses, {record.efficiency:.1f}x fewer than the founder, fidelity "
           f"{record.validation:.4f} (validation), {record.test:.4f} (test)")
    yield str(options.to)
