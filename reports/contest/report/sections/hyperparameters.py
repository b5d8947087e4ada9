"""Section: the hyperparameters that each method's search chose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nni_stress.utils.messages import short

from ...records import Record
from ..facts import Comparison, Entry
from ..fields import axis_table, first_record
from ..tables import MISSING, Block, Field


def block(facts: Comparison) -> Block:
    """Make the tables: the best trial of the first seed, and the final training's rate."""
    return Block(
        "Hyperparameters chosen",
        "Those of the best trial of the search, on validation data, and the highest learning rate "
        "of the final training; of the first seed.",
        [axis_table(facts, axis, lambda entry: [_field(entry)]) for axis in facts.axes],
        is_folded=True,
    )


def _field(entry: Entry) -> Field:
    found = first_record(entry)
    if found is None:
        return Field(MISSING)
    knobs = [
        f"{str(name).replace('_', ' ')} {_written(value)}"
        for name, value in sorted(_chosen(found).items(), key=lambda item: str(item[0]))
        if not isinstance(value, (Mapping, list))
    ]
    final = f"final learning rate {found.learning_rate:.3g}"
    return Field(", ".join(knobs) or "no search", final, found.path)


def _chosen(record: Record) -> Mapping[str, Any]:
    """Hyperparameters of the trial with the best validation fidelity; empty where none has any."""
    trials = [
        trial
        for trial in record.trials
        if isinstance(trial.get("knobs"), Mapping)
        and isinstance(trial.get("validation"), (int, float))
    ]
    return max(trials, key=lambda trial: trial["validation"])["knobs"] if trials else {}


def _written(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else short(value)
