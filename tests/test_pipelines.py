"""StressPruner among NNI's other compressors, schedules, evaluators and settings."""
import copy

import nni
import pytest
import torch
from nni.compression.distillation import DynamicLayerwiseDistiller
from nni.compression.pruning import AGPPruner, L1NormPruner, LinearPruner, TaylorPruner
from nni.compression.quantization import QATQuantizer
from nni.compression.utils.evaluator import TorchEvaluator
from torch import nn
from torch.nn import functional

from nni_stress import StressPruner
from tests.test_pruner import config, evaluator, network, same_masks
from tests.test_repairs import _lightning_evaluator, lightning  # noqa: F401, a fixture

STRESSORS = ["attenuate", "silence", "nested_silence", "weaken"]


def kept(masks, name):
    return int(masks[name]["weight"].flatten(1).any(1).sum())


def alive(masks):
    return {name: targets["weight"].flatten(1).any(1) for name, targets in masks.items() if targets.get("weight") is not None}


@pytest.mark.parametrize("schedule", [LinearPruner, AGPPruner])
@pytest.mark.parametrize("stressor", ["attenuate", "nested_silence"])
def test_under_nnis_schedules_the_goal_is_met_and_removed_stays_removed(schedule, stressor):
    model, seen = network(), []
    inner = StressPruner(model, config(), evaluator(model), temperature=0.3, stressor=stressor, stress_peak=1.0)
    synthesize = inner._synthesize
    inner._synthesize = lambda: (synthesize(), seen.append(alive(inner.get_masks())))
    _, masks = schedule(inner, interval_steps=4, total_times=3).compress(max_steps=14, max_epochs=None)
    assert [kept(masks, name) for name in ("conv1", "conv2", "fc1")] == [10, 25, 250]
    assert len(seen) == 3 and int(seen[0]["fc1"].sum()) > int(seen[1]["fc1"].sum()) > 250
    for before, after in zip(seen, seen[1:]):
        assert all(not (after[name] & ~before[name]).any() for name in before)


@pytest.mark.parametrize("arguments", [dict(optimizer=torch.optim.SGD, momentum=0.9), dict(optimizer=torch.optim.Adam),
                                       dict(optimizer=torch.optim.AdamW), dict(optimizer=torch.optim.RMSprop)])
def test_it_trains_under_any_optimizer(arguments):
    model = network()
    before = model.conv1.weight.detach().clone()
    pruner = StressPruner(model, config(), evaluator(model, **arguments), 6, stress_peak=1.0)
    _, masks = pruner.compress()
    pruner.unwrap_model()
    assert kept(masks, "conv2") == 25 and not torch.equal(model.conv1.weight, before)


def test_schedulers_and_gradient_accumulation_count_optimizer_steps():
    model, rates = network(), []
    optimizer = nni.trace(torch.optim.SGD)(model.parameters(), lr=0.1)
    scheduler = nni.trace(torch.optim.lr_scheduler.ExponentialLR)(optimizer, 0.5)

    def training_func(wrapped, optimizers, training_step, lr_schedulers=None, max_steps=None, max_epochs=None):
        for step in range(max_steps):
            for _ in range(2):  # two batches for one step
                training_step((torch.rand(4, 1, 28, 28), torch.randint(10, (4,))), wrapped).backward()
            optimizers.step()
            optimizers.zero_grad()
            rates.append(optimizers.param_groups[0]["lr"])
            lr_schedulers.step()

    torch_evaluator = TorchEvaluator(training_func, optimizer,
                                     lambda batch, net: functional.cross_entropy(net(batch[0]), batch[1]), scheduler)
    pruner = StressPruner(model, config(), torch_evaluator, 4, strength="taylor", stress_peak=1.0)
    _, masks = pruner.compress()
    assert rates == pytest.approx([0.1, 0.05, 0.025, 0.0125]) and pruner._phase.step == 4 and kept(masks, "fc1") == 250


