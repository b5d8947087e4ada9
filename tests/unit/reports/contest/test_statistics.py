"""Welch's test, intervals and power, compared with independent computations."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import reports
from reports.contest.plan import RIVALS
from reports.contest.report.statistics import mean_of, power, welch
from reports.significance import LEVEL


@pytest.mark.parametrize(("ones", "others"), [(10, 10), (3, 12), (2, 5)])
def test_welch_is_that_of_scipy(ones, others):
    rng = np.random.default_rng(ones)
    first, second = rng.normal(0.9, 0.003, ones), rng.normal(0.88, 0.02, others)
    expected = stats.ttest_ind(first, second, equal_var=False)
    bounds = expected.confidence_interval(0.95)
    found = welch(first, second)
    assert found.mean == pytest.approx(first.mean() - second.mean())
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))


def test_welch_of_few_or_equal_values():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert welch([], [0.5]) is None and welch([0.5, 0.6], []) is None
        assert welch([0.5], [0.25, 0.5]) == (0.125, None, None, None)
        assert welch([0.5, 0.5], [0.5, 0.5]) == (0.0, 0.0, 0.0, 1.0)
        assert welch([0.1 + 0.2] * 3, [0.3] * 3).p == 1.0  # rounding is no difference
        assert welch([0.5, 0.5], [0.25, 0.25]) == (0.25, 0.25, 0.25, 0.0)
        assert welch([0.5, 0.5], [0.25, 0.75]).p == 1.0


def test_the_interval_of_a_mean_is_students():
    values = [0.90, 0.905, 0.912, 0.897, 0.91]
    found = mean_of(values)
    expected = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert mean_of([0.5, 0.75]) == (0.625, None, None) and mean_of([0.5] * 4).low is None


def test_power_is_how_often_a_planted_difference_is_found():
    rng = np.random.default_rng(0)
    first = rng.normal(0.6, 0.35, (4000, 10))
    second = rng.normal(0, 0.35, (4000, 10))
    p = stats.ttest_ind(first, second, axis=1, equal_var=False).pvalue
    assert np.mean(p < LEVEL / 2) == pytest.approx(power(0.35, 10, 0.6, 2), abs=0.02)


def test_the_protocol_states_the_power():
    text = " ".join(Path(reports.__file__).with_name("protocol.md").read_text().split())
    found = re.search(
        r"With ten seeds and a standard deviation of ([\d.]+) points.* a lead of the evolution of "
        r"([\d.]+) points.* probability of (\d+) % at one budget of two, and a "
        r"rival's of ([\d.]+) points",
        text,
    )
    sd, own, chance, theirs = map(float, found.groups())
    assert power(sd, 10, own, budgets=2) == pytest.approx(chance / 100, abs=0.02)
    assert power(sd, 10, theirs, 2, len(RIVALS)) == pytest.approx(chance / 100, abs=0.025)
