"""When an offspring's recovery may end early: what it could still become, and what that would be worth."""

import random

import pytest

from nni_stress.evolution.early_stopping import CHECKS, hopeless, prospect, usual
from nni_stress.evolution.selection import Rules, fitness, select
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


def recovered(slot, *curve, synapses=500, generation=1):
    assert len(curve) == CHECKS + 1
    return record(uid_of(generation, slot), curve[-1], synapses, curve)


def test_a_forecast_follows_what_others_made_good_from_there_on():
    """From the first check on, others closed 3/4, 1/2 and 1/4 of the way to 0.91, the best ever seen and a tolerance."""
    others = [
        FIRST,
        recovered(0, 0.1, 0.51, 0.6, 0.7, 0.81),
        recovered(1, 0.1, 0.71, 0.7, 0.8, 0.81),
        recovered(2, 0.1, 0.51, 0.5, 0.5, 0.61),
    ]
    likely, best = prospect([0.2, 0.71], others, 0.01)
    assert likely == pytest.approx(0.81) and best == pytest.approx(0.71 + 0.2 * 0.875)


def test_without_others_nothing_is_gained_for_sure_and_all_may_be():
    assert prospect([0.3], [FIRST], 0.01) == pytest.approx((0.3, 0.91))
    two = [FIRST, *(recovered(slot, 0.1, 0.1, 0.1, 0.1, 0.1) for slot in range(2))]
    assert prospect([0.3], two, 0.01).best == pytest.approx(
        0.91
    )  # of two recoveries nothing can be learned yet
    early = record(uid_of(1, 3), 0.1, 500, [0.1, 0.1])
    assert prospect([0.3], [*two, early, early], 0.01).best == pytest.approx(
        0.91
    )  # nor of those that were ended


def test_of_one_that_is_not_there_yet_the_usual_is_expected():
    """Of the three that recovered, the fidelity fell by 0.03 in the median; who was ended early says nothing."""
    ancestor = recovered(0, 0.1, 0.5, 0.6, 0.7, 0.89)
    others = [
        FIRST,
        ancestor,
        recovered(1, 0.1, 0.5, 0.6, 0.7, 0.87),
        recovered(2, 0.1, 0.5, 0.6, 0.7, 0.5),
        record(uid_of(1, 3), 0.1, 500, [0.1]),
    ]
    assert usual(
        record(uid_of(2, 0), float("nan"), 250, ancestor=ancestor.uid), others
    ) == pytest.approx(0.86)
    assert usual(record(uid_of(1, 0), float("nan"), 500), [FIRST]) == pytest.approx(0.90)


def test_none_that_could_be_chosen_is_hopeless():
    """However generations turn out: who is called hopeless is never chosen, whatever fidelity up to its best it reaches."""
    draw, called = random.Random(0), 0
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
        mine, best = (
            record(uid_of(1, 9), float("nan"), draw.randint(200, 1000)),
            draw.uniform(0.86, 0.92),
        )
        verdict = hopeless(mine, best, [FIRST, *rivals], rules)
        chosen = any(
            uid_of(1, 9)
            in [
                one.uid
                for one in select(
                    [mine._replace(validation=reached), *rivals], [FIRST], FIRST, rules
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
        ),  # a faithful one that is more efficient
        (
            recovered(0, 0.1, 0.8, 0.8, 0.8, 0.885, synapses=400),
            0.95,
            False,
        ),  # more efficient, but unfaithful
        (
            recovered(0, 0.1, 0.8, 0.8, 0.8, 0.895, synapses=600),
            0.95,
            False,
        ),  # faithful, but less efficient
        (
            recovered(0, 0.1, 0.8, 0.8, 0.8, 0.895, synapses=600),
            0.889,
            True,
        ),  # nothing can make it faithful
        (
            recovered(0, 0.1, 0.8, 0.8, 0.8, 0.895, synapses=400, generation=2),
            0.95,
            False,
        ),  # of another generation
    ],
)
def test_what_makes_an_offspring_hopeless(rival, best, expected):
    assert (
        hopeless(record(uid_of(1, 9), float("nan"), 500), best, [FIRST, rival], RULES) is expected
    )


def test_where_the_ancestor_is_not_known_there_is_hope():
    assert not hopeless(
        record(uid_of(2, 0), float("nan"), 500, ancestor=uid_of(1, 0)), 0.1, [FIRST], RULES
    )
    assert not hopeless(record(uid_of(1, 0), float("nan"), 500), 0.1, [], RULES)


def test_the_search_learns_from_the_forecast_of_one_that_was_ended():
    whole = record(uid_of(1, 0), 0.89, 500)
    ended = whole._replace(validation=0.4, forecast=0.89)
    assert fitness(ended, FIRST, FIRST, RULES) == fitness(whole, FIRST, FIRST, RULES)
