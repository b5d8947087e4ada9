"""StressPruner by itself: its masks, stress signals and settings."""

import copy
import itertools

import nni
import pytest
import torch
import torchvision.models
from nni.compression.pruning import L1NormPruner, L2NormPruner, LevelPruner
from nni.compression.speedup import ModelSpeedup
from nni.compression.utils import auto_set_denpendency_group_ids
from nni.compression.utils.evaluator import TorchEvaluator
from torch.nn import functional

from nni_stress import StressPruner
from nni_stress.hparams import STRENGTHS, STRESSORS
from trials.models import lenet5

NETWORKS = {
    "lenet5": (lenet5, (1, 28, 28), "fc2"),
    "alexnet": (lambda: torchvision.models.alexnet(num_classes=10), (3, 64, 64), "classifier.6"),
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=10), (3, 32, 32), "fc"),
}


@pytest.fixture(params=NETWORKS)
def ancestor(request):
    """(network in eval mode, a batch of images, config)"""
    factory, shape, last = NETWORKS[request.param]
    torch.manual_seed(0)
    return factory().eval(), torch.rand(4, *shape), config(last)


def config(last="fc2", ratio=0.5):
    return [{"op_types": ["Conv2d", "Linear"], "sparse_ratio": ratio, "exclude_op_names": [last]}]


def evaluator(network, shape=(1, 28, 28), optimizer=torch.optim.SGD, **arguments):
    generator = torch.Generator().manual_seed(0)

    def training_func(
        model, optimizers, training_step, lr_schedulers=None, max_steps=None, max_epochs=None
    ):
        for _ in range(max_steps):
            batch = (
                torch.rand(8, *shape, generator=generator),
                torch.randint(10, (8,), generator=generator),
            )
            optimizers.zero_grad()
            training_step(batch, model).backward()
            optimizers.step()

    traced = nni.trace(optimizer)(network.parameters(), lr=0.01, **arguments)
    return TorchEvaluator(
        training_func,
        traced,
        lambda batch, model: functional.cross_entropy(model(batch[0]), batch[1]),
    )


def network(seed=0):
    torch.manual_seed(seed)
    return lenet5()


def same_masks(masks, others):
    if {m: set(t) for m, t in masks.items()} != {m: set(t) for m, t in others.items()}:
        return False
    pairs = [(masks[m][t], others[m][t]) for m in masks for t in masks[m]]
    return all(
        mask is other if mask is None or other is None else torch.equal(mask, other)
        for mask, other in pairs
    )


def test_at_temperature_zero_the_masks_are_those_of_the_norm_pruner(ancestor):
    model, _, config_list = ancestor
    reference = L1NormPruner(model, config_list)
    _, expected = reference.compress()
    reference.unwrap_model()
    _, masks = StressPruner(model, config_list, temperature=0).compress()
    assert same_masks(masks, expected)