def test_it_follows_another_pruner_and_another_follows_it():
    model = network()
    first = L1NormPruner(model, [{"op_names": ["conv1"], "sparse_ratio": 0.5}], evaluator(model))
    first.compress()
    second = StressPruner.from_compressor(first, [{"op_names": ["conv2"], "sparse_ratio": 0.4}], training_steps=4)
    _, masks = second.compress()
    assert kept(masks, "conv1") == 10 and kept(masks, "conv2") == 30
    third = TaylorPruner.from_compressor(second, [{"op_names": ["fc1"], "sparse_ratio": 0.2}], training_steps=3)
    _, final = third.compress(max_steps=6, max_epochs=None)
    assert kept(final, "conv1") == 10 and kept(final, "fc1") == 400
    assert torch.equal(final["conv2"]["weight"], masks["conv2"]["weight"])


def test_quantization_goes_on_from_its_offspring():
    model = network()
    pruner = StressPruner(model, config(), evaluator(model), 4)
    _, masks = pruner.compress()
    quantizer = QATQuantizer.from_compressor(pruner, [{"op_names": ["conv1", "conv2"], "target_names": ["weight"],
                                                       "quant_dtype": "int8"}], quant_start_step=1)
    _, calibration = quantizer.compress(max_steps=4, max_epochs=None)
    assert set(calibration) >= {"conv1", "conv2"}
    assert torch.equal(pruner.get_masks()["conv2"]["weight"], masks["conv2"]["weight"])


def test_frozen_layers_keep_their_weights_and_stay_frozen():
    model = network()
    model.conv1.requires_grad_(False)
    before = model.conv1.weight.clone()
    optimizer = nni.trace(torch.optim.SGD)([p for p in model.parameters() if p.requires_grad], lr=0.1)

    def training_func(wrapped, optimizers, training_step, lr_schedulers=None, max_steps=None, max_epochs=None):
        for _ in range(max_steps):
            optimizers.zero_grad()
            training_step((torch.rand(4, 1, 28, 28), torch.randint(10, (4,))), wrapped).backward()
            optimizers.step()

    torch_evaluator = TorchEvaluator(training_func, optimizer,
                                     lambda batch, net: functional.cross_entropy(net(batch[0]), batch[1]))
    pruner = StressPruner(model, config(), torch_evaluator, 4, stress_peak=1.0, strength="taylor")
    _, masks = pruner.compress()
    pruner.unwrap_model()
    assert kept(masks, "conv1") == 10 and torch.equal(model.conv1.weight, before) and not model.conv1.weight.requires_grad


def random_batch():
    return torch.rand(4, 1, 28, 28), torch.randint(10, (4,))


def loss_of(batch, model):
    device = next(model.parameters()).device
    return functional.cross_entropy(model(batch[0].to(device)), batch[1].to(device))


def training_on(draw):
    """A training function for one optimizer or several."""
    def training(wrapped, optimizers, training_step, lr_schedulers=None, max_steps=None, max_epochs=None):
        several = optimizers if isinstance(optimizers, list) else [optimizers]
        for _ in range(max_steps):
            for optimizer in several:
                optimizer.zero_grad()
            training_step(draw(), wrapped).backward()
            for optimizer in several:
                optimizer.step()
    return training


def plain_evaluator(model, lr=0.01, draw=random_batch):
    return TorchEvaluator(training_on(draw), nni.trace(torch.optim.SGD)(model.parameters(), lr=lr), loss_of)


def test_it_trains_under_two_optimizers():
    model = network()
    before = copy.deepcopy(model)
    layers = [model.conv1, model.conv2], [model.fc1, model.fc2]
    optimizers = [nni.trace(kind)([p for layer in part for p in layer.parameters()], lr=0.05)
                  for kind, part in zip((torch.optim.SGD, torch.optim.Adam), layers)]
    pruner = StressPruner(model, config(), TorchEvaluator(training_on(random_batch), optimizers, loss_of), 4, stress_peak=1.0)
    _, masks = pruner.compress()
    pruner.unwrap_model()
    assert pruner._phase.step == 4 and kept(masks, "conv1") == 10 and kept(masks, "fc1") == 250
    assert not torch.equal(model.conv1.weight, before.conv1.weight) and not torch.equal(model.fc2.weight, before.fc2.weight)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("strength", ["magnitude", "taylor"])
