import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from nni_stress.pruning import screening


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cost(keep):
    return 10 * keep[0] + keep[0] * keep[1] + 5 * keep[1]


def draw(number=30, seed=0, **changes):
    settings = {
        "keep": [10, 20],
        "sizes": [40, 60],
        "floors": [1, 1],
        "multiples": [1, 1],
        "cost": cost,
        "budget": cost([10, 20]),
    }
    return screening.candidates(**{**settings, **changes}, number=number, generator=generator(seed))


def test_candidates_differ_start_with_the_given_one_and_use_the_budget():
    large = {"keep": [100, 200], "sizes": [400, 600], "budget": cost([100, 200])}
    found = draw(**large)
    assert found[0] == [100, 200] and len(found) == 30 == len({tuple(keep) for keep in found})
    assert all(0.97 * large["budget"] <= cost(keep) <= large["budget"] for keep in found)
    assert draw(**large) == found != draw(seed=1, **large)


def test_candidates_respect_sizes_floors_and_multiples():
    for keep in draw(sizes=[12, 60], floors=[8, 4], multiples=[1, 4])[1:]:
        assert 8 <= keep[0] <= 12 and keep[1] % 4 == 0
    assert draw(sizes=[10, 20], floors=[10, 20]) == [[10, 20]]  # all frozen: there is no other


def test_the_fittest_is_found_by_judging_fewer_and_fewer_on_more_and_more():
    calls = []

    def judge(candidate, examples):
        calls.append((candidate, examples))
        return abs(candidate - 37) + 100 / examples

    assert screening.fittest(100, judge, 640) == 37
    assert [sum(1 for _, n in calls if n == examples) for examples in (40, 160, 640)] == [
        100,
        25,
        6,
    ]


def test_a_loss_that_is_not_finite_is_worst_and_of_equals_the_first_wins():
    assert (
        screening.fittest(3, lambda candidate, examples: [math.nan, 2.0, math.inf][candidate], 10)
        == 1
    )
    assert screening.fittest(5, lambda candidate, examples: 1.0, 10) == 0
    assert (
        screening.fittest(1, lambda candidate, examples: pytest.fail("nothing to judge"), 10) == 0
    )


def test_a_screen_judges_on_its_own_statistics_and_leaves_the_network_as_it_was():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(144, 3),
    )
    network[1].running_mean.fill_(50.0)  # statistics of another network
    network.train()
    network[3].eval()
    inputs = torch.randn(16, 1, 8, 8)
    targets = torch.randint(3, (16,))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loss = screening.Screen(inputs, targets, functional.cross_entropy)(network, 8)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network[1].training and not network[3].training and network[1].momentum == 0.1
    reference = nn.Sequential(network[0], nn.BatchNorm2d(4, momentum=1.0), *network[2:])
    with torch.no_grad():
        reference.eval()[1].train()
        reference(inputs[:8])
        expected = functional.cross_entropy(reference.eval()(inputs[:8]), targets[:8])
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_a_screen_needs_examples():
    with pytest.raises(ValueError, match="as many targets as inputs, but got 2 and 3"):
        screening.Screen(torch.rand(3, 1), torch.zeros(2), functional.mse_loss)
    with pytest.raises(ValueError, match="but got 0 and 0"):
        screening.Screen(torch.rand(0, 1), torch.zeros(0), functional.mse_loss)