def test_a_sampled_offspring_meets_the_budget_and_speeds_up_to_what_the_masks_compute(ancestor):
    model, images, config_list = ancestor
    if isinstance(
        model, torchvision.models.ResNet
    ):  # layers that a shortcut adds up must keep the same clusters
        config_list = auto_set_denpendency_group_ids(model, config_list, images)
    pruner = StressPruner(model, config_list, temperature=0.3, seed=5)
    _, masks = pruner.compress()
    for _module_name, targets in masks.items():
        clusters = targets["weight"].flatten(1).any(1)
        assert set(targets["weight"].unique().tolist()) == {0, 1}
        assert int(clusters.sum()) == len(clusters) - int(len(clusters) * 0.5)
        if targets.get("bias") is not None:
            assert torch.equal(targets["bias"].bool(), clusters)
    with torch.no_grad():
        masked = model(images)
    pruner.unwrap_model()
    before = sum(p.numel() for p in model.parameters())
    small = ModelSpeedup(model, images, masks).speedup_model()
    assert sum(p.numel() for p in small.parameters()) < before
    with torch.no_grad():
        assert torch.allclose(small(images), masked, rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_offspring():
    masks = [
        StressPruner(network(), config(), temperature=0.5, seed=seed).compress()[1]
        for seed in (1, 1, 2)
    ]
    assert same_masks(masks[0], masks[1]) and not same_masks(masks[0], masks[2])


def test_zero_stress_trains_bit_for_bit_as_without_the_pruner():
    plain = network()
    plain_evaluator = evaluator(plain, momentum=0.9)
    plain_evaluator._init_optimizer_helpers(plain)
    plain_evaluator.bind_model(plain)
    plain_evaluator.train(max_steps=10)
    stressed = network()
    pruner = StressPruner(
        stressed, config(), evaluator(stressed, momentum=0.9), 10, stress_peak=0.0
    )
    pruner.compress()
    pruner.unwrap_model()
    after = dict(stressed.named_parameters())
    for name, expected in plain.named_parameters():
        assert torch.equal(expected, after[name]), name


def test_under_stress_the_weak_are_attenuated_and_weights_are_not_touched():
    model = network()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    seen = {}
    pruner = None

    def training_func(
        wrapped, optimizers, training_step, lr_schedulers=None, max_steps=None, max_epochs=None
    ):
        for step in range(max_steps):
            optimizers.step()  # without gradients: only the pruner acts
            seen[step + 1] = {t: m.clone() for t, m in pruner.get_masks()["conv2"].items()}

    traced = nni.trace(torch.optim.SGD)(model.parameters(), lr=0.1)
    torch_evaluator = TorchEvaluator(training_func, traced, lambda batch, model: None)
    pruner = StressPruner(
        model,
        config(),
        torch_evaluator,
        10,
        stressor="attenuate",
        stress_peak=0.8,
        stress_onset=0.2,
        stress_ramp=0.5,
        temperature=0.1,
    )
    _, masks = pruner.compress()
    assert (seen[2]["weight"] == 1).all()
    felt = seen[9]["weight"].flatten(1)[:, 0]
    strength = before["conv2.weight"].abs().flatten(1).sum(1)
    assert torch.equal(felt.argsort(), strength.argsort()) and float(felt.max()) == pytest.approx(1)
    assert float(felt.min()) == pytest.approx(
        1 - 0.8 * (1 - float(torch.exp((strength.min() / strength.max() - 1) / 0.1))), abs=1e-4
    )
    assert torch.equal(seen[9]["bias"], felt)
    assert float(seen[4]["weight"].min()) > float(seen[9]["weight"].min())
    assert set(masks["conv2"]["weight"].unique().tolist()) == {0, 1}
    pruner.unwrap_model()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]), name


@pytest.mark.parametrize(
    "setting",
    [
        {"sparse_ratio": 1.0},
        {"sparse_threshold": 1e9},
        {"sparse_ratio": 0.999},
        {"sparse_ratio": 0.999, "global_group_id": 0},
    ],
)
def test_a_layer_never_dies(setting):
    config_list = [{"op_names": ["conv1", "conv2"], **setting}]
    model = network()
    pruner = StressPruner(model, config_list, temperature=0.2)
    _, masks = pruner.compress()
    for targets in masks.values():
        survivors = targets["weight"].flatten(1).any(1)
        assert survivors.sum() >= 1
        assert torch.equal(targets["bias"].bool(), survivors)
    images = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        masked = model.eval()(images)
    pruner.unwrap_model()
    assert torch.allclose(
        ModelSpeedup(model, images, masks).speedup_model()(images), masked, atol=1e-5
    )


def test_removed_stays_removed_under_a_second_pruner(ancestor):
    model, _, config_list = ancestor
    first = StressPruner(model, config_list, temperature=0.1)
    _, before = first.compress()
    more = [{**config_list[0], "sparse_ratio": 0.75}]
    first.unwrap_model()
    second = StressPruner(model, more, temperature=10.0, seed=9)
    second.update_masks(before)
    _, after = second.compress()
    for module_name, targets in before.items():
        assert not (after[module_name]["weight"].bool() & ~targets["weight"].bool()).any()
        clusters = after[module_name]["weight"].flatten(1).any(1)
        assert int(clusters.sum()) == len(clusters) - int(len(clusters) * 0.75)