def test_it_trains_with_lightning(lightning, tmp_path, strength):  # noqa: F811
    model, lightning_evaluator = _lightning_evaluator(lightning, tmp_path)
    pruner = StressPruner(model, [{"op_types": ["Conv2d"], "sparse_ratio": 0.5}], lightning_evaluator, training_steps=13,
                          stress_peak=1.0, strength=strength)
    _, masks = pruner.compress()
    assert model.steps == pruner._phase.step == 13
    assert {name: kept(masks, name) for name in masks} == {"net.conv1": 3, "net.conv2": 8}


def test_norm_pruner_follows_it_and_it_follows_taylor_pruner():
    model = network()
    first = TaylorPruner(model, [{"op_names": ["conv1"], "sparse_ratio": 0.5}], evaluator(model), training_steps=3)
    _, by_taylor = first.compress()
    second = StressPruner.from_compressor(first, [{"op_names": ["conv2"], "sparse_ratio": 0.4}], training_steps=4, seed=3)
    _, by_stress = second.compress()
    third = L1NormPruner.from_compressor(second, [{"op_names": ["fc1"], "sparse_ratio": 0.2}])
    third.interval_steps = 2  # or it never draws masks where training is fused; so after NNI's own pruners, too
    _, final = third.compress(max_steps=4, max_epochs=None)
    assert [kept(final, name) for name in ("conv1", "conv2", "fc1")] == [10, 30, 400]
    assert torch.equal(by_stress["conv1"]["weight"], by_taylor["conv1"]["weight"])
    assert torch.equal(final["conv2"]["weight"], by_stress["conv2"]["weight"])


def test_it_prunes_what_a_quantizer_trains():
    model = network()
    quantizer = QATQuantizer(model, [{"op_names": ["conv1"], "target_names": ["weight"], "quant_dtype": "int8"}],
                             evaluator(model), quant_start_step=1)
    pruner = StressPruner.from_compressor(quantizer, [{"op_names": ["conv1", "conv2"], "sparse_ratio": 0.5}],
                                          training_steps=4, stress_peak=1.0)
    _, masks = pruner.compress()
    assert kept(masks, "conv1") == 10 and kept(masks, "conv2") == 25
    assert set(quantizer.get_calibration_config()) == {"conv1"}


def test_a_teacher_is_listened_to_under_stress():
    """Distilling conv2's output moves conv2 elsewhere than the loss alone does."""
    def offspring(listening):
        torch.manual_seed(1)
        model, teacher = network(), network(seed=7)
        pruner = compressor = StressPruner(model, config(), plain_evaluator(model, lr=0.1), training_steps=4, stress_peak=0.5)
        if listening:
            compressor = DynamicLayerwiseDistiller.from_compressor(
                pruner, [{"op_names": ["conv2"], "lambda": 10.0, "apply_method": "mse"}], teacher,
                lambda batch, network: network(batch[0]))
        compressor.compress(max_steps=6, max_epochs=None)
        masks = pruner.get_masks()
        compressor.unwrap_model()
        return [kept(masks, name) for name in ("conv1", "conv2", "fc1")], model.conv2.weight.detach()

    (counts_alone, alone), (counts_taught, taught) = offspring(False), offspring(True)
    assert counts_alone == counts_taught == [10, 25, 250]
    assert not torch.allclose(alone, taught, atol=1e-4)


def test_a_distributed_model_is_pruned_as_nni_prunes_it(port):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=0, world_size=1)
    try:
        def masks(pruner_class, *arguments, **more):
            model = nn.parallel.DistributedDataParallel(network())
            names = [{"op_names": ["module.conv1", "module.conv2"], "sparse_ratio": 0.5}]
            at_rest = plain_evaluator(model, lr=0.0)  # so that all see the same weights
            return pruner_class(model, names, at_rest, *arguments, **more).compress()[1]

        expected = masks(TaylorPruner, 3)
        drawn = masks(StressPruner, 3, strength="taylor", stress_peak=1.0, temperature=0.3)
        assert {name: kept(drawn, name) for name in drawn} == {name: kept(expected, name) for name in expected}
        cold = masks(StressPruner, 3, stress_peak=0.0, temperature=0)
        plain = L1NormPruner(network(), [{"op_names": ["conv1", "conv2"], "sparse_ratio": 0.5}]).compress()[1]
        assert same_masks({name.removeprefix("module."): targets for name, targets in cold.items()}, plain)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("mode", [True, False])
