"""Breeding: architectures keep to the budget, and the best ones are found."""

import math

import numpy as np
import pytest
import torch

from nni_stress.pruning.functional.breeding import Space, best_first, breed, steps_of


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def chain(keep):
    """Synapses of a chain of layers from 3 inputs to 10 outputs."""
    return sum(inputs * outputs for inputs, outputs in zip([3, *keep], [*keep, 10]))


def both(keep):
    """Two resources at once: the second limits architectures that are wide at the beginning."""
    second = 40 * keep[0] * keep[1] + keep[-1]
    return ((chain(keep) / 9000) ** 32 + (second / 30_000) ** 32) ** (1 / 32)


SPACES = {
    "chain": Space([64, 128, 512], [1, 1, 1], [1, 1, 1], [1, 1, 1], chain, 9000),
    "two resources": Space([64, 128, 512], [1, 1, 1], [1, 1, 1], [1, 1, 1], both, 1.0),
    "floors": Space([64, 128, 512], [9, 30, 20], [1, 1, 1], [1, 1, 1], chain, 9000),
    "frozen": Space([64, 128, 40], [1, 1, 40], [1, 1, 1], [1, 1, 1], chain, 9000),
    "multiples": Space([64, 128, 512], [1, 1, 1], [8, 8, 8], [1, 1, 1], chain, 20_000),
    "blocks": Space([64, 132, 512], [1, 4, 2], [1, 4, 2], [1, 4, 2], chain, 9000),
    "coarse": Space([6, 5], [1, 1], [1, 1], [1, 1], lambda keep: 7 * keep[0] * keep[1], 60),
}


def distance(keep, hidden):
    return math.dist(np.log(keep), np.log(hidden))


def hidden_in(space, seed=0):
    """An architecture of the space far from the shares, and these."""
    torch.manual_seed(seed)
    wanted = np.exp(torch.rand(2, len(space.sizes)).numpy() * np.log(space.sizes))
    return [tuple(keep) for keep in space.fit(wanted).tolist()]


@pytest.mark.parametrize("name", SPACES)
def test_every_architecture_keeps_to_the_budget_and_no_cluster_more_fits(name):
    space = SPACES[name]
    shares = space.fit([space.sizes])[0]
    found = breed(shares, space, lambda keep: float(torch.rand(())), 60, generator())
    assert len(found) >= 3
    for keep in found:
        assert all(low <= n <= size for low, n, size in zip(space.floors, keep, space.sizes))
        assert all(n % block == 0 for n, block in zip(keep, space.blocks))
        used = space.cost(keep) / space.budget
        assert used <= 1
        larger = [
            (*keep[:i], min(keep[i] + space.blocks[i], size), *keep[i + 1 :])
            for i, size in enumerate(space.sizes)
        ]
        fitting = [other for other in larger if other != keep and space.cost(other) <= space.budget]
        if used < 0.97:
            assert not fitting
        if not fitting or name != "multiples":
            continue
        free = [n for n, low, size in zip(keep, space.floors, space.sizes) if n not in (low, size)]
        assert all(n % 8 == 0 for n in free)


def test_an_architecture_keeps_its_proportions_where_it_can():
    space = SPACES["chain"]
    first, second = space.fit([[1, 10, 100], [100, 10, 1]])
    assert first[0] < first[1] < first[2] and second[0] == 64 and second[1] > second[2]
    assert np.array_equal(space.fit([first, second]), [first, second])  # they fit already
    assert np.array_equal(space.fit([3 * first]), [first])
    whole = Space(space.sizes, space.floors, space.steps, space.blocks, chain, chain(space.sizes))
    assert whole.fit([[1, 1, 1]]).tolist() == [space.sizes]
    least = Space(space.sizes, space.floors, space.steps, space.blocks, chain, 5)
    assert least.fit([[9, 9, 9]]).tolist() == [space.floors]  # more than the budget in any case


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_architecture_far_from_the_shares_is_found(seed):
    space = SPACES["chain"]
    hidden, shares = hidden_in(space, seed)
    found = breed(shares, space, lambda keep: distance(keep, hidden), 200, generator(seed))
    nearest = best_first(found)[0]
    assert distance(nearest, hidden) < 0.15 * distance(shares, hidden)
    by_chance = breed(shares, space, lambda keep: 0.0, 200, generator(seed), size=200)
    assert distance(nearest, hidden) <= min(distance(keep, hidden) for keep in by_chance)


def test_no_architecture_is_judged_twice_and_the_shares_come_first():
    space = SPACES["chain"]
    calls = []

    def judge(keep):
        calls.append(keep)
        return float(keep[0])

    shares = space.fit([[1, 1, 9]])[0]
    found = breed(shares, space, judge, 50, generator())
    assert calls == list(found) and len(calls) == 50 and calls[0] == tuple(shares)
    assert tuple(space.fit([space.sizes])[0]) in found  # the uniform ratio
    assert breed(shares, space, judge, 1, generator()).keys() == {tuple(shares)}
    narrow = Space([8, 8], [7, 8], [1, 1], [1, 1], sum, 15)
    assert list(breed([7, 8], narrow, judge, 50, generator())) == [(7, 8)]  # there is no other


def test_the_best_is_never_worse_than_the_shares_and_more_rounds_are_never_worse():
    space = SPACES["chain"]
    for seed in range(5):
        hidden, shares = hidden_in(space, seed)
        best = distance(shares, hidden)
        for rounds in (1, 2, 4, 8):
            found = breed(
                shares,
                space,
                lambda keep, hidden=hidden: distance(keep, hidden),
                10 * rounds,
                generator(seed),
                size=10,
            )
            now = found[best_first(found)[0]]
            assert now <= best
            best = now


def test_the_seed_decides():
    space = SPACES["chain"]
    first, again, other = (
        breed([5, 5, 5], space, lambda keep: float(keep[1]), 40, generator(seed))
        for seed in (0, 0, 1)
    )
    assert list(first.items()) == list(again.items()) != list(other.items())


def test_a_loss_that_is_not_finite_is_worst_and_of_equals_the_first_wins():
    assert best_first({(1,): math.nan, (2,): 2.0, (3,): -math.inf, (4,): 2.0})[:2] == [(2,), (4,)]
    space = SPACES["chain"]
    assert len(breed([5, 5, 5], space, lambda keep: math.nan, 30, generator())) == 30


def test_a_step_has_whole_blocks():
    assert steps_of(64, block=4, multiple=6) == 12
    assert steps_of(8, block=4, multiple=6) == 4  # the group is too small for it