@pytest.mark.parametrize("stressor", STRESSORS)
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("sampling", ["exact", "bernoulli"])
def test_every_stressor_goes_with_every_strength_and_sampling(stressor, strength, sampling):
    def compress():
        model = network()
        pruner = StressPruner(
            model,
            config(),
            evaluator(model),
            12,
            stressor=stressor,
            strength=strength,
            sampling=sampling,
            stress_peak=1.0,
            stress_onset=0.2,
            temperature=0.5,
            seed=3,
        )
        _, masks = pruner.compress()
        pruner.unwrap_model()
        return masks, model.state_dict()

    masks, weights = compress()
    again, weights_again = compress()
    assert same_masks(masks, again) and all(
        torch.equal(weights[name], weights_again[name]) for name in weights
    )
    for targets in masks.values():
        clusters = targets["weight"].flatten(1).any(1)
        assert torch.equal(targets["bias"].bool(), clusters) and clusters.any()
        if sampling == "exact":
            assert int(clusters.sum()) == len(clusters) - int(len(clusters) * 0.5)


@pytest.mark.parametrize(
    ("setting", "fewest", "most"),
    [("nested_silence", 16, 35), ("silence", 1, 50), ("survival", 1, 50)],
)
def test_silence_is_drawn_anew_at_every_step(setting, fewest, most):
    model = network()
    seen = []
    pruner = None

    def training_func(
        wrapped, optimizers, training_step, lr_schedulers=None, max_steps=None, max_epochs=None
    ):
        for _ in range(max_steps):
            optimizers.step()
            seen.append(pruner.get_masks()["conv2"]["weight"].flatten(1).any(1))

    traced = nni.trace(torch.optim.SGD)(model.parameters(), lr=0.1)
    pruner = StressPruner(
        model,
        config(),
        TorchEvaluator(training_func, traced, lambda batch, model: None),
        40,
        stressor=setting,
        stress_peak=1.0,
        stress_onset=0.0,
        stress_ramp=0.0,
        temperature=0.3,
    )
    pruner.compress()
    sizes = [int(clusters.sum()) for clusters in seen[:-1]]
    assert len(set(sizes)) > 5 and fewest <= min(sizes) and max(sizes) <= most
    if (
        setting == "nested_silence"
    ):  # what is silent in a larger network is silent in the smaller, and in the offspring
        for before, after in itertools.pairwise(seen):
            assert not (before & ~after).any() or not (after & ~before).any()
        assert int(seen[-1].sum()) == 25


def test_weakening_makes_weak_weights_decay_and_spares_the_strongest():
    model = network()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}

    def training_func(
        wrapped, optimizers, training_step, lr_schedulers=None, max_steps=None, max_epochs=None
    ):
        for _ in range(max_steps):
            optimizers.step()

    traced = nni.trace(torch.optim.SGD)(model.parameters(), lr=0.1)
    pruner = StressPruner(
        model,
        config(),
        TorchEvaluator(training_func, traced, lambda batch, model: None),
        20,
        stressor="weaken",
        stress_peak=1.0,
        stress_ramp=0.0,
        temperature=0.02,
    )
    pruner.compress()
    pruner.unwrap_model()
    ratio = (model.conv2.weight.detach() / before["conv2.weight"]).flatten(1)
    strength = before["conv2.weight"].abs().flatten(1).sum(1)
    assert float(ratio[strength.argmax()].min()) == pytest.approx(1, abs=1e-5)
    assert float(ratio[strength.argmin()].max()) < 0.02
    assert torch.allclose(model.conv2.bias / before["conv2.bias"], ratio[:, 0], rtol=1e-3)
    assert torch.equal(model.fc2.weight, before["fc2.weight"])


def test_layers_may_be_stressed_differently():
    model = network()
    seen = {}
    pruner = None

    def training_func(
        wrapped, optimizers, training_step, lr_schedulers=None, max_steps=None, max_epochs=None
    ):
        for _ in range(max_steps):
            optimizers.step()
            seen.update(
                {name: targets["weight"].clone() for name, targets in pruner.get_masks().items()}
            )
            if pruner._ancestor.phase.step == 5:
                return

    traced = nni.trace(torch.optim.SGD)(model.parameters(), lr=0.1)
    pruner = StressPruner(
        model,
        config(),
        TorchEvaluator(training_func, traced, lambda batch, model: None),
        10,
        stressor="attenuate",
        stress_peak=0.5,
        stress_onset=0.0,
        stress_ramp=0.0,
        stress_overrides={"conv.*": {"stress_peak": 0.0}, "conv2": {"stress_peak": 1.0}},
    )
    pruner.compress()
    assert (
        (seen["conv1"] == 1).all()
        and float(seen["conv2"].min()) < 0.6
        and 0.4 < float(seen["fc1"].min()) < 0.8
    )


