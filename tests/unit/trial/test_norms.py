"""Batch norms of a synthesized network take its own statistics, and nothing else changes."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from nni_stress import Task
from nni_stress.hparams import Arguments
from nni_stress.trial.norms import BATCHES, estimate_norms
from nni_stress.trial.offspring import stress_and_synthesize

INPUTS = 3 + 2 * torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


class TwoInputs(nn.Module):
    """Joins two inputs."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, left, right):
        return self.net(left + right)


class Frozen(TwoInputs):
    """Keeps its norm in evaluation mode, as fine-tuning often does."""

    def train(self, mode=True):
        super().train(mode)
        self.net[1].eval()
        return self


def task_of(make, batches=3, **changes):
    inputs = (INPUTS, INPUTS)
    task = Task(
        network=make,
        example_input=inputs,
        loader=lambda generator: [(inputs, torch.zeros(8, dtype=torch.long))] * batches,
        loss=nn.functional.cross_entropy,
        fidelity=lambda network, split: 0.0,
        founder_epochs=1,
        founder_learning_rate=0.1,
    )
    return dataclasses.replace(task, **changes)


@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_the_statistics_are_those_of_the_batches(autocast):
    network = TwoInputs().eval()
    weights = copy.deepcopy(dict(network.named_parameters()))
    estimate_norms(network, task_of(TwoInputs, autocast=autocast), seed=0)
    wanted = network.net[0](2 * INPUTS)
    norm = network.net[1]
    tolerance = 1e-5 if autocast is None else 0.05
    torch.testing.assert_close(norm.running_mean, wanted.mean(0), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(norm.running_var, wanted.var(0), rtol=tolerance, atol=tolerance)
    assert not network.training and norm.momentum == 0.1
    assert all(torch.equal(weights[name], one) for name, one in network.named_parameters())


def test_few_batches_are_used():
    network = TwoInputs()
    estimate_norms(network, task_of(TwoInputs, batches=1000), seed=0)
    assert network.net[1].num_batches_tracked == BATCHES


@pytest.mark.parametrize("make", [Frozen, lambda: nn.Bilinear(6, 6, 2)])
def test_a_network_without_norms_that_follow_statistics_stays(make):
    network = make()
    before = copy.deepcopy(network.state_dict())
    estimate_norms(network, task_of(make), seed=0)
    assert all(torch.equal(before[name], one) for name, one in network.state_dict().items())


def test_an_offspring_has_statistics_of_its_own():
    torch.manual_seed(0)
    task = task_of(TwoInputs)
    arguments = Arguments(environmental_factor=0.5, stress_epochs=2, learning_rate=0.1)
    small = stress_and_synthesize(task.network(), task, arguments, seed=0)
    first, norm = small.net[0], small.net[1]
    assert first.out_features < 8
    torch.testing.assert_close(norm.running_mean, first(2 * INPUTS).mean(0))
