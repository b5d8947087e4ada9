"""Snapshot of a lineage: what its folder tells about it, read without changing anything there.

Imports neither torch nor NNI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..evolution import selection
from ..evolution.lineage_rules import rules_in
from ..evolution.rules import Rules
from ..exceptions import DamagedFileError
from ..lineage.moment import read_moment
from ..lineage.read_only import LineageView
from ..lineage.store import FOUNDER, Record


class Offspring(NamedTuple):
    """One offspring, recorded or still to be made.

    Parameters
    ----------
    uid
        Its name, as ``g001-00``.
    generation
        Its generation; the founder is generation 0.
    ancestor
        Name of its ancestor; None for the founder.
    other
        Name of its second ancestor, if it has two.
    arguments
        Its hyperparameters.
    state
        "waiting", "taken" (by a trial), "recorded", "lost" (its trial failed) or "left" (its
        generation closed without it).
    note
        Why it was lost or left; or which trial has taken it, and how far that has come.
    record
        What it achieved, if it is recorded.
    counts
        Whether it may be selected: False if it came after its generation had closed.

    Examples
    --------
    >>> lost = Offspring("g001-00", 1, "g000-00", None, {"temperature": 0.5}, "lost", "no memory")
    >>> lost.note, lost.record
    ('no memory', None)
    """

    uid: str
    generation: int
    ancestor: str | None
    other: str | None
    arguments: Mapping[str, Any]
    state: str
    note: str = ""
    record: Record | None = None
    counts: bool = True


class Generation(NamedTuple):
    """A generation that has begun.

    Parameters
    ----------
    number
        Its number; the founder is generation 0.
    offspring
        Its offspring, by name.
    closed
        Whether selection has taken place, or takes no more offspring.
    survivors
        Records of its survivors, the best first. Empty until the generation has closed.
    matures
        Whether it is the maturation with which the evolution ends.

    Examples
    --------
    >>> waiting = Offspring("g001-00", 1, "g000-00", None, {}, "waiting")
    >>> generation = Generation(1, [waiting], closed=False, survivors=[])
    >>> [child.state for child in generation.offspring]
    ['waiting']
    """

    number: int
    offspring: list[Offspring]
    closed: bool
    survivors: list[Record]
    matures: bool = False

    @property
    def name(self) -> str:
        """Its name: "founder", "generation 1", "maturation"."""
        if self.matures:
            return "maturation"
        return f"generation {self.number}" if self.number else "founder"


class Loss(NamedTuple):
    """An offspring that was lost, and the reason.

    Examples
    --------
    >>> Loss("g001-00", "took longer than the time limit of 60 s").uid
    'g001-00'
    """

    uid: str
    reason: str


class Overview(NamedTuple):
    """A lineage at one moment.

    Parameters
    ----------
    folder
        Folder of the lineage.
    rules
        Rules of the evolution.
    population_size
        Number of offspring per generation.
    generation
        The generation in progress, or the last one.
    finished
        Why the evolution ended; None if it has not.
    failed
        Why the experiment ended in ERROR; None if it did not, or goes on.
    running
        Whether a tuner is working on the lineage at this moment.
    generations
        All generations that have begun, the founder's first.
    founder
        Record of the founder.
    line
        Records from the founder to the best survivor, each the ancestor of the next.
    frontier
        Records that no other surpasses in both fidelity and efficiency, the most efficient first.
    losses
        Offspring that were lost.
    aside
        Names of files that the tuner has set aside because they were damaged or are to be retried.
    damaged
        Paths of files that are damaged now.
    experiment
        NNI's id of the experiment that the lineage belongs to; None if it does not say.
    name
        The experiment's name; None if it has none.

    Notes
    -----
    All efficiencies are in the resource that the evolution saves.

    Examples
    --------
    >>> waiting = Offspring("g000-00", 0, None, None, {}, "waiting")
    >>> generation = Generation(0, [waiting], closed=False, survivors=[])
    >>> rules = Rules(generations=3, tolerance=0.01)
    >>> snapshot = Overview(Path("lineage"), rules, generations=[generation])
    >>> [child.uid for child in snapshot.offspring], snapshot.recorded
    (['g000-00'], [])
    """

    folder: Path
    rules: Rules
    population_size: int | None = None
    generation: int | None = None
    finished: str | None = None
    failed: str | None = None
    running: bool = False
    generations: Sequence[Generation] = ()
    founder: Record | None = None
    line: Sequence[Record] = ()
    frontier: Sequence[Record] = ()
    losses: Sequence[Loss] = ()
    aside: Sequence[str] = ()
    damaged: Sequence[str] = ()
    experiment: str | None = None
    name: str | None = None

    @property
    def offspring(self) -> list[Offspring]:
        """All offspring, the founder first."""
        return [child for generation in self.generations for child in generation.offspring]

    @property
    def recorded(self) -> list[tuple[Offspring, Record]]:
        """All offspring that have a record, with it, the founder first."""
        return [(child, child.record) for child in self.offspring if child.record]

    @property
    def survivors(self) -> set[str]:
        """Names of all survivors."""
        return {record.uid for generation in self.generations for record in generation.survivors}


def overview(folder: str | Path) -> Overview:
    """Take a snapshot of a lineage without changing anything in its folder.

    Parameters
    ----------
    folder
        Folder of the lineage.

    Returns
    -------
    Overview
        The lineage at this moment. Other processes may be working on it.

    Raises
    ------
    DamagedFileError
        If the lineage's state is missing, damaged, or lacks rules of the evolution.

    Examples
    --------
    >>> import tempfile
    >>> from nni_stress.lineage.store import Lineage
    >>> folder = tempfile.mkdtemp()
    >>> Lineage(folder).update_state(**Rules(generations=3, tolerance=0.01)._asdict())
    >>> overview(folder).rules.generations
    3
    """
    lineage = LineageView(folder)
    state, rules = _state_and_rules(lineage)
    records = _records(lineage, rules)
    losses = {loss["uid"]: str(loss["reason"]) for loss in lineage.failures()}
    numbers = {*lineage.numbers(), *(record.generation for record in records.values())}
    generations = [
        _generation(lineage, state, number, records, losses) for number in sorted(numbers)
    ]
    generations = _with_survivors(generations, records.get(FOUNDER), rules)
    finished, failed, experiment, name = (
        None if state.get(key) is None else str(state[key])
        for key in ("finished", "failed", "experiment", "name")
    )
    aside = lineage.folder / "aside"
    return Overview(
        folder=lineage.folder,
        rules=rules,
        population_size=state.get("population_size"),
        generation=state.get("generation"),
        finished=finished,
        failed=failed,
        running=finished is None and failed is None and lineage.is_under_way(),
        generations=generations,
        founder=records.get(FOUNDER),
        line=_line(generations, records),
        frontier=selection.frontier(list(records.values())),
        losses=[Loss(uid, losses[uid]) for uid in sorted(losses)],
        aside=sorted(path.name for path in aside.iterdir()) if aside.is_dir() else [],
        damaged=sorted(lineage.damaged),
        experiment=experiment,
        name=name,
    )


def _state_and_rules(lineage: LineageView) -> tuple[dict[str, Any], Rules]:
    path = lineage.folder / "state.json"
    state = lineage.read_state()
    if state is None:
        raise DamagedFileError(f"{path} is {'damaged' if lineage.damaged else 'missing'}")
    return state, rules_in(state, path)


def _records(lineage: LineageView, rules: Rules) -> dict[str, Record]:
    """Sound records by name, with their efficiency in the resource that the evolution saves."""
    records = {record.uid: record for record in lineage.records()}
    if "latency" in rules.resources():
        for uid, record in list(records.items()):
            if record.latency is None and uid != FOUNDER:
                lineage.set_aside(lineage.folder / "offspring" / uid)  # only lists it as damaged
                del records[uid]
    founder = records.get(FOUNDER)
    if founder is None:
        return records
    return {
        uid: record._replace(efficiency=selection.efficiency(record, founder, rules))
        for uid, record in records.items()
    }


def _generation(
    lineage: LineageView,
    state: Mapping[str, Any],
    number: int,
    records: Mapping[str, Record],
    losses: Mapping[str, str],
) -> Generation:
    planned, counted = lineage.planned(number)
    closed = (
        counted is not None
        or state.get("finished") is not None
        or number < state.get("generation", 0)
    )
    recorded = [uid for uid, record in records.items() if record.generation == number]
    offspring = []
    for uid in sorted({*planned, *recorded}):
        record = records.get(uid)
        described = record._asdict() if record else planned[uid]
        counts = counted is None or uid in counted
        if record:
            status = ("recorded", "" if counts else "too late to count")
        elif uid in losses:
            status = ("lost", losses[uid])
        elif closed:
            status = ("left", "its generation closed without it")
        else:
            status = _under_way(lineage, uid, state.get("incarnation", 0))
        parents = (described["ancestor"], described["other"])
        offspring.append(
            Offspring(uid, number, *parents, described["arguments"], *status, record, counts)
        )
    matures = any(spec.get("maturation", False) for spec in planned.values())
    return Generation(number, offspring, closed, [], matures)


def _under_way(lineage: LineageView, uid: str, incarnation: int) -> tuple[str, str]:
    """Whether an offspring is being made, by which of NNI's trials, and how far that has come."""
    job = lineage.taker(uid, incarnation)
    moment = read_moment(lineage, uid)
    if job is None and moment is None:
        return "waiting", ""
    notes = [
        "" if job is None else f"by trial {job}",
        "" if moment is None else moment.describe(),
    ]
    return "taken", ", ".join(filter(None, notes))


def _with_survivors(
    generations: list[Generation], founder: Record | None, rules: Rules
) -> list[Generation]:
    """Select the survivors of closed generations as the tuner does, from offspring that count."""
    closed = [generation for generation in generations if generation.closed]
    counted = [
        [child.record for child in generation.offspring if child.record and child.counts]
        for generation in closed
    ]
    if founder is None or not counted or counted[0] != [founder]:
        return generations
    survivors = {
        generation.number: best
        for generation, best in zip(closed, selection.survivors(counted, rules))
    }
    return [
        generation._replace(survivors=survivors.get(generation.number, []))
        for generation in generations
    ]


def _line(generations: list[Generation], records: Mapping[str, Record]) -> list[Record]:
    """The best survivor of the last generation that has one, after its ancestors."""
    best = [generation.survivors[0] for generation in generations if generation.survivors]
    line = best[-1:]
    while line:
        ancestor = records.get(line[0].ancestor or "")
        if ancestor is None or ancestor.generation >= line[0].generation:
            break
        line.insert(0, ancestor)
    return line
