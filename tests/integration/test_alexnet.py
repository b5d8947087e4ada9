"""AlexNet: its cost, training of its founder, and an evolution through nnictl."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from nni_stress.experiment.config_file import read as read_config
from nni_stress.graph import cost, serialization
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.lineage.trial_spec import TrialSpec
from nni_stress.trial.founding import make_founder
from nni_stress.trial.offspring import make_offspring
from tests.helpers.folders import write_idx
from trials.alexnet import make_task
from trials.founders import train_founder
from trials.models import alexnet

ROOT = Path(__file__).parents[2]


def test_alexnet_has_the_published_cost():
    network = alexnet(10)
    assert cost.synapses(network) == 57_044_810
    assert round(cost.macs(network, torch.zeros(1, 3, 224, 224)) / 1e9, 2) == 0.71
    by_hand = (
        64 * 3 * 121 * 15**2
        + 192 * 64 * 25 * 7**2
        + (384 * 192 + 256 * 384 + 256 * 256) * 9 * 3**2
        + 256 * 36 * 4096
        + 4096 * 4096
        + 4096 * 10
    )
    assert cost.macs(network, torch.zeros(2, 3, 64, 64)) == by_hand
    assert cost.synapses(alexnet(1000)) == 61_100_840


def trial(uid, **arguments):
    ancestor = None if uid == FOUNDER else FOUNDER
    return TrialSpec(uid, int(uid[1:4]), ancestor, None, seed=0, arguments=arguments)


@pytest.mark.slow
def test_a_founder_trained_beforehand_has_small_offspring(tmp_path):
    """The full network on 88 images: founder, stress, candidates, synthesis, recovery."""
    write_idx(tmp_path / "data", True, images=96)
    task = make_task("fashion-mnist", str(tmp_path / "data"), 64, 11, 1)
    assert task.example_input.shape == (8, 3, 64, 64) and len(task.loader(torch.Generator())) == 8
    file, lineage = tmp_path / "founder", Lineage(tmp_path / "lineage")
    trained = train_founder(task, file, quiet=True)
    founder = make_founder(task, trial(FOUNDER), lineage, file)
    assert founder.synapses == 57_044_810
    assert founder.validation == task.fidelity(trained, "validation")
    record = make_offspring(
        task,
        trial(
            "g001-00",
            environmental_factor=0.025,
            stress_epochs=0.25,
            recovery_epochs=0.25,
            candidates=3,
            learning_rate=1e-4,
        ),
        lineage,
    )
    assert 38 < record.efficiency < 42 and record.macs < founder.macs
    offspring = serialization.load(lineage.network_path("g001-00"), task.network)
    assert offspring(torch.zeros(2, 3, 224, 224)).shape == (2, 10)


def run(*arguments, folder=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "trials.alexnet", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_errors_in_the_founders_training_are_one_line(tmp_path):
    done = run(
        "--train-founder",
        "--founder",
        tmp_path / "founder",
        "--data",
        "cifar10",
        "--data-dir",
        tmp_path,
    )
    assert done.returncode == 1
    assert (
        done.stderr
        == f"error: no cifar10 data in {tmp_path}: not found, or a file of another MD5 sum\n"
    )


def test_the_experiment_file_is_valid():
    config = read_config(ROOT / "trials" / "alexnet.yml")
    assert config["trialCodeDirectory"] == config["tuner"]["codeDirectory"] == str(ROOT)
    assert "environmental_factor" in config["searchSpace"]


@pytest.mark.slow
def test_an_evolution_of_alexnet_through_nnictl(tmp_path, port):
    write_idx(tmp_path / "data", True, images=96)
    config = yaml.safe_load((ROOT / "trials" / "alexnet.yml").read_text())
    founder_file = tmp_path / "founder"
    options = f"--data-dir {tmp_path / 'data'} --batch-size 11 --founder-epochs 1"
    options += f" --founder {founder_file}"
    config.update(
        trialCommand=f"python3 -m trials.alexnet {options}",
        trialCodeDirectory=str(ROOT),
        searchSpaceFile="space.yml",
    )
    config["tuner"]["codeDirectory"] = str(ROOT)
    config["tuner"]["classArgs"].update(population_size=2, generations=1, tolerance=1.0)
    (tmp_path / "space.yml").write_text(
        yaml.safe_dump(
            {
                "environmental_factor": {"_type": "uniform", "_value": [0.05, 0.1]},
                "stress_epochs": {"_type": "choice", "_value": [0.25]},
                "recovery_epochs": {"_type": "choice", "_value": [0.25]},
                "learning_rate": {"_type": "choice", "_value": [0.0001]},
            }
        )
    )
    (tmp_path / "alexnet.yml").write_text(yaml.safe_dump(config))

    def evolve():
        command = [
            "--config",
            tmp_path / "alexnet.yml",
            "--runs",
            tmp_path / "runs",
            "--port",
            port,
        ]
        return subprocess.run(
            [sys.executable, "-m", "trials.demo", *map(str, command)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
        )

    without_founder = evolve()
    assert without_founder.returncode == 1
    assert f"no founder at {founder_file}: make it by `" in without_founder.stderr
    founder = run("--train-founder", *options.split())
    assert founder.returncode == 0 and "epoch 1 of 1: validation" in founder.stdout + founder.stderr
    content = founder_file.read_bytes()
    done = evolve()
    assert done.returncode == 0, done.stdout + done.stderr
    records = Lineage(Path(done.stdout.splitlines()[-1]) / "lineage").records()
    assert [record.uid for record in records] == ["g000-00", "g001-00", "g001-01"]
    assert all(record.efficiency > 9 for record in records[1:])
    assert founder_file.read_bytes() == content
