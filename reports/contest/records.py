"""The record of a cell on disk.

A record that is damaged, contradictory or missing becomes a line of text, never a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_type_hints

from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from nni_stress.exceptions import DamagedFileError
from nni_stress.resources import RESOURCES
from nni_stress.utils.atomic_files import read_json, write_json
from nni_stress.utils.messages import one_line, short

from .file import read_contest
from .plan import Cell, Contest, in_equal_seconds

# Share of a budget that a network must reach. Clusters (output channels, neurons) go as a whole;
# two measurements of one network differ by some percent.
_REACHED = 0.98
_REACHED_AS_MEASURED = 0.95
USES = ("parameters", "macs", "latency", "clusters")
_PHASES = {"search", "final"}
_MOST = 1e9
_ALL = CollectionCheckStrategy.ALL_ITEMS


def least_times(resource: str, budget: float) -> float:
    """How many times less than its founder a network must use, at least, to be within a budget.

    Examples
    --------
    >>> least_times("macs", 10), least_times("latency", 2)
    (9.8, 1.9)
    """
    return budget * (_REACHED_AS_MEASURED if RESOURCES[resource].measured else _REACHED)


class Record(NamedTuple):
    """What a cell found.

    Attributes
    ----------
    cell
        Which.
    path
        The file, relative to the contest's folder.
    validation, test
        Fidelity of its network, which is the best epoch of the final training on validation data.
    curve
        Validation fidelity before the final training, and after each of its epochs.
    uses
        {name: share of what the founder has}, of USES.
    architecture
        {layer: shape of its weight}.
    epochs, seconds
        {"search", "final"}: of training; of the process's CPU time, whatever for.
    learning_rate
        Highest learning rate of the final training.
    trials
        What the search tried.
    origin
        Commit, threads and environment (machine and versions).
    """

    cell: Cell
    path: str
    validation: float
    test: float
    curve: list[float]
    uses: Mapping[str, float]
    architecture: Mapping[str, list[int]]
    epochs: Mapping[str, float]
    seconds: Mapping[str, float]
    learning_rate: float
    trials: list[dict[str, Any]]
    origin: Mapping[str, Any]


class Founder(NamedTuple):
    """What a founder achieves.

    Attributes
    ----------
    parameters, macs
        Weights and biases, and multiply-accumulates of one example.
    validation, test
        Its fidelity.
    epochs
        Of its training.
    architecture
        {layer: shape of its weight}.
    """

    parameters: int
    macs: int
    validation: float
    test: float
    epochs: float
    architecture: Mapping[str, list[int]]


class Results(NamedTuple):
    """All records of a contest's folder.

    Attributes
    ----------
    name, folder, contest
        The contest.
    founders
        {seed of its training: what it achieves}, of those that are recorded.
    records
        {cell: record} of the cells that have one.
    problems
        A line for every record that cannot be used.
    """

    name: str
    folder: Path
    contest: Contest
    founders: Mapping[int, Founder]
    records: Mapping[Cell, Record]
    problems: list[str]


def cell_path(folder: Path, cell: Cell) -> Path:
    """The file of a cell's record.

    Examples
    --------
    >>> cell_path(Path("contest"), Cell("macs", 25.0, "AGPPruner", 2, 4)).as_posix()
    'contest/cells/macs/25x/AGPPruner/4.json'
    """
    return folder / "cells" / _place(cell).with_suffix(".json")


def network_path(folder: Path, cell: Cell) -> Path:
    """The file of a cell's network.

    Examples
    --------
    >>> network_path(Path("contest"), Cell("macs", 25.0, "evolution", 2, 4)).as_posix()
    'contest/networks/macs/25x/evolution/4.safetensors'
    """
    return folder / "networks" / _place(cell).with_suffix(".safetensors")


def _place(cell: Cell) -> Path:
    method = cell.method.replace(" ", "-")
    return Path(cell.resource, f"{cell.budget:g}x", method, str(cell.seed))


def founder_path(folder: Path, founder: int) -> Path:
    """The file of what a founder achieves; its network lies beside it."""
    return folder / "founders" / f"{founder}.json"


def founder_network(folder: Path, founder: int) -> Path:
    """The file of a founder's network."""
    return founder_path(folder, founder).with_suffix(".safetensors")


