"""StressPruner among NNI's other compressors, schedules, evaluators and settings."""

import copy
import itertools

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
from nni_stress.hparams import STRESSORS
from nni_stress.pruning import stressed_targets
from tests.helpers.pipelines import (
    alive,
    kept,
    loss_of,
    plain_evaluator,
    random_batch,
    training_on,
)
from tests.unit.nni_compat.test_patches import _lightning_evaluator, lightning  # noqa: F401, a fixture
from tests.unit.pruning.test_pruner import config, evaluator, network, same_masks


@pytest.mark.parametrize("schedule", [LinearPruner, AGPPruner])
@pytest.mark.parametrize("stressor", ["attenuate", "nested_silence"])
def test_under_nnis_schedules_the_goal_is_met_and_removed_stays_removed(schedule, stressor):
    model = network()
    seen = []
    inner = StressPruner(
        model, config(), evaluator(model), temperature=0.3, stressor=stressor, stress_peak=1.0
    )
    draw = inner._ancestor.draw_offspring
    inner._ancestor.draw_offspring = lambda: (draw(), seen.append(alive(inner.get_masks())))
    _, masks = schedule(inner, interval_steps=4, total_times=3).compress(
        max_steps=14, max_epochs=None
    )
    assert [kept(masks, name) for name in ("conv1", "conv2", "fc1")] == [10, 25, 250]
    assert len(seen) == 3 and int(seen[0]["fc1"].sum()) > int(seen[1]["fc1"].sum()) > 250
    for before, after in itertools.pairwise(seen):
        assert all(not (after[name] & ~before[name]).any() for name in before)


@pytest.mark.parametrize(
    "arguments",
    [
        {"optimizer": torch.optim.SGD, "momentum": 0.9},
        {"optimizer": torch.optim.Adam},
        {"optimizer": torch.optim.AdamW},
        {"optimizer": torch.optim.RMSprop},
    ],
)
def test_it_trains_under_any_optimizer(arguments):
    model = network()
    before = model.conv1.weight.detach().clone()
    pruner = StressPruner(model, config(), evaluator(model, **arguments), 6, stress_peak=1.0)
    _, masks = pruner.compress()
    pruner.unwrap_model()
    assert kept(masks, "conv2") == 25 and not torch.equal(model.conv1.weight, before)


def test_schedulers_and_gradient_accumulation_count_optimizer_steps():
    model = network()
    rates = []
    optimizer = nni.trace(torch.optim.SGD)(model.parameters(), lr=0.1)
    scheduler = nni.trace(torch.optim.lr_scheduler.ExponentialLR)(optimizer, 0.5)

    def training_func(
        wrapped, optimizers, training_step, lr_schedulers=None, max_steps=None, max_epochs=None
    ):
        for _step in range(max_steps):
            for _ in range(2):  # two batches for one step
                training_step(
                    (torch.rand(4, 1, 28, 28), torch.randint(10, (4,))), wrapped
                ).backward()
            optimizers.step()
            optimizers.zero_grad()
            rates.append(optimizers.param_groups[0]["lr"])
            lr_schedulers.step()

    torch_evaluator = TorchEvaluator(
        training_func,
        optimizer,
        lambda batch, net: functional.cross_entropy(net(batch[0]), batch[1]),
        scheduler,
    )
    pruner = StressPruner(model, config(), torch_evaluator, 4, strength="taylor", stress_peak=1.0)
    _, masks = pruner.compress()
    assert (
        rates == pytest.approx([0.1, 0.05, 0.025, 0.0125])
        and pruner._ancestor.phase.step == 4
        and kept(masks, "fc1") == 250
    )


def test_it_follows_another_pruner_and_another_follows_it():
    model = network()
    first = L1NormPruner(model, [{"op_names": ["conv1"], "sparse_ratio": 0.5}], evaluator(model))
    first.compress()
    second = StressPruner.from_compressor(
        first, [{"op_names": ["conv2"], "sparse_ratio": 0.4}], training_steps=4
    )
    _, masks = second.compress()
    assert kept(masks, "conv1") == 10 and kept(masks, "conv2") == 30
    third = TaylorPruner.from_compressor(
        second, [{"op_names": ["fc1"], "sparse_ratio": 0.2}], training_steps=3
    )
    _, final = third.compress(max_steps=6, max_epochs=None)
    assert kept(final, "conv1") == 10 and kept(final, "fc1") == 400
    assert torch.equal(final["conv2"]["weight"], masks["conv2"]["weight"])


