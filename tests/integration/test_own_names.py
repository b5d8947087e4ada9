"""An experiment of nnictl whose search space names an importance and a stressor of the script's."""

import subprocess
import sys

import pytest
import yaml

from nni_stress.lineage.locate import find_lineage
from nni_stress.lineage.store import Lineage
from tests.helpers.nnictl import environment
from tests.helpers.running import config_of
from tests.integration.test_wrong_tasks import RIGHT

TRIAL = """
import nni_stress
import torch
from torch import nn

inputs, targets = torch.rand(8, 4), torch.rand(8, 2)

@nni_stress.register_importance("user::fisher", gradients=True)
def fisher(weights, gradients):
    return (weights * gradients).sum(1) ** 2

@nni_stress.register_stressor("user::flicker")
def flicker(situation):
    return 1 - situation.level * (1 - situation.survival())

def make_task():
    return nni_stress.Task(
        network=lambda: nn.Sequential({layers}),
        example_input=inputs[:2],
        loader=lambda generator: {loader},
        loss=nn.functional.mse_loss,
        fidelity=lambda network, split: {fidelity},
        founder_epochs=1,
        founder_learning_rate=0.01,
    )

if __name__ == "__main__":
    nni_stress.run_trial(make_task)
"""


def chosen(value):
    return {"_type": "choice", "_value": [value]}


def write(folder, stressor):
    tuner = {
        "className": "nni_stress.StressTuner",
        "classArgs": {"generations": 1, "population_size": 1, "seed": 1},
    }
    config_of(folder, tuner=tuner)
    (folder / "trial.py").write_text(TRIAL.format(**RIGHT))
    space = {"strength": chosen("user::fisher"), "stressor": chosen(stressor)}
    (folder / "space.yml").write_text(yaml.safe_dump(space))


@pytest.mark.slow
def test_trials_register_what_the_search_space_names(tmp_path, experiment):
    write(tmp_path, "user::flicker")
    running = experiment()
    running.until(lambda: running.status() == "DONE", seconds=120)
    _, offspring = Lineage(find_lineage(str(running.folder))).records()
    assert offspring.arguments["stressor"] == "user::flicker"
    assert offspring.efficiency > 1


@pytest.mark.slow
def test_a_misspelt_name_ends_the_experiment_before_anything_is_trained(tmp_path, experiment):
    write(tmp_path, "user::flikcer")
    running = experiment()
    running.until(lambda: running.status() == "ERROR", seconds=120)
    shown = subprocess.run(
        [sys.executable, "-m", "nni_stress", "status", str(running.folder)],
        env=environment(),
        capture_output=True,
        text=True,
    )
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("ended in ERROR: ")]
    assert "stressor must be one of" in line and "user::flicker" in line
    assert line.endswith("but got 'user::flikcer'")
    assert Lineage(find_lineage(str(running.folder))).records() == []
