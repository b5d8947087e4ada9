"""A lineage as it stands: facts gathered from its folder, without changing anything there. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..evolution import selection
from ..evolution.tuner_arguments import check_values
from ..lineage.read_only import LineageView
from ..lineage.store import FOUNDER, Record


class Offspring(NamedTuple):
    """One offspring, made or to be made.

    `state` is "recorded", "lost", "taken" (by a trial), "waiting" or "left" (its generation closed without it); `note` is
    the reason of a loss, or the trial. An offspring that came too late for its generation does not count.
    """

    uid: str
    generation: int
    ancestor: str | None
    other: str | None
    arguments: Mapping
    state: str
    note: str = ""
    record: Record | None = None
    counts: bool = True


class Generation(NamedTuple):
    """A generation that was begun; its survivors, the best first, once it has closed."""

    number: int
    offspring: list[Offspring]
    closed: bool
    survivors: list[Record]


class Loss(NamedTuple):
    """An offspring that was lost, and why."""

    uid: str
    reason: str


class Overview(NamedTuple):
    """A lineage as it stands. All efficiencies are in the resource that this evolution saves."""

    folder: Path
    rules: selection.Rules
    population_size: int | None
    generation: int | None  # the one under way, or the last
    finished: str | None  # why the evolution ended
    running: bool  # whether a tuner works on it at this moment
    generations: list[Generation]
    founder: Record | None
    line: list[Record]  # the founder, ..., the best survivor: each the ancestor of the next
    frontier: list[Record]  # the most efficient first
    losses: list[Loss]
    aside: list[str]  # what the tuner found damaged, or pardoned
    damaged: list[str]  # what is damaged now

    @property
    def offspring(self) -> list[Offspring]:
        """All offspring, the founder first."""
        return [child for generation in self.generations for child in generation.offspring]

    @property
    def survivors(self) -> set[str]:
        """Names of all survivors."""
        return {record.uid for generation in self.generations for record in generation.survivors}


def overview(folder: str | Path) -> Overview:
    """Look at a lineage, and change nothing of it.

    Raises
    ------
    ValueError
        If its state is missing, damaged, or without the rules of the evolution.
    """
    lineage = LineageView(folder)
    state, rules = _state(lineage)
    records = _records(lineage, rules)
    losses = {loss["uid"]: str(loss["reason"]) for loss in lineage.failures()}
    numbers = {*lineage.numbers(), *(record.generation for record in records.values())}
    generations = [
        _generation(lineage, state, number, records, losses) for number in sorted(numbers)
    ]
    generations = _with_survivors(generations, records.get(FOUNDER), rules)
    finished = None if state.get("finished") is None else str(state["finished"])
    aside = lineage.folder / "aside"
    return Overview(
        lineage.folder,
        rules,
        state.get("population_size"),
        state.get("generation"),
        finished,
        finished is None and lineage.is_under_way(),
        generations,
        records.get(FOUNDER),
        _line(generations, records),
        selection.frontier(list(records.values())),
        [Loss(uid, losses[uid]) for uid in sorted(losses)],
        sorted(path.name for path in aside.iterdir()) if aside.is_dir() else [],
        sorted(lineage.damaged),
    )


def _state(lineage: LineageView) -> tuple[dict, selection.Rules]:
    path, state = lineage.folder / "state.json", lineage.read_state()
    if state is None:
        raise ValueError(f"{path} is {'damaged' if lineage.damaged else 'missing'}")
    missing = [name for name in selection.Rules._fields if name not in state]
    if missing:
        raise ValueError(
            f"{path} must name the rules of an evolution, but lacks {', '.join(missing)}"
        )
    rules = selection.Rules.of(state)
    try:
        check_values(rules._asdict())
        for name in ("generation", "incarnation", "population_size"):
            if type(state.get(name, 0)) is not int:
                raise ValueError(f"{name} must be a whole number, but got {state[name]!r}")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    return state, rules._replace(constraints=rules.constraints or {})


def _records(lineage: LineageView, rules: selection.Rules) -> dict[str, Record]:
    """Sound records by name, their efficiency in the evolution's resource."""
    found = {record.uid: record for record in lineage.records()}
    if "latency" in rules.resources():
        for uid in [
            uid for uid, record in found.items() if record.latency is None and uid != FOUNDER
        ]:
            lineage.set_aside(
                lineage.folder / "offspring" / found.pop(uid).uid
            )  # nothing moves: it is noted as damaged
    founder = found.get(FOUNDER)
    return {
        uid: record
        if founder is None
        else record._replace(efficiency=selection.efficiency(record, founder, rules))
        for uid, record in found.items()
    }


def _generation(
    lineage: LineageView, state: Mapping, number: int, records: Mapping, losses: Mapping
) -> Generation:
    planned, closed = lineage.planned(number)
    over = (
        closed is not None
        or state.get("finished") is not None
        or number < state.get("generation", 0)
    )
    names = {*planned, *(uid for uid, record in records.items() if record.generation == number)}
    offspring = []
    for uid in sorted(names):
        record, counts = records.get(uid), closed is None or uid in closed
        made = record._asdict() if record else planned[uid]
        child = Offspring(
            uid,
            number,
            made["ancestor"],
            made["other"],
            made["arguments"],
            "waiting",
            "",
            record,
            counts,
        )
        if record:
            child = child._replace(state="recorded", note="" if counts else "too late to count")
        elif uid in losses:
            child = child._replace(state="lost", note=losses[uid])
        elif over:
            child = child._replace(state="left", note="its generation closed without it")
        elif (job := lineage.taker(uid, state.get("incarnation", 0))) is not None:
            child = child._replace(state="taken", note=f"by trial {job}")
        offspring.append(child)
    return Generation(number, offspring, over, [])


def _with_survivors(
    generations: list[Generation], founder: Record | None, rules: selection.Rules
) -> list[Generation]:
    """Survivors are chosen as the tuner chooses them: among what counts, of generations that have closed."""
    closed = [generation for generation in generations if generation.closed]
    counted = [
        [child.record for child in generation.offspring if child.record and child.counts]
        for generation in closed
    ]
    if founder is None or not counted or counted[0] != [founder]:
        return generations
    chosen = {
        generation.number: best
        for generation, best in zip(closed, selection.survivors(counted, rules))
    }
    return [
        generation._replace(survivors=chosen.get(generation.number, []))
        for generation in generations
    ]


def _line(generations: list[Generation], records: Mapping[str, Record]) -> list[Record]:
    """The best survivor of the last generation that had one, after its ancestors, the founder first."""
    line = [generation.survivors[0] for generation in generations if generation.survivors][-1:]
    while (
        line
        and (ancestor := records.get(line[0].ancestor))
        and ancestor.generation < line[0].generation
    ):
        line.insert(0, ancestor)
    return line
