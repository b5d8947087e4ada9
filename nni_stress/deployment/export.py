"""A network of a lineage as a folder of files: for PyTorch, for other runtimes, and its record."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..evolution.ancestry import ancestry, best_survivor
from ..exceptions import ExportError
from ..lineage.record import Record
from ..lineage.store import Lineage
from ..utils.atomic_files import write_json
from ..utils.temporaries import folder_beside, remove_leftovers
from .files import ExportedFile

if TYPE_CHECKING:
    from ..trial.task import Task

FORMATS = ("onnx", "pt2")  # beside safetensors, which is always written
_NETWORK = "network.safetensors"


class Exported(NamedTuple):
    """What was written.

    Parameters
    ----------
    folder
        Where it is.
    record
        The network's record.
    files
        {name of a network's file: its size, and what was measured of it}.

    Examples
    --------
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 10, 20, 1.0, None, {}, {})
    >>> Exported(Path("best"), founder, {"network.onnx": ExportedFile(1200)}).record.uid
    'g000-00'
    """

    folder: Path
    record: Record
    files: dict[str, ExportedFile]


def export(
    lineage: Lineage,
    folder: str | Path,
    task: Task | None = None,
    uid: str | None = None,
    formats: Sequence[str] = ("onnx",),
    int8: bool = False,
) -> Exported:
    """Write a network and its record into a new folder.

    The lineage is only read. The files are

    - network.safetensors, which nni_stress.load reads;
    - network.onnx and network.pt2 (of torch.export), as `formats` say;
    - network.int8.onnx, if `int8` is true;
    - record.json, what the network is and achieved, with size and latency of each file;
    - ancestors.json, the records from the founder (the network of generation 0) to it.

    Each file of the network is loaded again and compared with the network before it counts as
    written. All run on the CPU, and accept any batch size if the network does.

    Parameters
    ----------
    lineage
        The lineage.
    folder
        A folder that does not exist yet, or is empty.
    task
        Makes the network and has an example input. Without it the network's file is copied but not
        checked, and there are no other formats, no latency and no `int8`.
    uid
        Name of the network, as "g003-01"; None: the best survivor.
    formats
        Formats beside safetensors: "onnx" and "pt2".
    int8
        Whether to write a second ONNX file with 8-bit weights and activations, by ONNX Runtime's
        static quantization. It is calibrated on the task's screening batch, or on training batches
        if it has none, and its fidelity is measured on both splits.

    Returns
    -------
    Exported
        The record, and what was measured of each file.

    Raises
    ------
    ExportError
        If a format cannot be written. All others were: they are the error's `exported`.
    ValueError
        If there is no such network or format, or the network's file is damaged or of another task.
        Nothing is written, nor in the following cases.
    OSError
        If the folder is in use, or cannot be written to.
    ImportError
        If a package that ONNX needs is missing.

    Examples
    --------
    >>> import tempfile
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 10, 20, 1.0, None, {}, {})
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     lineage = Lineage(Path(parent, "lineage"))
    ...     added = lineage.add(founder, lambda path: path.write_bytes(b"network"))
    ...     exported = export(lineage, Path(parent, "founder"), uid="g000-00", formats=())
    ...     sorted(path.name for path in exported.folder.iterdir())
    ['ancestors.json', 'network.safetensors', 'record.json']
    """
    target = Path(folder)
    formats = tuple(dict.fromkeys(formats))
    _check_wishes(task, formats, int8)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise FileExistsError(f"{target} already exists, and is not an empty folder")
    record = best_survivor(lineage) if uid is None else lineage.record(uid)
    if record is None:
        raise ValueError(f"{lineage.folder} holds no offspring {uid}")
    ancestors = [ancestor._asdict() for ancestor in ancestry(lineage, record)]
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target.parent, target.name)
    with folder_beside(target) as temporary:
        _copy_network(lineage, record, temporary / _NETWORK)
        files, failures = _files(temporary, task, formats, int8)
        described = {name: file.as_json() for name, file in files.items()}
        write_json(temporary / "record.json", {**record._asdict(), "files": described})
        write_json(temporary / "ancestors.json", ancestors)
        os.rename(temporary, target)
    exported = Exported(target, record, files)
    if failures:
        raise ExportError(failures, exported)
    return exported


def _check_wishes(task: Task | None, formats: Sequence[str], int8: bool) -> None:
    """Refuse what cannot be had before anything is written."""
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"formats are {', '.join(FORMATS)}, but got {name!r}")
    if task is None and int8:
        raise ValueError(
            "int8 needs a task: its data calibrate the 8-bit network, and its fidelity judges it"
        )
    if task is None and formats:
        raise ValueError(f"the format {formats[0]} needs a task, which makes the network")
    if "onnx" in formats or int8:
        from ..graph.onnx import require_packages

        require_packages("an ONNX file")


def _copy_network(lineage: Lineage, record: Record, path: Path) -> None:
    with lineage.open_network(record) as recorded, open(path, "xb") as network:
        shutil.copyfileobj(recorded, network, 2**20)


def _files(
    folder: Path, task: Task | None, formats: Sequence[str], int8: bool
) -> tuple[dict[str, ExportedFile], dict[str, str]]:
    """Write and measure the network's files; what could not be written, and why."""
    if task is None:
        return {_NETWORK: ExportedFile((folder / _NETWORK).stat().st_size)}, {}
    from .writing import write_files

    return write_files(folder, _NETWORK, task, formats, int8)