def test_modules_keep_their_mode(mode):
    model = network().train(mode)
    model.conv2.train(not mode)
    modes = {name: module.training for name, module in model.named_modules()}
    pruner = StressPruner(model, config(), evaluator(model), 3, stress_peak=1.0)
    pruner.compress()
    pruner.unwrap_model()
    assert {name: module.training for name, module in model.named_modules()} == modes


class Reused(nn.Module):
    """One layer in two places, under two names."""

    def __init__(self):
        super().__init__()
        self.first, self.inner, self.head = nn.Linear(784, 16), nn.Linear(16, 16), nn.Linear(16, 10)
        self.again = self.inner

    def forward(self, images):
        states = torch.relu(self.inner(torch.relu(self.first(images.flatten(1)))))
        return self.head(torch.relu(self.again(states)))


def test_a_module_used_twice_has_one_mask_as_with_nni():
    torch.manual_seed(0)
    model, config_list = Reused(), [{"op_names": ["first", "inner"], "sparse_ratio": 0.5}]
    expected = L1NormPruner(copy.deepcopy(model), config_list).compress()[1]
    assert same_masks(StressPruner(copy.deepcopy(model), config_list, temperature=0).compress()[1], expected)
    pruner = StressPruner(model, config_list, plain_evaluator(model), 4, stress_peak=1.0, temperature=0.3)
    _, masks = pruner.compress()
    pruner.unwrap_model()
    assert model.again is model.inner and {name: kept(masks, name) for name in masks} == {"first": 8, "inner": 8}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("stressor", STRESSORS)
def test_it_trains_on_a_gpu(stressor):
    model = network().cuda()
    pruner = StressPruner(model, config(), plain_evaluator(model), 4, stress_peak=1.0, stressor=stressor, strength="taylor",
                          temperature=0.3)
    _, masks = pruner.compress()
    assert kept(masks, "conv2") == 25 and masks["conv2"]["weight"].is_cuda