def test_times_may_be_steps_or_epochs():
    def peak_reached_at(**arguments):
        model = network()
        levels = []
        pruner = None

        def training_func(
            wrapped, optimizers, training_step, lr_schedulers=None, max_steps=None, max_epochs=None
        ):
            for _ in range(max_steps):
                optimizers.step()
                levels.append(round(float(pruner.get_masks()["conv1"]["weight"].min()), 6))

        traced = nni.trace(torch.optim.SGD)(model.parameters(), lr=0.1)
        pruner = StressPruner(
            model,
            config(),
            TorchEvaluator(training_func, traced, lambda b, m: None),
            40,
            stressor="attenuate",
            **arguments,
        )
        pruner.compress()
        stressed = levels[:-1]
        return levels.index(next(level for level in stressed if level < 1)) + 1, stressed.index(
            min(stressed)
        ) + 1

    assert peak_reached_at(stress_onset=0.25, stress_ramp=0.25) == (11, 20)
    assert peak_reached_at(stress_onset=10, stress_ramp=10, stress_unit="steps") == (11, 20)
    assert peak_reached_at(
        stress_onset=2, stress_ramp=2, stress_unit="epochs", steps_per_epoch=5
    ) == (11, 20)


def test_the_stand_in_of_a_wrapped_parameter_is_a_copy_as_with_nni():
    """It shares the memory of the parameter until either is changed."""

    def averaged(kind):
        model = network()
        pruner = kind(model, config())
        average = torch.optim.swa_utils.AveragedModel(model, use_buffers=True)
        with torch.no_grad():
            for _step in range(3):
                model.conv1._nni_wrapper.weight.add_(1)
                model.fc1.bias.mul_(2)
                average.update_parameters(model)
        pruner.unwrap_model()
        return {
            **{f"average {name}": value for name, value in average.state_dict().items()},
            **model.state_dict(),
        }

    found = averaged(StressPruner)
    expected = averaged(L1NormPruner)
    assert found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in found
    )


@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.9])
def test_synapses_alone_and_within_clusters_meet_their_exact_share(ratio):
    model = network()
    _, masks = StressPruner(
        model, config(ratio=0.5), encoding="synapse", temperature=0.2
    ).compress()
    for targets in masks.values():
        assert int((targets["weight"] == 0).sum()) == int(targets["weight"].numel() * 0.5)
    model = network()
    _, masks = StressPruner(
        model, config(ratio=0.5), synapse_sparsity=ratio, temperature=0.2
    ).compress()
    for targets in masks.values():
        weight = targets["weight"]
        alive = targets["bias"].bool()
        assert int(alive.sum()) == len(alive) - int(len(alive) * 0.5)
        assert not weight[~alive].any()
        assert int((weight[alive] == 0).sum()) == int(weight[alive].numel() * ratio)


def test_at_temperature_zero_l2_is_the_l2_norm_pruner_and_synapses_are_the_level_pruner():
    for arguments, reference in (
        ({"strength": "l2"}, L2NormPruner),
        ({"encoding": "synapse"}, LevelPruner),
    ):
        _, masks = StressPruner(network(), config(), temperature=0, **arguments).compress()
        _, expected = reference(network(), config()).compress()
        assert same_masks(masks, expected)


def test_bernoulli_survival_follows_the_probability():
    """Over many seeds, each cluster survives as often as it should, within four standard errors."""
    torch.manual_seed(0)
    founder = torch.nn.Sequential(torch.nn.Linear(30, 20), torch.nn.Linear(20, 2))
    strength = founder[0].weight.detach().abs().sum(1)
    expected = 0.7 * torch.exp((strength / strength.max() - 1) / 0.5)
    draws = torch.stack(
        [
            StressPruner(
                copy.deepcopy(founder),
                [{"op_names": ["0"], "sparse_ratio": 0.3}],
                sampling="bernoulli",
                temperature=0.5,
                seed=seed,
            ).compress()[1]["0"]["bias"]
            for seed in range(600)
        ]
    )
    assert torch.allclose(draws.mean(0), expected, atol=4 * 0.5 / 600**0.5)
