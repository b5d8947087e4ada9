"""Models that are frozen, in any mode, of any float type, or share modules."""

import copy
from pathlib import Path

import nni
import pytest
import torch
from nni.compression.pruning import L1NormPruner
from nni.compression.utils.evaluator import TorchEvaluator
from torch import nn
from torch.nn import functional

from nni_stress import StressPruner
from nni_stress.trial.training import train
from tests.helpers.pipelines import kept, named, plain_evaluator
from tests.unit.pruning.test_pruner import config, evaluator, network, same_masks
from trials.lenet5 import make_task


def test_frozen_layers_keep_their_weights_and_stay_frozen():
    model = network()
    model.conv1.requires_grad_(False)
    before = model.conv1.weight.clone()
    optimizer = nni.trace(torch.optim.SGD)(
        [p for p in model.parameters() if p.requires_grad], lr=0.1
    )

    def training_func(
        wrapped, optimizers, training_step, lr_schedulers=None, max_steps=None, max_epochs=None
    ):
        for _ in range(max_steps):
            optimizers.zero_grad()
            training_step((torch.rand(4, 1, 28, 28), torch.randint(10, (4,))), wrapped).backward()
            optimizers.step()

    torch_evaluator = TorchEvaluator(
        training_func,
        optimizer,
        lambda batch, net: functional.cross_entropy(net(batch[0]), batch[1]),
    )
    pruner = StressPruner(model, config(), torch_evaluator, 4, stress_peak=1.0, strength="taylor")
    _, masks = pruner.compress()
    pruner.unwrap_model()
    assert (
        kept(masks, "conv1") == 10
        and torch.equal(model.conv1.weight, before)
        and not model.conv1.weight.requires_grad
    )


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
        self.first = nn.Linear(784, 16)
        self.inner = nn.Linear(16, 16)
        self.head = nn.Linear(16, 10)
        self.again = self.inner

    def forward(self, images):
        states = torch.relu(self.inner(torch.relu(self.first(images.flatten(1)))))
        return self.head(torch.relu(self.again(states)))


def test_a_module_used_twice_has_one_mask_as_with_nni():
    torch.manual_seed(0)
    model = Reused()
    config_list = [{"op_names": ["first", "inner"], "sparse_ratio": 0.5}]
    expected = L1NormPruner(copy.deepcopy(model), config_list).compress()[1]
    assert same_masks(
        StressPruner(copy.deepcopy(model), config_list, temperature=0).compress()[1], expected
    )
    pruner = StressPruner(
        model, config_list, plain_evaluator(model), 4, stress_peak=1.0, temperature=0.3
    )
    _, masks = pruner.compress()
    pruner.unwrap_model()
    assert model.again is model.inner and {name: kept(masks, name) for name in masks} == {
        "first": 8,
        "inner": 8,
    }


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("arguments", [{}, {"sampling": "bernoulli"}, {"synapse_sparsity": 0.5}])
def test_models_of_any_float_type_are_pruned(dtype, arguments):
    _, masks = StressPruner(network().to(dtype), config(), temperature=0.3, **arguments).compress()
    assert all(
        mask.any() and set(mask.unique().tolist()) <= {0, 1} for mask in named(masks).values()
    )
    if "sampling" not in arguments:
        assert {name: kept(masks, name) for name in masks} == {"conv1": 10, "conv2": 25, "fc1": 250}


@pytest.mark.parametrize("data", ["digits", "fashion-mnist"])
def test_at_temperature_zero_a_trained_network_loses_what_the_norm_pruner_removes(data):
    if data == "fashion-mnist" and not Path("/usr/share/datasets/fashion-mnist").is_dir():
        pytest.skip("dataset-fashion-mnist not installed")
    task = make_task(data, None, 64, 1)
    torch.manual_seed(0)
    trained = task.network()
    train(trained, task, 0.1, 2e-3, seed=0)
    masks = []
    accuracies = []
    for pruner_class, arguments in ((L1NormPruner, {}), (StressPruner, {"temperature": 0})):
        model = copy.deepcopy(trained)
        pruner = pruner_class(model, config(ratio=0.3), **arguments)
        masks.append(pruner.compress()[1])
        accuracies.append(task.fidelity(model, "test"))
    assert same_masks(*masks) and accuracies[0] == accuracies[1] > 0.15
