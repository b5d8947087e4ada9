"""The best survivor of a lineage, and the ancestors of a network. Reads only."""

from __future__ import annotations

from ..lineage.store import Lineage, Record
from ..utils.atomic_files import read_json
from . import selection


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
        rules = selection.Rules.of(state)
        while (path := lineage.folder / "generations" / f"g{len(generations):03d}.json").exists():
            counted = read_json(path)["closed"]
            if counted is None:
                break
            generations.append(
                [record for record in map(lineage.record, counted) if record is not None]
            )
    except (KeyError, TypeError, FileNotFoundError) as error:
        raise ValueError(
            f"{path} does not tell which networks survived ({error!r}): name one, as g001-00"
        ) from None
    if not generations or not generations[0]:
        raise ValueError(f"{lineage.folder}: the founder is not there yet")
    return selection.line(generations, rules)[-1]


def ancestry(lineage: Lineage, record: Record) -> list[Record]:
    """The founder, all further ancestors of a network, and itself."""
    found, wanted = {}, [record.uid]
    while wanted:
        uid = wanted.pop()
        if uid not in found:
            found[uid] = lineage.record(uid)
            if found[uid] is None:
                raise ValueError(
                    f"{lineage.folder} does not hold {uid}, an ancestor of {record.uid}"
                )
            wanted += [one for one in (found[uid].ancestor, found[uid].other) if one is not None]
    return sorted(found.values(), key=lambda one: one.uid)
