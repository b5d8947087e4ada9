"""Statistics that studies share, compared with independent computations."""

import math

import numpy as np
import pytest
from scipy import stats

from reports.significance import corrected, difference, frontier, hypervolume


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


def test_a_frontier_has_what_nothing_beats():
    points = [(1.0, 0.92), (10.0, 0.91), (40.0, 0.90), (20.0, 0.85), (100.0, 0.80)]
    assert frontier(points) == [(1.0, 0.92), (10.0, 0.91), (40.0, 0.90), (100.0, 0.80)]


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
