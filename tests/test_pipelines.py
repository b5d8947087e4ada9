"""StressPruner among NNI's other compressors, schedules and evaluators."""
import nni
import pytest
import torch
from nni.compression.pruning import AGPPruner, L1NormPruner, LinearPruner, TaylorPruner
from nni.compression.quantization import QATQuantizer
from nni.compression.utils.evaluator import TorchEvaluator
from torch.nn import functional

from nni_stress import StressPruner
from tests.test_pruner import config, evaluator, network


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
