import itertools

import pytest
import torch

from nni_stress.pruning.functional.allocation import share


def chain(sizes, kernel=9, inputs=3, outputs=10):
    """Parameters of a chain of convolutions with a linear layer at its end."""

    def cost(keep):
        widths = [inputs, *keep]
        return (
            sum(a * b * kernel + b for a, b in itertools.pairwise(widths))
            + keep[-1] * outputs
            + outputs
        )

    return cost, [torch.rand(size, generator=torch.Generator().manual_seed(size)) for size in sizes]


def test_the_budget_is_met_and_used():
    cost, importance = chain([20, 50, 500])
    for part in (0.9, 0.4, 0.1, 0.02):
        found = share(importance, cost, part * cost([20, 50, 500]))
        assert 0.97 * part * cost([20, 50, 500]) <= found.cost <= part * cost([20, 50, 500])
        assert found.cost == cost(found.keep) and found.obstacle is None and min(found.keep) >= 1
        assert found == share(importance, cost, part * cost([20, 50, 500]))


def test_the_division_is_close_to_the_optimum():
    """It keeps at least 97 % of the importance that a search of all architectures keeps."""
    cost, importance = chain([6, 8, 7])
    budget = 0.4 * cost([6, 8, 7])

    def kept(keep):
        return sum(
            float(scores.sort(descending=True).values[:k].sum())
            for scores, k in zip(importance, keep)
        )

    best = max(
        kept(keep)
        for keep in itertools.product(range(1, 7), range(1, 9), range(1, 8))
        if cost(list(keep)) <= budget
    )
    assert kept(share(importance, cost, budget, power=1.0, redundancy=0.0).keep) >= 0.97 * best


def test_an_important_group_keeps_all_its_clusters():
    cost, importance = chain([30, 30, 30])
    importance[1] *= 100
    assert share(importance, cost, 0.5 * cost([30] * 3)).keep[1] == 30


def test_redundancy_keeps_the_last_clusters_of_a_group():
    """Each of 500 neurons matters little, but the last of them do the work of all."""
    cost, importance = chain([20, 50, 500])
    importance[2] *= 1e-6
    budget = cost([20, 50, 500]) / 44
    assert share(importance, cost, budget, redundancy=0.0).keep[2] == 1
    even = share([torch.ones(size) for size in (20, 50, 500)], cost, budget, redundancy=50.0).keep
    shares = [keep / size for keep, size in zip(even, (20, 50, 500))]
    assert max(shares) < 1.5 * min(shares)  # rounding aside, every layer keeps the same share
    kept = [
        share(importance, cost, budget, redundancy=redundancy).keep[2]
        for redundancy in (0.0, 1.0, 2.0, 4.0)
    ]
    assert kept == sorted(kept) and kept[-1] > kept[0]


def test_floors_multiples_blocks_and_frozen_groups_are_respected():
    cost, importance = chain([32, 64, 64])
    budget = 0.3 * cost([32, 64, 64])
    assert min(share(importance, cost, budget, floor=12).keep) >= 12
    rounded = share(importance, cost, budget, multiple=8)
    assert all(keep % 8 == 0 for keep in rounded.keep) and rounded.cost <= budget
    assert share(importance, cost, budget, blocks=[1, 4, 4]).keep[1] % 4 == 0
    assert share(importance, cost, budget, frozen=[True, False, False]).keep[0] == 32


def test_a_budget_out_of_reach_is_explained():
    cost, importance = chain([10, 10])
    least = share(importance, cost, 1.0)
    assert least.keep == [1, 1] and "more than the budget" in least.obstacle
    coarse = share(importance, cost, 0.5 * cost([10, 10]), blocks=[10, 10])
    assert coarse.keep == [10, 10] and "more than the budget" in coarse.obstacle
    stuck = share([torch.ones(4), torch.ones(2)], lambda keep: 100 * keep[0] + keep[1], 390)
    assert stuck.keep == [3, 2] and "no further cluster fits" in stuck.obstacle


