"""When an offspring's training may end early: which fidelity it may reach, and if that suffices."""

import random

import pytest

from nni_stress.evolution.contender import Candidate
from nni_stress.evolution.early_stopping import (
    CHECKS,
    cannot_survive,
    expected_validation,
    forecast,
)
from nni_stress.evolution.rules import Rules
from nni_stress.evolution.selection import fitness, select
from nni_stress.lineage.store import FOUNDER, Record, uid_of

RULES = Rules(generations=9, tolerance=0.01)


def record(uid, validation, synapses, curve=(), ancestor=FOUNDER, **more):
    return Record(
        uid=uid,
        generation=int(uid[1:4]),
        ancestor=None if uid == FOUNDER else ancestor,
        arguments={},
        validation=validation,
        test=validation,
        synapses=synapses,
        macs=synapses,
        efficiency=1000 / synapses,
        untrained=None,
        architecture={},
        seconds={},
        curve=list(curve),
        **more,
    )


FIRST = record(FOUNDER, 0.90, 1000)


def candidate(generation, slot, validation, synapses, ancestor=FOUNDER):
    return Candidate(
        uid_of(generation, slot), generation, ancestor, validation, synapses, macs=synapses
    )


def recovered(slot, *curve, synapses=500, generation=1):
    assert len(curve) == CHECKS + 1
    return record(uid_of(generation, slot), curve[-1], synapses, curve)


def test_a_forecast_follows_the_gains_of_others_from_the_same_check_on():
    """Others gained 3/4, 1/2 and 1/4 of their headroom up to 0.91: best fidelity + tolerance."""
    others = [
        FIRST,
        recovered(0, 0.1, 0.51, 0.6, 0.7, 0.81),
        recovered(1, 0.1, 0.71, 0.7, 0.8, 0.81),
        recovered(2, 0.1, 0.51, 0.5, 0.5, 0.61),
    ]
    likely, best = forecast([0.2, 0.71], others, 0.01)
    assert likely == pytest.approx(0.81) and best == pytest.approx(0.71 + 0.2 * 0.875)


def test_without_others_no_gain_is_likely_and_any_is_possible():
    assert forecast([0.3], [FIRST], 0.01) == pytest.approx((0.3, 0.91))
    two = [FIRST, *(recovered(slot, 0.1, 0.1, 0.1, 0.1, 0.1) for slot in range(2))]
    assert forecast([0.3], two, 0.01).best == pytest.approx(0.91)  # two recoveries are too few
    early = record(uid_of(1, 3), 0.1, 500, [0.1, 0.1])
    assert forecast([0.3], [*two, early, early], 0.01).best == pytest.approx(
        0.91
    )  # recoveries that ended early do not count


def test_before_synthesis_the_median_change_from_ancestor_is_expected():
    """Fidelity fell by 0.03 in the median of complete recoveries; others do not count."""
    ancestor = recovered(0, 0.1, 0.5, 0.6, 0.7, 0.89)
    others = [
        FIRST,
        ancestor,
        recovered(1, 0.1, 0.5, 0.6, 0.7, 0.87),
        recovered(2, 0.1, 0.5, 0.6, 0.7, 0.5),
        record(uid_of(1, 3), 0.1, 500, [0.1]),
    ]
    assert expected_validation(ancestor.uid, others) == pytest.approx(0.86)
    assert expected_validation(FOUNDER, [FIRST]) == pytest.approx(0.90)


def test_an_offspring_that_could_be_selected_is_never_said_not_to_survive():
    """Over random generations, at any fidelity up to the best that the offspring may reach."""
    draw = random.Random(0)
    called = 0
    for _ in range(500):
        rules = Rules(
            9,
            draw.choice([0.0, 0.01, 0.05]),
            draw.choice([None, 3.0]),
            survivors=draw.choice([1, 2]),
            constraints=draw.choice([{}, {"macs": 0.4}]),
        )
        rivals = [
            record(uid_of(1, slot), draw.uniform(0.86, 0.92), draw.randint(200, 1000))
            for slot in range(draw.randint(0, 4))
        ]
        synapses = draw.randint(200, 1000)
        best = draw.uniform(0.86, 0.92)
        verdict = cannot_survive(candidate(1, 9, best, synapses), [FIRST, *rivals], rules)
        chosen = any(
            uid_of(1, 9)
            in [
                survivor.uid
                for survivor in select(
                    [record(uid_of(1, 9), reached, synapses), *rivals], [FIRST], FIRST, rules
                )
            ]
            for reached in (best, best - 0.001, best - 0.03)
        )
        assert not (verdict and chosen)
        called += verdict
    assert 100 < called < 450


@pytest.mark.parametrize(
    ("rival", "best", "expected"),
    [
        (
            recovered(0, 0.1, 0.8, 0.8, 0.8, 0.895, synapses=400),
            0.95,
            True,
        ),  # a faithful rival is more efficient
        (
            recovered(0, 0.1, 0.8, 0.8, 0.8, 0.885, synapses=400),
            0.95,
            False,
        ),  # the more efficient rival is unfaithful
        (
            recovered(0, 0.1, 0.8, 0.8, 0.8, 0.895, synapses=600),
            0.95,
            False,
        ),  # the faithful rival is less efficient
        (
            recovered(0, 0.1, 0.8, 0.8, 0.8, 0.895, synapses=600),
            0.889,
            True,
        ),  # it cannot become faithful
        (
            recovered(0, 0.1, 0.8, 0.8, 0.8, 0.895, synapses=400, generation=2),
            0.95,
            False,
        ),  # the rival is of another generation
    ],
)
def test_what_rules_out_that_an_offspring_survives(rival, best, expected):
    assert cannot_survive(candidate(1, 9, best, 500), [FIRST, rival], RULES) is expected


def test_without_the_ancestors_record_nothing_is_ruled_out():
    orphan = candidate(2, 0, 0.1, 500, ancestor=uid_of(1, 0))
    assert not cannot_survive(orphan, [FIRST], RULES)
    assert not cannot_survive(candidate(1, 0, 0.1, 500), [], RULES)


def test_the_fitness_of_an_early_ended_offspring_is_that_of_its_forecast():
    whole = record(uid_of(1, 0), 0.89, 500)
    ended = whole._replace(validation=0.4, forecast=0.89)
    assert fitness(ended, FIRST, FIRST, RULES) == fitness(whole, FIRST, FIRST, RULES)
