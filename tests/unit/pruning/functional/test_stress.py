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


@pytest.mark.parametrize(
    ("width", "expected"), [(0.0, (10, 10)), (0.5, (6, 20)), (1.0, (4, 40)), (0.1, (9, 11))]
)
def test_the_range_of_nested_silence_goes_from_the_coming_number_to_the_whole_layer(
    width, expected
):
    assert stress.nested_range(10, 40, width) == expected


@pytest.mark.parametrize("width", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("coming", "present"), [(1, 1), (1, 40), (2, 3), (40, 40)])
def test_the_range_of_nested_silence_holds_what_comes_and_no_more_than_there_is(
    coming, present, width
):
    low, high = stress.nested_range(coming, present, width)
    assert 1 <= low <= coming <= high <= present


def test_at_a_range_of_0_nested_silence_keeps_exactly_the_coming_number():
    source = generator(2)
    rank = torch.arange(40)
    for coming in (1, 10, 39, 40):
        for _ in range(50):
            drawn = stress.nested_silence(rank, coming, 40, 1.0, 0.0, source)
            assert torch.equal(drawn.bool(), rank < coming)


def test_nested_silence_keeps_a_log_uniform_number_of_the_strongest():
    rank = torch.tensor([3, 0, 2, 1, *range(4, 40)])
    source = generator(2)
    draws = 20_000
    counts = torch.zeros(41)
    for _ in range(draws):
        mask = stress.nested_silence(rank, 10, 40, 1.0, 1.0, source)
        kept = int(mask.sum())
        assert torch.equal(mask.bool(), rank < kept)  # nested: always the strongest
        counts[kept] += 1
    number = torch.arange(41.0)
    expected = torch.log((number + 1) / number) / math.log(41 / 4)
    expected[:4] = 0
    error = (expected * (1 - expected) / draws).sqrt()
    assert ((counts / draws - expected).abs() <= 4 * error).all()  # four standard errors
    assert counts[4] > 0 and counts[40] > 0


def test_nested_silence_strikes_as_often_as_the_level_says_and_leaves_one():
    source = generator(3)
    rank = torch.arange(20)
    struck = [not stress.nested_silence(rank, 5, 20, 0.3, 0.0, source).all() for _ in range(4000)]
    frequency = sum(struck) / 4000
    assert frequency == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / 4000))  # standard errors
    alone = [stress.nested_silence(torch.arange(3), 1, 3, 1.0, 1.0, source) for _ in range(50)]
    assert all(mask.sum() >= 1 for mask in alone)
    assert stress.nested_silence(rank, 5, 20, 0.0, 1.0, source).all()


SURVIVALS = {
    "random": torch.rand(30, generator=generator(4)),
    "steep": torch.exp(-torch.arange(30.0)),
    "alike": torch.full((30,), 0.5),
    "at a temperature of 0": torch.tensor([0.0] * 7 + [1.0] + [0.0] * 22),
    "of synapses": torch.rand(5, 6, generator=generator(5)),
}


@pytest.mark.parametrize("survival", SURVIVALS.values(), ids=SURVIVALS)
@pytest.mark.parametrize("coming", [1, 2, 11, 29, 30])
def test_at_the_full_level_as_many_clusters_are_expected_as_will_survive(survival, coming):
    there = torch.ones_like(survival, dtype=torch.bool)
    probability = stress.presence(survival, there, coming, 1.0)
    assert probability.shape == survival.shape
    assert float(probability.sum()) == pytest.approx(coming)
    assert float(probability.flatten()[survival.argmax()]) == 1
    assert probability.min() >= 0 and probability.max() <= 1
    stronger = survival.flatten()[:, None] > survival.flatten()
    likelier = probability.flatten()[:, None] >= probability.flatten()
    assert likelier[stronger].all()


def test_where_no_bound_is_met_presence_is_proportional_to_survival():
    survival = torch.tensor([1.0, 0.2, 0.1, 0.4, 0.3])
    probability = stress.presence(survival, survival > 0, 2, 1.0)
    assert probability.tolist() == pytest.approx([1.0, 0.2, 0.1, 0.4, 0.3])


@pytest.mark.parametrize("level", [0.0, 0.25, 1.0])
def test_clusters_are_present_with_their_probability_and_never_if_gone(level):
    survival = torch.rand(12, generator=generator(6))
    there = torch.arange(12) > 2
    expected = stress.presence(survival, there, 4, level)
    assert not expected[:3].any()
    full = stress.presence(survival, there, 4, 1.0)
    assert torch.allclose(expected[3:], 1 - level * (1 - full[3:]))
    source = generator(7)
    draws = torch.stack(
        [stress.survival_draw(survival, there, 4, level, source) for _ in range(10_000)]
    )
    assert draws.any(1).all()  # a layer never dies
    error = (expected * (1 - expected) / 10_000).sqrt()
    assert ((draws.double().mean(0) - expected).abs() <= 4 * error).all()  # standard errors


def test_full_stress_through_the_phase_leaves_a_hundredth():
    factor = stress.weakening(torch.tensor([0.0, 0.5, 1.0]), 1.0, 200) ** 200
    assert factor.tolist() == pytest.approx([0.01, 0.1, 1], rel=1e-3)