def test_a_quantizer_continues_from_its_offspring():
    model = network()
    pruner = StressPruner(model, config(), evaluator(model), 4)
    _, masks = pruner.compress()
    quantizer = QATQuantizer.from_compressor(
        pruner,
        [{"op_names": ["conv1", "conv2"], "target_names": ["weight"], "quant_dtype": "int8"}],
        quant_start_step=1,
    )
    _, calibration = quantizer.compress(max_steps=4, max_epochs=None)
    assert set(calibration) >= {"conv1", "conv2"}
    assert torch.equal(pruner.get_masks()["conv2"]["weight"], masks["conv2"]["weight"])


def test_it_trains_under_two_optimizers():
    model = network()
    before = copy.deepcopy(model)
    layers = [model.conv1, model.conv2], [model.fc1, model.fc2]
    optimizers = [
        nni.trace(kind)([p for layer in part for p in layer.parameters()], lr=0.05)
        for kind, part in zip((torch.optim.SGD, torch.optim.Adam), layers)
    ]
    pruner = StressPruner(
        model,
        config(),
        TorchEvaluator(training_on(random_batch), optimizers, loss_of),
        4,
        stress_peak=1.0,
    )
    _, masks = pruner.compress()
    pruner.unwrap_model()
    assert (
        pruner._ancestor.phase.step == 4
        and kept(masks, "conv1") == 10
        and kept(masks, "fc1") == 250
    )
    assert not torch.equal(model.conv1.weight, before.conv1.weight) and not torch.equal(
        model.fc2.weight, before.fc2.weight
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("strength", ["magnitude", "taylor"])
def test_it_trains_with_lightning(lightning, tmp_path, strength):  # noqa: F811
    model, lightning_evaluator = _lightning_evaluator(lightning, tmp_path)
    pruner = StressPruner(
        model,
        [{"op_types": ["Conv2d"], "sparse_ratio": 0.5}],
        lightning_evaluator,
        training_steps=13,
        stress_peak=1.0,
        strength=strength,
    )
    _, masks = pruner.compress()
    assert model.steps == pruner._ancestor.phase.step == 13
    assert {name: kept(masks, name) for name in masks} == {"net.conv1": 3, "net.conv2": 8}


def test_it_follows_taylor_pruner_and_norm_pruner_follows_it():
    model = network()
    first = TaylorPruner(
        model, [{"op_names": ["conv1"], "sparse_ratio": 0.5}], evaluator(model), training_steps=3
    )
    _, by_taylor = first.compress()
    second = StressPruner.from_compressor(
        first, [{"op_names": ["conv2"], "sparse_ratio": 0.4}], training_steps=4, seed=3
    )
    _, by_stress = second.compress()
    third = L1NormPruner.from_compressor(second, [{"op_names": ["fc1"], "sparse_ratio": 0.2}])
    third.interval_steps = (
        2  # or it never draws masks where training is fused; so after NNI's own pruners, too
    )
    _, final = third.compress(max_steps=4, max_epochs=None)
    assert [kept(final, name) for name in ("conv1", "conv2", "fc1")] == [10, 30, 400]
    assert torch.equal(by_stress["conv1"]["weight"], by_taylor["conv1"]["weight"])
    assert torch.equal(final["conv2"]["weight"], by_stress["conv2"]["weight"])


def test_it_prunes_under_the_training_of_a_quantizer():
    model = network()
    quantizer = QATQuantizer(
        model,
        [{"op_names": ["conv1"], "target_names": ["weight"], "quant_dtype": "int8"}],
        evaluator(model),
        quant_start_step=1,
    )
    pruner = StressPruner.from_compressor(
        quantizer,
        [{"op_names": ["conv1", "conv2"], "sparse_ratio": 0.5}],
        training_steps=4,
        stress_peak=1.0,
    )
    _, masks = pruner.compress()
    assert kept(masks, "conv1") == 10 and kept(masks, "conv2") == 25
    assert set(quantizer.get_calibration_config()) == {"conv1"}


def test_distillation_works_under_stress():
    """With distillation of its output, conv2 is trained to other weights than without."""

    def offspring(distilling):
        torch.manual_seed(1)
        model = network()
        teacher = network(seed=7)
        pruner = compressor = StressPruner(
            model, config(), plain_evaluator(model, lr=0.1), training_steps=4, stress_peak=0.5
        )
        if distilling:
            compressor = DynamicLayerwiseDistiller.from_compressor(
                pruner,
                [{"op_names": ["conv2"], "lambda": 10.0, "apply_method": "mse"}],
                teacher,
                lambda batch, network: network(batch[0]),
            )
        compressor.compress(max_steps=6, max_epochs=None)
        masks = pruner.get_masks()
        compressor.unwrap_model()
        return [
            kept(masks, name) for name in ("conv1", "conv2", "fc1")
        ], model.conv2.weight.detach()

    (counts_alone, alone) = offspring(False)
    (counts_taught, taught) = offspring(True)
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
        assert {name: kept(drawn, name) for name in drawn} == {
            name: kept(expected, name) for name in expected
        }
        cold = masks(StressPruner, 3, stress_peak=0.0, temperature=0)
        plain = L1NormPruner(
            network(), [{"op_names": ["conv1", "conv2"], "sparse_ratio": 0.5}]
        ).compress()[1]
        assert same_masks(
            {name.removeprefix("module."): targets for name, targets in cold.items()}, plain
        )
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("stressor", STRESSORS)
def test_what_an_earlier_pruner_removed_is_silent_under_stress(stressor):
    model = network()
    felt = []
    pruner = None

    def draw():
        felt.append(pruner.get_masks()["conv2"]["weight"].clone())
        return random_batch()

    first = L1NormPruner(model, config(ratio=0.3))
    _, before = first.compress()
    first.unwrap_model()
    removed = before["conv2"]["weight"] == 0
    pruner = StressPruner(
        model,
        config(ratio=0.6),
        plain_evaluator(model, draw=draw),
        6,
        stressor=stressor,
        stress_peak=1.0,
        stress_onset=0.0,
        stress_ramp=0.2,
    )
    pruner.update_masks(before)
    pruner.compress()
    assert len(felt) == 6 and removed.any() and all((mask[removed] == 0).all() for mask in felt)


def test_an_offspring_feels_no_stress_while_the_next_pruner_trains_it():
    model = network()
    felt = []
    first = StressPruner(
        model,
        config(),
        plain_evaluator(
            model,
            draw=lambda: (
                felt.append(first.get_masks()["conv2"]["weight"].clone()),
                random_batch(),
            )[1],
        ),
        4,
        stress_peak=1.0,
        stress_onset=0.0,
    )
    _, masks = first.compress()
    del felt[:]
    last = TaylorPruner.from_compressor(
        first, [{"op_names": ["fc2"], "sparse_ratio": 0.1}], training_steps=4
    )
    last.compress(max_steps=4, max_epochs=None)
    assert len(felt) == 4 and all(torch.equal(mask, masks["conv2"]["weight"]) for mask in felt)


@pytest.mark.parametrize("stressor", STRESSORS)
def test_training_with_lent_masks_equals_training_with_copied_masks(stressor, monkeypatch):
    def trained():
        torch.manual_seed(0)
        model = network()
        pruner = StressPruner(
            model,
            config(),
            plain_evaluator(model, lr=0.1),
            8,
            stressor=stressor,
            stress_peak=0.8,
            stress_onset=0.1,
            stress_ramp=0.3,
            stress_plateau=0.3,
            temperature=0.3,
        )
        _, masks = pruner.compress()
        pruner.unwrap_model()
        return masks, model.state_dict()

    lent, weights = trained()
    monkeypatch.setattr(stressed_targets, "in_several_processes", lambda: True)  # they copy masks
    copied, expected = trained()
    assert same_masks(lent, copied) and all(
        torch.equal(weights[name], expected[name]) for name in expected
    )


def test_an_interrupted_training_leaves_no_stress_behind():
    model = network()
    left = [3]

    def draw():
        left[0] -= 1
        if not left[0]:
            raise FloatingPointError("the training loss became nan")
        return random_batch()

    pruner = StressPruner(
        model,
        config(),
        plain_evaluator(model, lr=0.0, draw=draw),
        4,
        stressor="attenuate",
        stress_peak=1.0,
        stress_onset=0.0,
        stress_ramp=0.0,
        temperature=0.3,
    )
    images = torch.rand(2, 1, 28, 28)
    before = model(images)
    with pytest.raises(FloatingPointError):
        pruner.compress()
    assert not torch.equal(model(images), before)
    left[0] = 100
    _, masks = pruner.compress()
    assert kept(masks, "conv2") == 25 and set(masks["conv2"]["weight"].unique().tolist()) == {0, 1}


@pytest.mark.parametrize("stressor", ["nested_silence", "attenuate"])
def test_a_model_unwrapped_under_stress_computes_with_its_own_weights(stressor):
    model = network().eval()
    images = torch.rand(4, 1, 28, 28)
    felt = []
    before = model(images)

    def draw():
        if len(felt) == 3:
            raise KeyboardInterrupt
        felt.append(model(images))
        return random_batch()

    pruner = StressPruner(
        model,
        config(),
        plain_evaluator(model, lr=0.0, draw=draw),
        9,
        stressor=stressor,
        stress_peak=1.0,
        stress_onset=0.0,
        stress_ramp=0.0,
        temperature=0.3,
    )
    with pytest.raises(KeyboardInterrupt):
        pruner.compress()
    pruner.unwrap_model()
    assert not torch.allclose(felt[-1], before) and torch.equal(model(images), before)
