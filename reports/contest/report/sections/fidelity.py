"""Section: test fidelity of each method at each budget, and what the rivals were picked by."""

from __future__ import annotations

from ..facts import Comparison, Entry, rival
from ..fields import axis_table, bounds, first_record, percent
from ..tables import MISSING, Block, Field


def block(facts: Comparison) -> Block:
    """Make the tables: mean over seeds with its interval, and mean validation fidelity."""
    return Block(
        "Test fidelity",
        f"Mean over {len(facts.results.contest.seeds)} seeds and its 95 % interval, in percent; "
        "then the mean validation fidelity, by which the rival of each budget is picked. Numbers "
        f"link to the record of the first seed. {_founders(facts)}",
        [axis_table(facts, axis, lambda entry: [_field(facts, entry)]) for axis in facts.axes],
    )


def _field(facts: Comparison, entry: Entry) -> Field:
    found = first_record(entry)
    if entry.test is None or entry.validation is None or found is None:
        return Field(MISSING)
    notes = [bounds(entry.test), f"validation {percent(entry.validation)}"]
    if entry.missing:
        notes.append(f"{len(entry.records)} of {len(facts.results.contest.seeds)} seeds")
    if entry == rival(facts.entries, entry.key.resource, entry.key.budget):
        notes.append("the rival")
    return Field(percent(entry.test.mean), "; ".join(filter(None, notes)), found.path)


def _founders(facts: Comparison) -> str:
    known = facts.results.founders.values()
    if not known:
        return "No founder is recorded."
    tests = ", ".join(percent(founder.test) for founder in known)
    whose = "The founder has" if len(known) == 1 else "The founders have"
    first = next(iter(known))
    return f"{whose} {tests}, with {first.parameters:,} parameters and {first.macs:,} MACs."
