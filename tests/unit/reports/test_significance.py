"""Statistics of contests, compared with independent computations."""

import itertools
import math
import re

import numpy as np
import pytest
from scipy import stats

from reports.collect import collect
from reports.compare import compare
from reports.significance import (
    corrected,
    difference,
    efficiency_at,
    fidelity_at,
    frontier,
    hypervolume,
    interval,
)
from reports.synthetic_contest import METHODS, plant


def bca_by_hand(values):
    """Apply Efron's formulas to all n ** n resamples of a few values."""
    n, point = len(values), np.median(values)
    resampled = np.array([np.median(draw) for draw in itertools.product(values, repeat=n)])
    below = ((resampled < point).sum() + 0.5 * (resampled == point).sum()) / len(resampled)
    z0 = stats.norm.ppf(below)
    left = np.array([np.median(np.delete(values, i)) for i in range(n)])
    gaps = left.mean() - left
    a = (gaps**3).sum() / (6 * (gaps**2).sum() ** 1.5)
    ends = []
    for z in stats.norm.ppf([0.025, 0.975]):
        ends.append(np.quantile(resampled, stats.norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z)))))
    return ends


@pytest.mark.parametrize(
    "values",
    [(0.90, 0.905, 0.912, 0.897, 0.91), (0.1, 0.4, 0.35, 0.8, 0.5), (3.0, 1.0, 2.0, 7.0, 11.0)],
)
def test_the_interval_is_bca_over_all_resamples(values):
    """Tolerance: the next value up or down, as resampled medians are few."""
    found, (low, high) = interval(values), bca_by_hand(values)
    order = sorted(values)
    assert found.median == np.median(values)
    for one, other in ((found.low, low), (found.high, high)):
        near = [abs(order.index(min(order, key=lambda v: abs(v - x)))) for x in (one, other)]
        assert abs(near[0] - near[1]) <= 1
    assert min(values) <= found.low <= found.median <= found.high <= max(values)


def test_an_interval_needs_three_values_that_differ():
    assert interval([0.5, 0.7]) == (0.6, None, None) and interval([0.5] * 5) == (0.5, None, None)
    assert interval([1, 2, 3, 4]) == interval([1, 2, 3, 4])


def test_the_paired_test_is_the_t_test():
    ones, others = (
        {1: 0.91, 2: 0.92, 3: 0.905, 4: 0.93, 9: 0.1},
        {1: 0.90, 2: 0.915, 3: 0.9, 4: 0.91},
    )
    gains = [0.01, 0.005, 0.005, 0.02]
    t = np.mean(gains) / (np.std(gains, ddof=1) / math.sqrt(4))
    found = difference(ones, others)
    assert found.pairs == 4 and found.mean == pytest.approx(0.01)
    assert found.p == pytest.approx(2 * stats.t.sf(t, 3)) and found.effect == pytest.approx(t / 2)
    assert difference(ones, {7: 1.0}) is None and difference({1: 0.5}, {1: 0.4}).p is None
    assert difference({1: 0.5, 2: 0.5}, {1: 0.5, 2: 0.5}).p == 1.0


def test_holms_correction():
    ps = [0.01, None, 0.04, 0.03, 0.005]
    assert corrected(ps) == pytest.approx([0.03, None, 0.06, 0.06, 0.02])
    assert corrected([0.5, 0.6]) == [1.0, 1.0] and corrected([]) == []


def test_frontiers_are_interpolated_between_their_points():
    points = [(1.0, 0.92), (10.0, 0.91), (40.0, 0.90), (20.0, 0.85), (100.0, 0.80)]
    assert frontier(points) == [(1.0, 0.92), (10.0, 0.91), (40.0, 0.90), (100.0, 0.80)]
    assert fidelity_at(points, 20.0) == pytest.approx(0.905) and fidelity_at(points, 101) is None
    assert efficiency_at(points, 0.905) == (pytest.approx(20.0), False)
    assert efficiency_at(points, 0.80) == (100.0, True) and efficiency_at(points, 0.93) is None


def test_the_hypervolume_is_the_area_under_a_step_function():
    points = [(10.0, 0.91), (100.0, 0.87)]
    rows = np.linspace(0, math.log(100), 20_001)[1:]
    under = (
        np.mean(
            [max([f for e, f in points if e >= math.exp(x) * (1 - 1e-12)]) - 0.82 for x in rows]
        )
        / 0.1
    )
    assert hypervolume(points, 0.92, 0.82, 100.0) == pytest.approx(under, abs=1e-4)
    assert (
        hypervolume([(200.0, 0.99)], 0.92, 0.82, 100.0) == pytest.approx(1.0)
        and hypervolume([], 0.92, 0.82, 100) == 0.0
    )


def test_equal_methods_give_no_claims(tmp_path):
    """At least 93 of 100 draws: the corrected tests err in at most 2 of 100 on average."""
    quiet = 0
    for seed in range(100):
        facts = compare(
            collect(plant(tmp_path / str(seed), seed, methods=METHODS[:1] + METHODS[2:4], trials=1))
        )
        claims = {entry.claim for entry in facts.entries.values()} - {""}
        quiet += claims == {"no difference"}
        assert ("beats" in facts.verdict or "loses" in facts.verdict) <= (
            claims != {"no difference"}
        )
    assert quiet >= 93


@pytest.mark.parametrize(
    ("gain", "claim", "words"),
    [
        (0.02, "better", "beats the best of NNI's own pruners at 10x and 40x"),
        (-0.02, "worse", r"loses to \w+ at 10x( and 40x| and to \w+ at 40x)"),
    ],
)
def test_a_planted_difference_is_found_in_either_direction(tmp_path, gain, claim, words):
    found = 0
    for seed in range(20):
        facts = compare(collect(plant(tmp_path / str(seed), seed, {METHODS[0]: gain}, noise=0.002)))
        entries = [facts.entries["TaylorPruner", budget] for budget in (10, 40)]
        found += all(entry.claim == claim for entry in entries) and bool(
            re.search(words, facts.verdict)
        )
    assert found >= 19


def test_a_loss_to_an_unstructured_pruner_names_the_best_structured_one(tmp_path):
    folder = plant(
        tmp_path / "c",
        0,
        {"LevelPruner": 0.03, METHODS[0]: 0.015},
        0.0005,
        (*METHODS, "LevelPruner"),
    )
    facts = compare(collect(folder))
    assert "loses to LevelPruner, whose network keeps its size, at 10x and 40x" in facts.verdict
    assert all(
        "of those that make the network small, " in line and "; +1." in line
        for line in facts.details
    )
