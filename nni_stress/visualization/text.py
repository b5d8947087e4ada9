"""Texts for a terminal, rendered from records and from the facts of a lineage. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..lineage.store import Record
from .snapshot import Generation, Offspring, Overview


def plain(text: Any) -> str:
    """One line that a terminal only shows: what others wrote into a record or a reason may hold anything."""
    return "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(str(text).split())
    )


def rounded(value: Any) -> str:
    """A hyperparameter's value, numbers to three digits."""
    return f"{value:.3g}" if isinstance(value, float) else plain(value)


def times(efficiency: float) -> str:
    """An efficiency, to be read: 9.6x, 1,250x."""
    return f"{efficiency:.1f}x" if efficiency < 99.95 else f"{efficiency:,.0f}x"


def offspring_line(record: Record) -> str:
    """One offspring in one line: what it achieved, and under which stress."""
    stress = ", ".join(
        f"{plain(name)} {rounded(value)}" for name, value in sorted(record.arguments.items())
    )
    return (
        f"  {record.uid}  fidelity {record.validation:.4f}  efficiency {record.efficiency:6.1f}x"
        f"  {record.synapses:>9,} synapses  {stress}"
    ).rstrip()


def generations_table(records: Sequence[Record], survivors: Sequence[Record]) -> str:
    """A line for every survivor of every generation, or that there was none; `survivors` are in order, the best first."""
    lines = [
        "generation  offspring  fittest   synapses        MACs  efficiency  validation    test"
    ]
    for generation in sorted({record.generation for record in records}):
        start = f"{generation:>10}  {sum(record.generation == generation for record in records):>9}"
        chosen = [record for record in survivors if record.generation == generation]
        if not chosen:
            lines.append(f"{start}  none kept the fidelity; gentler next")
        for record in chosen:
            lines.append(
                f"{start:<21}  {record.uid}  {record.synapses:>9,}  {record.macs:>10,}"
                f"  {record.efficiency:>9.1f}x  {record.validation:>10.4f}  {record.test:.4f}"
            )
            start = ""
    return "\n".join(lines)


def headline(facts: Overview) -> str:
    """The state of the evolution in a few words."""
    rules, number = facts.rules, facts.generation
    if facts.finished is not None:
        return f"finished: {plain(facts.finished)}"
    what = "not begun" if number is None else f"generation {number} of at most {rules.generations}"
    if not facts.running:
        return f"not running: {what}" + ("" if number is None else ", not finished")
    if number is None:
        return "begins"
    found = [child.state for child in facts.offspring if child.generation == number]
    counts = ", ".join(
        f"{found.count(state)} {state}" for state in ("recorded", "lost", "taken", "waiting")
    )
    return f"{what} is under way: {counts}"


def rules_line(facts: Overview) -> str:
    """The rules of the evolution in one line."""
    rules = facts.rules
    parts = [
        f"{facts.population_size} offspring a generation, survivors: at most {rules.survivors}",
        f"a survivor may lose {rules.tolerance:g} of fidelity",
        f"what is saved: {_name(rules.resource)}",
    ]
    parts += [
        f"{_name(name)} at most {100 * share:g} % of the founder's"
        for name, share in rules.constraints.items()
    ]
    if rules.target_efficiency is not None:
        parts.append(f"ends at {rules.target_efficiency:g}x")
    return "; ".join(parts)


def _name(resource: str) -> str:
    return "MACs" if resource == "macs" else resource


def status_text(facts: Overview) -> str:
    """A lineage as it stands: its state, survivors, offspring under way, frontier, line of ancestors, losses."""
    closed = {generation.number for generation in facts.generations if generation.closed}
    counted = [
        child.record
        for child in facts.offspring
        if child.record and child.counts and child.generation in closed
    ]
    blocks = [
        f"lineage {facts.folder}\n{headline(facts)}\n{rules_line(facts)}",
        generations_table(counted, [r for g in facts.generations for r in g.survivors])
        if counted
        else "",
    ]
    blocks += [
        _open_generation(generation) for generation in facts.generations if not generation.closed
    ]
    if facts.frontier:
        blocks.append(
            "\n".join(
                [
                    "frontier (none is better in both fidelity and efficiency):",
                    *map(_short_line, facts.frontier),
                ]
            )
        )
    if len(facts.line) > 1:
        steps = [
            record.uid + (f" (with {record.other})" if record.other else "")
            for record in facts.line
        ]
        blocks.append(f"line of {facts.line[-1].uid}, the best survivor: {' -> '.join(steps)}")
    if facts.losses:
        blocks.append(
            "\n".join(["lost:", *(f"  {loss.uid}  {plain(loss.reason)}" for loss in facts.losses)])
        )
    if facts.aside:
        names = (f"  aside/{plain(name)}" for name in facts.aside)
        blocks.append("\n".join(["set aside by the tuner, to be made again:", *names]))
    if facts.damaged:
        blocks.append(
            "\n".join(
                ["damaged, and left as found:", *(f"  {plain(name)}" for name in facts.damaged)]
            )
        )
    return "\n\n".join(filter(None, blocks))


def _open_generation(generation: Generation) -> str:
    return "\n".join(
        [f"generation {generation.number}, not yet closed:", *map(_offspring, generation.offspring)]
    )


def _offspring(child: Offspring) -> str:
    if child.record:
        return offspring_line(child.record)
    return f"  {child.uid}  {child.state}" + (f": {plain(child.note)}" if child.note else "")


def _short_line(record: Record) -> str:
    return offspring_line(record._replace(arguments={}))