def test_a_budget_of_the_whole_network_removes_nothing():
    cost, importance = chain([5, 6])
    assert share(importance, cost, cost([5, 6])).keep == [5, 6]


def test_a_network_as_large_as_yolov2_meets_its_budget():
    sizes = [
        32,
        64,
        128,
        64,
        128,
        256,
        128,
        256,
        512,
        256,
        512,
        256,
        512,
        1024,
        512,
        1024,
        512,
        1024,
        1024,
        1024,
        64,
        1024,
    ]
    cost, importance = chain(sizes)
    assert share(importance, cost, cost(sizes) / 33).obstacle is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"importance": []}, "same groups"),
        (
            {"importance": [torch.tensor([1.0, float("nan")])]},
            "importance of group 0 must be finite",
        ),
        ({"importance": [torch.tensor([-1.0])]}, "not negative"),
        ({"importance": [torch.ones(2, 2)]}, "one-dimensional"),
        ({"budget": 0}, "budget must be a number above 0, but got 0"),
        ({"budget": float("inf")}, "but got inf"),
        ({"floor": 0}, "floor must be a whole number of at least 1, but got 0"),
        ({"multiple": 2.5}, "multiple must be a whole number of at least 1, but got 2.5"),
        ({"power": 2}, "power must lie in .*but got 2"),
        ({"blocks": [2]}, "cannot have 2 equal blocks"),
        ({"frozen": [True, False]}, "same groups, but got 1, 1 and 2"),
    ],
)
def test_wrong_arguments_are_named(changes, words):
    settings = {**{"importance": [torch.ones(3)], "cost": sum, "budget": 2.0}, **changes}
    with pytest.raises(ValueError, match=words):
        share(settings.pop("importance"), settings.pop("cost"), settings.pop("budget"), **settings)


def test_multiples_go_with_floors_and_blocks_and_yield_to_the_budget():
    cost, importance = chain([64, 384, 384])
    full = cost([64, 384, 384])
    assert all(
        k % 8 == 0 and k >= 16
        for k in share(importance, cost, 0.4 * full, floor=12, multiple=8).keep
    )
    assert share(importance, cost, 0.4 * full, blocks=[1, 6, 6], multiple=8).keep[1] % 6 == 0
    small = share([torch.rand(20)] * 2, lambda keep: 3 * keep[0] + 2 * keep[1], 75, multiple=16)
    assert 0.97 * 75 <= small.cost <= 75 and small.obstacle is None


def test_a_cost_that_falls_in_steps_is_followed_and_asked_for_once_per_network():
    asked = []

    def latency(keep):
        asked.append(tuple(keep))
        return sum(weight * -(-k // 8) for weight, k in zip((1.0, 2.0, 4.0), keep))

    importance = [torch.ones(64), torch.ones(64), 100 * torch.ones(64)]
    found = share(importance, latency, 36)
    assert found.keep[2] == 64 and 0.97 * 36 <= found.cost <= 36 and len(asked) == len(set(asked))


def test_equal_importance_is_divided_the_same_way_every_time():
    equal = [torch.ones(8), torch.ones(8)]
    assert (
        len({tuple(share(equal, sum, budget).keep) for budget in [9] * 3}) == 1
        and sum(share(equal, sum, 9).keep) == 9
    )


def test_a_budget_above_the_cost_has_no_obstacle():
    assert share([torch.ones(4)], sum, 100).obstacle is None and share(
        [torch.ones(4)], sum, 100
    ).keep == [4]


@pytest.mark.parametrize(
    ("importance", "cost", "settings", "words"),
    [
        ([[1.0, 2.0]], sum, {}, r"must be tensors, but got \['list'\]"),
        ([torch.ones(0)], lambda keep: 1, {}, "must have clusters"),
        ([torch.ones(2)], sum, {"blocks": [0]}, "but got 2 and 0"),
        ([torch.ones(2)], lambda keep: float("nan"), {}, "cost of the whole network .*nan"),
    ],
)
def test_what_cannot_be_divided_is_named(importance, cost, settings, words):
    with pytest.raises(ValueError, match=words):
        share(importance, cost, 2.0, **settings)
