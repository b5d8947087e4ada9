"""What of a network can be removed, what stays and why: as an object, as text, and from a shell."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import nni_stress
from nni_stress import StressPruner
from nni_stress.__main__ import main
from nni_stress.graph import cost


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(8, 6, 1), nn.BatchNorm2d(6), nn.Conv2d(6, 8, 1))
        self.sums = nn.Conv2d(8, 5, 1)
        self.head = nn.Linear(5, 4)
        self.spare = nn.Linear(7, 7)

    def forward(self, images):
        images = self.first(images)
        images = images + self.block(images)
        images = self.sums(images).cumsum(1)
        return self.head(images.mean((2, 3)))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(6, 12)
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
        self.head = nn.Linear(12, 2)

    def forward(self, tokens):
        tokens = self.project(tokens)
        return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0])


IMAGES = torch.rand(2, 3, 6, 6)


def by_name(inspection):
    return {layer.name: layer for layer in inspection.layers}


def test_each_layer_says_what_it_loses_with_whom_and_why_it_stays():
    network = Residual()
    inspection = nni_stress.inspect(network, IMAGES)
    layers = by_name(inspection)
    assert list(layers) == ["first", "block.0", "block.2", "sums", "head", "spare"]
    assert [layers[name].prunable for name in layers] == [8, 6, 8, 0, 0, 0]
    assert [layers[name].clusters for name in layers] == [8, 6, 8, 5, 4, 7]
    assert layers["first"].goes_with == ("block.2",) and not layers["first"].reason
    assert "cumsum" in layers["sums"].reason and "test_inspection.py:" in layers["sums"].reason
    assert layers["head"].reason == "reaches the network's output"
    assert layers["spare"].macs == 0 and layers["spare"].reason
    assert inspection.parameters == cost.synapses(network)
    assert inspection.macs == cost.macs(network, IMAGES)
    assert sum(layer.macs for layer in inspection.layers) == inspection.macs


def test_heads_of_attention_are_clusters_of_it():
    layers = by_name(nni_stress.inspect(Attention(), torch.rand(2, 4, 6)))
    attention = layers["attention"]
    assert (attention.kind, attention.clusters, attention.prunable) == ("MultiheadAttention", 3, 3)


@pytest.mark.parametrize(
    ("config", "prunable", "reason"),
    [
        ({"op_names": ["block.0"]}, {"block.0": 6}, "the config list does not select it"),
        ({"op_types": ["Conv2d"]}, {"first": 8, "block.0": 6, "block.2": 8}, None),
        ({"op_names": ["first"]}, {}, "goes with block.2, which the config list does not select"),
    ],
)
def test_a_config_list_says_which_layers_may_lose_clusters(config, prunable, reason):
    layers = by_name(nni_stress.inspect(Residual(), IMAGES, [config]))
    assert {name: layer.prunable for name, layer in layers.items() if layer.prunable} == prunable
    if reason is not None:
        assert layers["first"].reason == reason


def test_the_least_that_can_stay_is_what_a_tiny_budget_leaves(caplog):
    network = Residual()
    inspection = nni_stress.inspect(network, IMAGES)
    pruner = StressPruner(
        network, [{"op_types": ["Conv2d"]}], budget={"macs": 0.01}, example_input=IMAGES
    )
    pruner.compress()
    small = pruner.synthesize(IMAGES)
    assert cost.synapses(small) == inspection.least_parameters
    assert cost.macs(small, IMAGES) == inspection.least_macs
    allowed = round(0.01 * inspection.macs)
    assert (
        f"the budget is missed: the least the layers can keep is {inspection.least_macs:,} MACs "
        f"where {allowed:,} are allowed, of which 972 MACs in first, 180 MACs in sums, "
        in caplog.text
    )


def test_it_leaves_the_network_alone():
    network = Residual().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    nni_stress.inspect(network, IMAGES)
    assert network.training
    after = network.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


TASK = """
import torch
from torch import nn
from nni_stress import Task


def make_task():
    return Task(
        network=lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)),
        example_input=torch.rand(2, 6),
        loader=lambda generator: [],
        loss=nn.functional.mse_loss,
        fidelity=lambda network, split: 0.5,
        founder_epochs=1,
        founder_learning_rate=0.01,
    )


def fails():
    task = make_task()
    object.__setattr__(task, "example_input", torch.rand(2, 5))
    return task
"""


def test_the_command_prints_the_table_of_a_task(tmp_path):
    (tmp_path / "trial.py").write_text(TASK)
    command = [sys.executable, "-m", "nni_stress", "inspect", "trial.py:make_task"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("layer  kind    clusters  prunable  parameters  MACs  goes with")
    assert lines[1].split() == ["0", "Linear", "8", "8", "56", "48"]
    assert "74 parameters, of which at least 11 (14.9%) stay" in lines


def test_the_command_fails_with_one_line(tmp_path, capsys):
    (tmp_path / "trial.py").write_text(TASK)
    with pytest.raises(SystemExit) as end:
        main(["inspect", f"{tmp_path / 'trial.py'}:fails"])
    line = str(end.value)
    assert line.startswith("error: ") and "cannot be followed" in line and "\n" not in line
    assert not capsys.readouterr().out
