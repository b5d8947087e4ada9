"""The studies of stress, of training, of early ending and of folded channels."""

from __future__ import annotations

import functools
from typing import Any

from reports import shift_study
from reports.claims import records_in
from reports.distillation import analysis as distillation
from reports.division import analysis as division
from reports.markdown import markdown_table
from reports.stress_study import analysis

from .records import RESULTS, bench, fixed, record


@functools.cache
def stress_records() -> list[dict[str, Any]]:
    """All cells of the stress study."""
    return records_in(RESULTS / "stress")


def stress_table(subject: str, resource: str) -> str:
    """One network and one budget of the stress study: all arms, all lengths of recovery."""
    return analysis.table(stress_records(), subject, resource)


def stressed(subject: str, resource: str, arm: str, *points: str) -> list[str]:
    """Mean test fidelity of an arm after some lengths of recovery, in percent."""
    own = analysis.of_table(stress_records(), subject, resource)
    return [fixed(analysis.mean(own, arm, point, "test"), 1) for point in points]


def gained(subject: str, resource: str, arm: str, *points: str) -> list[str]:
    """Mean gains of an arm over no stress after some lengths of recovery, in points."""
    own = analysis.of_table(stress_records(), subject, resource)
    found = [analysis.difference(own, arm, point, "test") for point in points]
    return [fixed(one.mean, 1) for one in found if one is not None]


def division_table(look: str) -> str:
    """One look of the study of how an evolution should divide its steps."""
    chosen = {"first": division.first_look, "second": division.second_look}[look]
    return division.table(chosen(records_in(RESULTS / "division")))


def distillation_table(name: str) -> str:
    """What one network gains by its founder's answers; by the name of its contest's file."""
    return distillation.table(records_in(RESULTS / "distillation" / name))


def early_ending(part: str) -> str:
    """Evolutions that differ in early ending alone, seed by seed."""
    rows = []
    for seed, pair in bench(part).items():
        whole, early = pair["to the end"], pair["ended early"]
        rows.append(
            [
                seed.removeprefix("seed "),
                f"{whole['training_seconds']:.0f} s",
                f"{early['training_seconds']:.0f} s",
                f"{100 * (1 - early['training_seconds'] / whole['training_seconds']):.0f} %",
                f"{whole['efficiency']:.1f}x",
                f"{early['efficiency']:.1f}x",
                f"{whole['hypervolume']:.3f}",
                f"{early['hypervolume']:.3f}",
            ]
        )
    return markdown_table(
        [
            "seed",
            "training",
            "ended early",
            "saved",
            "efficiency",
            "ended early",
            "hypervolume",
            "ended early",
        ],
        rows,
    )


def saved(part: str) -> float:
    """Share of the training seconds that early ending saves, over all seeds together."""
    pairs = bench(part).values()
    whole, early = (
        sum(pair[kind]["training_seconds"] for pair in pairs)
        for kind in ("to the end", "ended early")
    )
    return 1 - early / whole


def lost_hypervolume(part: str) -> float:
    """Share of the frontier's hypervolume that early ending costs, over all seeds together."""
    pairs = bench(part).values()
    whole, early = (
        sum(pair[kind]["hypervolume"] for pair in pairs) for kind in ("to the end", "ended early")
    )
    return 1 - early / whole


def shift() -> str:
    """Test accuracy where what a removed cluster sends on is dropped, and where it is folded."""
    found = record("shift_study")
    seeds = len(found["seeds"])
    rows = markdown_table(
        ["share removed", "dead", "folded", "seeds in which dead is ahead"],
        (
            [
                f"{row.ratio:g}",
                f"{100 * row.dead:.1f} %",
                f"{100 * row.folded:.1f} %",
                f"{row.ahead} of {seeds}",
            ]
            for row in shift_study.rows(found)
        ),
    )
    whole = 100 * shift_study.whole(found)
    return f"{rows}\n\nMeans of test accuracy; the whole network has {whole:.1f} %."
