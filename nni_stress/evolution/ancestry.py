"""The best survivor of a lineage, and the ancestors of a network. Reads only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..exceptions import DamagedFileError
from ..lineage.planned_generation import PlannedGeneration
from ..lineage.record import Record
from ..lineage.store import Lineage
from ..utils.atomic_files import read_json
from ..utils.messages import one_line, short
from . import selection
from .lineage_rules import rules_in


def best_survivor(lineage: Lineage) -> Record:
    """The best survivor of the last generation that has closed and has one.

    Nothing is changed on disk, even if something is damaged.

    Parameters
    ----------
    lineage
        The lineage.

    Raises
    ------
    DamagedFileError
        If a file that says which offspring count is damaged, or missing.
    ValueError
        If no generation has closed.

    Examples
    --------
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 10, 20, 1.0, None, {}, {})
    >>> import tempfile
    >>> from nni_stress.evolution.rules import Rules
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lineage = Lineage(folder)
    ...     lineage.update_state(**Rules(generations=4, tolerance=0.01)._asdict())
    ...     added = lineage.add(founder, lambda path: path.write_bytes(b"network"))
    ...     plan = {"offspring": [], "suggestions": [], "closed": ["g000-00"]}
    ...     lineage.write_generation(0, plan)
    ...     best_survivor(lineage).uid
    'g000-00'
    """
    path = lineage.folder / "state.json"
    generations: list[list[Record]] = []
    try:
        rules = rules_in(_mapping_in(path), path)
        while (path := lineage.generation_path(len(generations))).exists():
            planned = PlannedGeneration.from_json(_mapping_in(path), len(generations))
            if planned.closed is None:
                break
            records = map(lineage.record, planned.closed)
            generations.append([record for record in records if record is not None])
    except (TypeError, ValueError, FileNotFoundError) as error:
        if isinstance(error, DamagedFileError):
            raise
        raise DamagedFileError(
            f"{path} does not tell which networks survived ({one_line(error)}): "
            "name one, as g001-00"
        ) from None
    if not generations or not generations[0]:
        raise ValueError(f"{lineage.folder}: the founder is not there yet")
    return selection.line(generations, rules)[-1]


def _mapping_in(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise DamagedFileError(f"{path} must hold a mapping, but has {short(found)}")
    return found


def ancestry(lineage: Lineage, record: Record) -> list[Record]:
    """The founder, all further ancestors of a network, and itself.

    Parameters
    ----------
    lineage
        The lineage.
    record
        The network's record.

    Raises
    ------
    ValueError
        If the record of an ancestor is missing or damaged.

    Examples
    --------
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 10, 20, 1.0, None, {}, {})
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     added = Lineage(folder).add(founder, lambda path: path.write_bytes(b"network"))
    ...     [ancestor.uid for ancestor in ancestry(Lineage(folder), added)]
    ['g000-00']
    """
    found: dict[str, Record] = {}
    wanted = [record.uid]
    while wanted:
        uid = wanted.pop()
        if uid in found:
            continue
        ancestor = lineage.record(uid)
        if ancestor is None:
            raise ValueError(f"{lineage.folder} does not hold {uid}, an ancestor of {record.uid}")
        found[uid] = ancestor
        wanted += [name for name in (ancestor.ancestor, ancestor.other) if name is not None]
    return [found[uid] for uid in sorted(found)]