class Settings(nn.Module):
    """Layers for every setting: plain, of equal size, grouped, dense."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3), nn.Conv2d(16, 16, 3, groups=4)
        self.norm, self.dense, self.head = nn.BatchNorm2d(16), nn.Linear(16, 24), nn.Linear(24, 4)

    def forward(self, images):
        features = self.norm(torch.relu(self.three(torch.relu(self.two(torch.relu(self.one(images)))))))
        return self.head(torch.relu(self.dense(features.mean((2, 3)))))


def settings_network():
    torch.manual_seed(2)
    return Settings()


def aligned_to(module):
    return {"align": {"module_name": module, "target_name": "weight", "dims": [0]}}


HALF, ONLY_WEIGHT = {"sparse_ratio": 0.5}, {"target_names": ["weight"]}
# NNI's settings, and whether they fix how many of each target are kept, whatever the strengths.
SETTINGS = {
    "op_types": ([{"op_types": ["Conv2d"], **HALF}], True),
    "op_names": ([{"op_names": ["one", "dense"], "sparse_ratio": 0.3}], True),
    "op_names_re": ([{"op_names_re": ["t.*"], "sparse_ratio": 0.3}], True),
    "exclude_op_names": ([{"op_types": ["Conv2d"], "exclude_op_names": ["two"], **HALF}], True),
    "exclude_op_names_re": ([{"op_types": ["Conv2d"], "exclude_op_names_re": ["t.*"], **HALF}], True),
    "exclude_op_types": ([{"op_names_re": ["o.*|d.*"], "exclude_op_types": ["Linear"], **HALF}], True),
    "a later config wins": ([{"op_types": ["Conv2d"], **HALF}, {"op_names": ["two"], "sparse_ratio": 0.75}], True),
    "target_settings": ([{"op_names": ["one", "two"], "target_settings": {"weight": {"sparse_ratio": 0.25}}}], True),
    "target_names": ([{"op_names": ["one"], **ONLY_WEIGHT, **HALF}], True),
    "sparse_threshold": ([{"op_names": ["one", "two"], "sparse_threshold": 2.4}], False),
    "threshold and least ratio": ([{"op_names": ["one"], "sparse_threshold": 1e-9, "min_sparse_ratio": 0.25}], True),
    "threshold and largest ratio": ([{"op_names": ["one"], "sparse_threshold": 1e9, "max_sparse_ratio": 0.75}], True),
    "least ratio": ([{"op_names": ["one"], "sparse_ratio": 0.1, "min_sparse_ratio": 0.4}], True),
    "largest ratio": ([{"op_names": ["one"], "sparse_ratio": 0.9, "max_sparse_ratio": 0.4}], True),
    "global_group_id": ([{"op_names": ["two", "three"], "sparse_ratio": 0.1, "global_group_id": 1}], False),
    "dependency_group_id": ([{"op_names": ["one", "two"], "dependency_group_id": 1, **HALF}], True),
    "internal_metric_block": ([{"op_names": ["two", "three"], "dependency_group_id": 1, "internal_metric_block": 4, **HALF}], True),
    "align a layer": ([{"op_names": ["one"], **HALF}, {"op_names": ["two"], "target_settings": {
        "weight": aligned_to("one"), "bias": aligned_to("one")}}], True),
    "align batch norm": ([{"op_names": ["three"], **HALF}, {"op_names": ["norm"], "target_settings": {
        "weight": aligned_to("three"), "bias": aligned_to("three")}}], True),
    "align outputs": ([{"op_names": ["one"], "target_names": ["weight", "bias", "_output_"], **HALF, "target_settings": {
        "_output_": {**aligned_to(None), "apply_method": "mul"}}}], True),
    "out_channel": ([{"op_names": ["two", "dense"], "granularity": "out_channel", **HALF}], True),
    "in_channel": ([{"op_names": ["two", "dense"], "granularity": "in_channel", **ONLY_WEIGHT, **HALF}], True),
    "per weight": ([{"op_names": ["dense"], "granularity": [1, 1], **ONLY_WEIGHT, **HALF}], True),
    "blocks": ([{"op_names": ["dense"], "granularity": [4, 2], **ONLY_WEIGHT, **HALF}], True),
    "kernels": ([{"op_names": ["two"], "granularity": [1, 1, -1, -1], **ONLY_WEIGHT, **HALF}], True),
}


def named(masks):
    return {(m, t): mask for m, targets in masks.items() for t, mask in targets.items() if mask is not None}


def counts(masks):
    return {name: int(mask.count_nonzero()) for name, mask in named(masks).items()}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_of_nni_means_what_it_means_to_the_norm_pruner(name):
    config_list, exact = SETTINGS[name]
    expected = L1NormPruner(settings_network(), config_list).compress()[1]
    assert any((mask == 0).any() for mask in named(expected).values())
    assert same_masks(StressPruner(settings_network(), config_list, temperature=0).compress()[1], expected)
    drawn = [StressPruner(settings_network(), config_list, temperature=0.5, seed=seed).compress()[1] for seed in (1, 2)]
    assert not same_masks(*drawn)
    for masks in drawn:
        assert set(named(masks)) == set(named(expected)) and (not exact or counts(masks) == counts(expected))


@pytest.mark.parametrize("stressor", STRESSORS)
@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_goes_with_training_under_every_stressor(name, stressor):
    config_list, exact = SETTINGS[name]
    expected = L1NormPruner(settings_network(), config_list).compress()[1]
    model = settings_network()
    images = plain_evaluator(model, draw=lambda: (torch.rand(2, 3, 12, 12), torch.randint(4, (2,))))
    _, masks = StressPruner(model, config_list, images, 5, temperature=0.3, stressor=stressor, stress_peak=1.0,
                            stress_onset=0.2, stress_ramp=0.2).compress()
    assert all(set(mask.unique().tolist()) <= {0, 1} for mask in named(masks).values())
    assert not exact or counts(masks) == counts(expected)


def survivors(config_list, seeds, **arguments):
    """{layer: which of its clusters survived, for each seed}"""
    drawn = [alive(StressPruner(settings_network(), config_list, seed=seed, **arguments).compress()[1]) for seed in range(seeds)]
    return {name: torch.stack([each[name] for each in drawn]) for name in drawn[0]}


@pytest.mark.parametrize("sampling, ratio", [("exact", 0.5), ("exact", 1.0), ("bernoulli", 0.5)])  # 1.0: one comes back
def test_layers_that_go_together_lose_the_same_clusters(sampling, ratio):
    together = [{"op_names": ["one", "two"], "dependency_group_id": 1, "sparse_ratio": ratio}]
    found = survivors(together, 10, temperature=0.5, sampling=sampling)
    assert torch.equal(found["one"], found["two"]) and found["one"].any(1).all()


class Alike(nn.Module):
    """Layers of the same strengths, rising from cluster to cluster."""

    def __init__(self, layers):
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(16, 16) for _ in range(layers)))
        for layer in self.layers:
            layer.weight.data = torch.linspace(0.2, 1, 16).view(-1, 1).repeat(1, 16)


def test_a_draw_is_as_random_for_many_layers_that_go_together_as_for_one():
    """Were every layer to draw alone, NNI's mean over the group would average the chance away."""
    def survival(layers):
        together = [{"op_types": ["Linear"], "sparse_ratio": 0.5, "dependency_group_id": 1}]
        return torch.stack([alive(StressPruner(Alike(layers), together, temperature=0.3, seed=seed).compress()[1])["layers.0"]
                            for seed in range(200)]).float().mean(0)

    assert torch.allclose(survival(8), survival(1), atol=0.15)  # 3 standard errors; where each draws alone, 0.25 apart


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("arguments", [dict(), dict(sampling="bernoulli"), dict(synapse_sparsity=0.5)])
def test_models_of_any_float_type_are_pruned(dtype, arguments):
    _, masks = StressPruner(network().to(dtype), config(), temperature=0.3, **arguments).compress()
    assert all(mask.any() and set(mask.unique().tolist()) <= {0, 1} for mask in named(masks).values())
    if "sampling" not in arguments:
        assert {name: kept(masks, name) for name in masks} == {"conv1": 10, "conv2": 25, "fc1": 250}


