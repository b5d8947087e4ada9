import math

import pytest
import torch

from nni_stress.pruning.functional import stress
from nni_stress.pruning.functional.stress import Schedule


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("step", "level"), [(0, 0), (20, 0), (21, 0.02), (45, 0.5), (70, 1), (80, 1), (81, 0), (100, 0)]
)
def test_stress_rises_after_its_onset_stays_and_ends(step, level):
    assert stress.stress_level(step, Schedule(1.0, onset=20, ramp=50, plateau=10)) == pytest.approx(
        level
    )


def test_without_a_plateau_stress_stays_to_the_end():
    assert stress.stress_level(10**6, Schedule(0.7, 1, 2)) == 0.7


@pytest.mark.parametrize(("shape", "halfway"), [("linear", 0.5), ("cubic", 0.875), ("cosine", 0.5)])
def test_each_shape_rises_from_nothing_to_the_peak(shape, halfway):
    levels = [stress.stress_level(step, Schedule(1.0, 0, 100, shape=shape)) for step in range(101)]
    assert levels[0] == 0 and levels[50] == pytest.approx(halfway) and levels[100] == 1
    assert levels == sorted(levels)


def test_a_ramp_of_no_steps_is_a_jump():
    assert [stress.stress_level(step, Schedule(0.7, 5, 0)) for step in (4, 5, 10)] == [0, 0.7, 0.7]


def test_the_weaker_a_cluster_the_more_it_is_attenuated():
    assert stress.attenuation(torch.tensor([1.0, 0.5, 0.0]), 0.5).tolist() == [1, 0.75, 0.5]
    assert stress.attenuation(torch.rand(4, generator=generator()), 0.0).tolist() == [1] * 4


def test_clusters_are_silenced_with_their_probability_and_the_strongest_never():
    survival = torch.tensor([1.0, 0.5, 0.0]).repeat(20_000, 1)
    frequency = 1 - stress.silence(survival, 0.6, generator(1)).mean(0)
    assert frequency.tolist() == pytest.approx(
        [0, 0.3, 0.6], abs=4 * math.sqrt(0.25 / 20_000)
    )  # four standard errors


def test_nested_silence_leaves_the_strongest_around_the_coming_number():
    rank = torch.tensor([3, 0, 2, 1, *range(4, 40)])
    source = generator(2)
    kept = []
    for _ in range(500):
        mask = stress.nested_silence(rank, 10, 1.0, source)
        kept.append(int(mask.sum()))
        assert torch.equal(mask.bool(), rank < kept[-1])  # nested: always the strongest
    assert set(kept) == set(range(6, 18))


def test_nested_silence_narrows_down_to_the_coming_number():
    widths = [stress.nested_width(step, 20, 100) for step in range(20, 101)]
    assert (
        widths[0] == 1
        and widths[-1] == pytest.approx(stress.NESTED_END)
        and widths == sorted(widths, reverse=True)
    )
    rank = torch.arange(40)
    source = generator(2)
    kept = {
        width: {int(stress.nested_silence(rank, 10, 1.0, source, width).sum()) for _ in range(300)}
        for width in (0.0, 0.5, 1.0)
    }
    assert kept == {0.0: {10}, 0.5: set(range(8, 15)), 1.0: set(range(6, 18))}


def test_nested_silence_strikes_as_often_as_the_level_says_and_leaves_one():
    source = generator(3)
    rank = torch.arange(20)
    struck = sum(not stress.nested_silence(rank, 5, 0.3, source).all() for _ in range(4000)) / 4000
    assert struck == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / 4000))  # four standard errors
    assert all(stress.nested_silence(torch.arange(3), 1, 1.0, source).sum() >= 1 for _ in range(50))
    assert stress.nested_silence(rank, 5, 0.0, source).all()


def test_full_stress_through_the_phase_leaves_a_hundredth():
    factor = stress.weakening(torch.tensor([0.0, 0.5, 1.0]), 1.0, 200) ** 200
    assert factor.tolist() == pytest.approx([0.01, 0.1, 1], rel=1e-3)