def write_record(folder: Path, cell: Cell, found: Mapping[str, Any]) -> None:
    """Record a cell.

    Parameters
    ----------
    folder
        The contest's folder.
    cell
        The cell.
    found
        The fields of Record without cell and path.
    """
    path = cell_path(folder, cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**cell._asdict(), **found})


def collect(folder: str | Path) -> Results:
    """Read a contest's folder.

    Raises
    ------
    ValueError, FileNotFoundError
        If there is no contest.
    """
    folder = Path(folder)
    contest = read_contest(folder / "contest.yml")
    problems: list[str] = []
    founders: dict[int, Founder] = {}
    records: dict[Cell, Record] = {}
    for number in contest.founders:
        try:
            founders[number] = read_founder(folder, number)
        except FileNotFoundError:
            continue
        except (ValueError, OSError) as error:
            problems.append(one_line(error))
    for cell in contest.cells():
        try:
            found = read_record(folder, cell)
        except (ValueError, OSError) as error:
            problems.append(one_line(error))
            continue
        if found is None:
            continue
        fault = _fault(found, contest)
        if fault:
            problems.append(f"{found.path}: {fault}")
        elif cell.founder not in founders:
            problems.append(f"{found.path}: there is no record of founder {cell.founder}")
        else:
            records[cell] = found
    expected = {cell_path(folder, cell) for cell in contest.cells()}
    for path in sorted((folder / "cells").glob("*/*/*/*.json")):
        if path not in expected:
            where = path.relative_to(folder)
            problems.append(f"{where} is of no cell of this contest, and left out")
    return Results(folder.resolve().name, folder, contest, founders, records, problems)


def read_founder(folder: Path, number: int) -> Founder:
    """What a founder achieves.

    Raises
    ------
    FileNotFoundError
        If it is not recorded.
    ValueError
        If the file is damaged.
    """
    path = founder_path(folder, number)
    content = _mapping(read_json(path), str(path.relative_to(folder)))
    return _checked(Founder, content, str(path.relative_to(folder)))


def read_record(folder: Path, cell: Cell) -> Record | None:
    """The record of a cell, or None.

    Raises
    ------
    ValueError
        If the file is damaged, or is the record of another cell.
    """
    path = cell_path(folder, cell)
    where = str(path.relative_to(folder))
    try:
        content = _mapping(read_json(path), where)
    except FileNotFoundError:
        return None
    if [content.get(name) for name in Cell._fields] != list(cell):
        raise ValueError(f"{where} must be of {cell.name}, but is of another cell")
    return _checked(Record, {**content, "cell": cell, "path": where}, where)


_Fields = TypeVar("_Fields", Record, Founder)


def _checked(kind: type[_Fields], content: Mapping[str, Any], where: str) -> _Fields:
    """A named tuple whose fields have the types of its annotations."""
    for name, expected in get_type_hints(kind).items():
        if name not in content:
            raise DamagedFileError(f"{where} must have {name}")
        try:
            check_type(content[name], expected, collection_check_strategy=_ALL)
        except TypeCheckError as error:
            raise DamagedFileError(f"{where}: {name}: {one_line(error)}") from None
    return kind(**{name: content[name] for name in kind._fields})


def _mapping(content: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise DamagedFileError(f"{where} must hold a mapping, but got {short(content)}")
    return content


def _fault(record: Record, contest: Contest) -> str:
    """What is wrong with a record in its contest; empty if nothing is."""
    cell = record.cell
    if set(record.epochs) != _PHASES or set(record.seconds) != _PHASES:
        return f"epochs and seconds must have {' and '.join(sorted(_PHASES))}"
    missing = set(USES) - set(record.uses)
    if missing:
        return f"uses must have {', '.join(sorted(missing))}"
    numbers = [*record.uses.values(), *record.epochs.values(), *record.seconds.values()]
    numbers += [record.validation, record.test, *record.curve]
    if not all(abs(number) < _MOST for number in numbers):
        return f"all numbers must be finite, and below {_MOST:g}"
    allowed = contest.search_epochs + contest.final_epochs
    used = sum(record.epochs.values())
    if used > allowed * (1 + 1e-9) and not in_equal_seconds(cell.method):
        return f"took {used:g} epochs, but the contest gives each cell {allowed:g}"
    if record.uses[cell.resource] * least_times(cell.resource, cell.budget) > 1:
        times = 1 / record.uses[cell.resource]
        return f"its network came down to {times:.3g}x, not {cell.budget:g}x"
    return ""
