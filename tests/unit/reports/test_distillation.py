"""Distillation: a taught task trains as the task does, and learns of its teacher."""

import copy

import pytest
import torch
import yaml

from nni_stress.trial.training import train
from nni_stress.trials import lenet5
from reports.claims import records_in
from reports.distillation import __main__ as study
from reports.distillation.teaching import taught

CONTEST = {
    "task": "trials.lenet5:make_task",
    "task_arguments": {"data": "digits", "founder_epochs": 1},
    "founders": [1],
    "seeds": [1],
    "axes": {"macs": {"budgets": [4], "methods": ["evolution"]}},
    "search_epochs": 0.5,
    "final_epochs": 1,
    "learning_rate": 0.004,
}


def trained(task, network):
    network = copy.deepcopy(network)
    train(network, task, epochs=0.5, learning_rate=2e-3, seed=1)
    return network


def apart(network, teacher, images):
    with torch.no_grad():
        return float((network(images).softmax(1) - teacher(images).softmax(1)).abs().mean())


def test_a_taught_task_learns_of_its_teacher():
    """With a weight of 0 it trains as the task does; with 1 it comes nearer to the teacher."""
    task = lenet5.make_task("digits", founder_epochs=1)
    torch.manual_seed(0)
    teacher, network = task.network(), task.network()
    plain = trained(task, network)
    same = trained(taught(task, teacher, weight=0.0, temperature=2.0), network)
    assert all(torch.equal(*pair) for pair in zip(plain.parameters(), same.parameters()))
    pupil = trained(taught(task, teacher, weight=1.0, temperature=2.0), network)
    images = next(iter(task.loader(torch.Generator().manual_seed(0))))[0]
    assert apart(pupil, teacher, images) < 0.5 * apart(plain, teacher, images)


def test_every_cell_is_trained_in_three_ways(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(study.PLANS, "small", ([("macs", 4)], (1,), 1))
    (tmp_path / "small.yml").write_text(yaml.safe_dump(CONTEST))
    command = [str(tmp_path / "small.yml"), "--folder", str(tmp_path), "--results", str(tmp_path)]
    study.main(command)
    (record,) = records_in(tmp_path / "small")
    assert (record["resource"], record["budget"], record["founder"]) == ("macs", 4, 1)
    for way in ("plain", "distilled", "longer"):
        assert 0 < record[way]["validation"] <= 1 and 0 < record[way]["test"] <= 1
    gain = 100 * (record["distilled"]["test"] - record["plain"]["test"])
    line, _ = capsys.readouterr().out.splitlines()[-2:]
    assert line.startswith("| 4x fewer MACs | 1 | distilled |")
    assert f" {gain:+.2f} |" in line


def test_a_file_without_a_plan_is_refused(tmp_path):
    (tmp_path / "own.yml").write_text(yaml.safe_dump(CONTEST))
    with pytest.raises(SystemExit, match="must be one of compare, compare-resnet20, but is own"):
        study.main([str(tmp_path / "own.yml")])
