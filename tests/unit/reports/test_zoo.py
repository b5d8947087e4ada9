"""The zoo: structures that must come out right, what a measurement says, and its record."""

import json

import pytest
import torch
from torch import nn

from nni_stress.utils.atomic_files import read_json
from reports.zoo import __main__ as command
from reports.zoo.entries import Entry
from reports.zoo.last_layers import last_layers
from reports.zoo.measuring import measure
from reports.zoo.networks import NETWORKS, SOURCES
from reports.zoo.preparing import prepared, use_every_layer
from reports.zoo.running import ENTRIES, in_a_process, run
from reports.zoo.structures import STRUCTURES
from reports.zoo.tools import TOOLS, attention_heads


class Chosen(nn.Module):
    """A detector in small: it returns as many rows as have a high score."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        scores = self.head(torch.relu(self.body(x)))
        return scores[(scores[:, 0] > 100).nonzero().flatten()]


def small(make=None, **settings):
    def network():
        return nn.Sequential(
            nn.Linear(4, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Linear(8, 8),
            nn.ReLU(),
            nn.Linear(8, 2),
        )

    return Entry("small", make or network, lambda: torch.rand(3, 4), **settings)


@pytest.mark.parametrize("tool", ["budget", "ratio"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_a_structure_is_right(name, tool):
    found = measure(STRUCTURES[name], tool)
    assert found["ok"], found
    assert found["followed"] and found["other_batch"] is True
    assert found["difference"] <= 1e-4 < found["masked"]
    assert found["parameters"] < (0.67 if tool == "budget" else 1)


def test_there_are_as_many_networks_as_names():
    assert len(NETWORKS) == sum(map(len, SOURCES.values())) == 56
    assert len(STRUCTURES) == 12
    assert len(ENTRIES) == 68


@pytest.mark.parametrize("tool", ["budget", "ratio"])
def test_a_measurement_says_what_is_left(tool):
    found = measure(small(), tool)
    assert found["ok"] and found["followed"] and found["other_batch"]
    assert found["whole"] == {"parameters": 146, "macs": 112}
    # By ratios 4 of 8 neurons are left in both layers, a budget may divide otherwise.
    if tool == "ratio":
        assert found["macs"] == round((4 * 4 + 4 * 4 + 4 * 2) / 112, 4)
        assert found["parameters"] == round((20 + 8 + 20 + 10) / 146, 4)
    else:
        assert found["macs"] <= 0.5
    assert found["difference"] < 1e-5 < found["masked"]
    assert found["seconds"] >= 0 and found["megabytes"] >= 0


def test_where_values_choose_the_output_the_last_layers_are_compared():
    network, inputs = prepared(small(Chosen))
    with torch.no_grad():
        assert network(inputs).numel() == 0  # these outputs would agree whatever is cut
    found = measure(small(Chosen, outputs=("head",)), "budget")
    assert found["ok"] and found["masked"] > 1e-4 and found["difference"] < 1e-5


class Fails(nn.Module):
    def forward(self, x):
        raise RuntimeError("two\nlines")


class RunsOnThree(nn.Module):
    """Does not run with other numbers of examples."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x):
        return self.layers(x) + torch.zeros(3, 1)


@pytest.mark.parametrize("tool", ["budget", "ratio"])
def test_a_failure_is_one_line(tool):
    found = measure(small(Fails), tool)
    assert not found["ok"] and "RuntimeError: two lines" in found["error"]
    assert "\n" not in found["error"]


def test_an_error_of_a_tool_says_that_the_network_was_followed():
    found = measure(small(lambda: nn.Sequential(nn.Linear(4, 2))), "budget")
    assert not found["ok"] and found["followed"] and "nothing" in found["error"]


def test_a_package_that_is_missing_is_reported():
    found = measure(small(package="no_such_package"), "budget")
    assert found == {"ok": False, "error": "the package no_such_package is not installed"}


def test_another_batch_does_not_count_where_the_whole_network_has_none():
    found = measure(small(RunsOnThree, outputs=("layers.2",)), "budget")
    assert found["ok"] and found["other_batch"] is None


def test_nothing_of_a_prepared_network_is_without_effect():
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3))
    nn.init.zeros_(network[1].weight)
    use_every_layer(network)
    for tensor in (*network.parameters(), network[0].running_mean):
        assert tensor.all()
    assert (network[0].running_var != 1).all()


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.inner, self.last = (nn.Linear(4, 4) for _ in range(3))

    def forward(self, x):
        x = self.first(x)
        return {"sum": x + self.last(torch.relu(self.inner(x))).softmax(-1)}


def test_all_layers_that_an_output_is_summed_of_are_last():
    assert last_layers(Residual(), torch.rand(2, 4)) == ["first", "last"]
    assert last_layers(STRUCTURES["U-Net"].make(), STRUCTURES["U-Net"].inputs()) == ["head"]


def test_torch_pruning_is_told_of_heads():
    network = NETWORKS["vit_b_16"].make()
    assert set(attention_heads(network, None).values()) == {12}


def measured(calls, ok=True):
    def measure_one(name, tool):
        calls.append((name, tool))
        return {"ok": ok}

    return measure_one


def test_a_run_goes_on_where_it_was_interrupted(tmp_path):
    path, jobs = tmp_path / "zoo.json", [("a", "budget"), ("b", "budget"), ("a", "ratio")]
    calls = []
    interrupted = iter(run(path, jobs, {"commit": "1"}, measured(calls)))
    next(interrupted)
    next(interrupted)
    interrupted.close()
    assert [job for *job, _ in run(path, jobs, {"commit": "1"}, measured(calls))] == [
        ["a", "ratio"]
    ]
    assert calls == jobs
    list(run(path, jobs, {"commit": "1"}, measured(calls), again=True))
    assert calls == jobs * 2


def test_what_another_commit_measured_is_measured_anew(tmp_path):
    path, calls = tmp_path / "zoo.json", []
    list(run(path, [("a", "budget"), ("b", "budget")], {"commit": "1"}, measured(calls)))
    list(run(path, [("a", "budget")], {"commit": "2"}, measured(calls, ok=False)))
    record = read_json(path)
    commits = {
        name: record["environments"][tools["budget"]["environment"]]["commit"]
        for name, tools in record["networks"].items()
    }
    assert commits == {"a": "2", "b": "1"}
    list(run(path, [("b", "budget")], {"commit": "2"}, measured(calls)))
    assert [one["commit"] for one in read_json(path)["environments"].values()] == ["2"]


@pytest.mark.slow
def test_a_measurement_that_takes_too_long_is_ended():
    found = in_a_process("mlp_bn", "budget", 0.01)
    assert found == {"ok": False, "error": "not done after 0.01 s"}


@pytest.mark.slow
def test_the_command_writes_the_record(tmp_path, capsys):
    path = tmp_path / "zoo.json"
    command.main(["--only", "mlp_bn", "--tools", "budget", "--record", str(path)])
    assert capsys.readouterr().out.startswith("mlp_bn, budget: MACs 0.500")
    record = json.loads(path.read_text())
    found = record["networks"]["mlp_bn"]["budget"]
    environment = record["environments"][found["environment"]]
    assert found["ok"] and {"commit", "processor", "threads", "seed", "torch"} <= set(environment)


def test_a_network_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["--only", "resnet81"])
    assert "no network 'resnet81'" in capsys.readouterr().err


def test_every_tool_has_a_name_in_the_command():
    assert list(TOOLS) == ["budget", "ratio", "torch-pruning"]
