"""All numbers of a contest as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from ..records import USES, Record
from .facts import Comparison, Entry
from .sentences import second_line, sentence
from .verdict import Judgement, Verdict, verdicts
from .warnings import warnings

_PHASES = ("search", "final")


def as_csv(facts: Comparison) -> str:
    """Write every cell that has a record as CSV."""
    rows = cells(facts)
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def as_json(facts: Comparison) -> str:
    """Write the facts behind the tables, and every cell, as JSON."""
    results = facts.results
    content = {
        "name": results.name,
        "warnings": warnings(facts),
        "verdicts": [_verdict(found) for found in verdicts(facts)],
        "founders": {number: found._asdict() for number, found in results.founders.items()},
        "entries": [_entry(entry) for entry in facts.entries.values()],
        "cells": cells(facts),
        "problems": results.problems,
    }
    return json.dumps(content, indent=1) + "\n"


def cells(facts: Comparison) -> list[dict[str, Any]]:
    """Every cell that has a record, as plain data."""
    return [_cell(record) for record in facts.results.records.values()]


def _cell(record: Record) -> dict[str, Any]:
    return {
        **record.cell._asdict(),
        "validation": record.validation,
        "test": record.test,
        **{f"{name} (share)": record.uses[name] for name in USES},
        **{f"epochs of {phase}": record.epochs[phase] for phase in _PHASES},
        **{f"seconds of {phase}": record.seconds[phase] for phase in _PHASES},
        "learning rate": record.learning_rate,
        "commit": str(record.origin.get("commit", "")),
        "record": record.path,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        **entry.key._asdict(),
        "validation": entry.validation,
        "test": entry.test and entry.test._asdict(),
        "lead": entry.lead and entry.lead._asdict(),
        "p": entry.p,
        "missing": list(entry.missing),
    }


def _verdict(found: Verdict) -> dict[str, Any]:
    return {
        "resource": found.resource,
        "sentence": sentence(found),
        "second line": second_line(found),
        "budgets": [_judgement(one) for one in found.judgements],
        "pooled": found.pooled and _judgement(found.pooled),
    }


def _judgement(one: Judgement) -> dict[str, Any]:
    return {
        "budgets": list(one.budgets),
        "rivals": list(one.rivals),
        "effect": one.effect and one.effect._asdict(),
        "p": one.p,
        "claim": one.claim.value,
    }
