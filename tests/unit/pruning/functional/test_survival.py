import math

import pytest
import torch

from nni_stress.pruning.functional import survival


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def perturbed(strength, temperature, source):
    return survival.perturbed_strength(
        strength, temperature, survival.gumbel_noise(strength.shape, source)
    )


def test_survival_probability_is_the_formula():
    strength = torch.tensor([4.0, 2.0, 0.0])
    expected = [0.8, 0.8 * math.exp(-0.5 / 0.5), 0.8 * math.exp(-1 / 0.5)]
    assert survival.survival_probability(strength, 0.5, 0.8).tolist() == pytest.approx(expected)


def test_at_temperature_zero_only_the_strongest_survive():
    assert survival.survival_probability(torch.tensor([1.0, 3.0, 3.0]), 0.0).tolist() == [0, 1, 1]


def test_a_layer_without_strength_has_no_favourites():
    assert survival.survival_probability(torch.zeros(3), 0.1, 0.5).tolist() == [0.5] * 3


def test_at_temperature_zero_strength_is_not_perturbed():
    strength = torch.rand(50, generator=generator())
    assert torch.equal(perturbed(strength, 0.0, generator()), strength)


def test_the_same_seed_gives_the_same_draw():
    strength = torch.rand(50, generator=generator())
    draws = [perturbed(strength, 0.3, generator(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_keeping_the_largest_draws_in_proportion_to_survival_probability():
    """The first cluster of a draw without replacement has probability P(c) / sum P."""
    strength = torch.tensor([3.0, 2.5, 1.0])
    temperature = 0.4
    draws = 20_000
    source = generator(3)
    firsts = [int(perturbed(strength, temperature, source).argmax()) for _ in range(draws)]
    frequency = torch.bincount(torch.tensor(firsts), minlength=3) / draws
    probability = survival.survival_probability(strength, temperature)
    # four standard errors of a frequency of one half
    assert torch.allclose(
        frequency, probability / probability.sum(), atol=4 * 0.5 / math.sqrt(draws)
    )


def test_bernoulli_draws_are_independent_with_probability_p():
    probability = torch.tensor([0.0, 0.25, 1.0]).repeat(20_000, 1)
    drawn = survival.bernoulli_survival(probability, generator(4))
    assert set(drawn.unique().tolist()) == {0, 1}
    # four standard errors
    assert drawn.mean(0).tolist() == pytest.approx(
        [0, 0.25, 1], abs=4 * math.sqrt(0.25 * 0.75 / 20_000)
    )