@pytest.mark.parametrize("stressor", STRESSORS)
def test_what_an_earlier_pruner_removed_is_silent_under_stress(stressor):
    model, felt, pruner = network(), [], None

    def draw():
        felt.append(pruner.get_masks()["conv2"]["weight"].clone())
        return random_batch()

    first = L1NormPruner(model, config(ratio=0.3))
    _, before = first.compress()
    first.unwrap_model()
    removed = before["conv2"]["weight"] == 0
    pruner = StressPruner(model, config(ratio=0.6), plain_evaluator(model, draw=draw), 6, stressor=stressor, stress_peak=1.0,
                          stress_onset=0.0, stress_ramp=0.2)
    pruner.update_masks(before)
    pruner.compress()
    assert len(felt) == 6 and removed.any() and all((mask[removed] == 0).all() for mask in felt)


def test_an_offspring_feels_no_stress_while_the_next_pruner_trains_it():
    model, felt = network(), []
    first = StressPruner(model, config(), plain_evaluator(model, draw=lambda: (
        felt.append(first.get_masks()["conv2"]["weight"].clone()), random_batch())[1]), 4, stress_peak=1.0, stress_onset=0.0)
    _, masks = first.compress()
    del felt[:]
    last = TaylorPruner.from_compressor(first, [{"op_names": ["fc2"], "sparse_ratio": 0.1}], training_steps=4)
    last.compress(max_steps=4, max_epochs=None)
    assert len(felt) == 4 and all(torch.equal(mask, masks["conv2"]["weight"]) for mask in felt)
