import pytest
import torch

from nni_stress import stress


@pytest.mark.parametrize("step, level", [(0, 0), (20, 0), (21, 0.02), (45, 0.5), (70, 1), (100, 1)])
def test_stress_waits_rises_and_stays(step, level):
    assert stress.stress_level(step, 100, peak=1.0, onset=0.2, ramp=0.5) == pytest.approx(level)


def test_a_ramp_of_nothing_is_a_jump():
    assert [stress.stress_level(step, 10, 0.7, 0.5, 0.0) for step in (4, 5, 10)] == [0, 0.7, 0.7]


def test_no_peak_is_no_stress():
    assert stress.stress_level(10, 10, 0.0, 0.0, 0.0) == 0


def test_the_weaker_a_cluster_the_more_it_feels():
    assert stress.attenuation(torch.tensor([1.0, 0.5, 0.0]), 0.5).tolist() == [1, 0.75, 0.5]
    assert stress.attenuation(torch.rand(4), 0.0).tolist() == [1] * 4
