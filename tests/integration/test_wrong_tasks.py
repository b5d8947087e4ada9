"""A wrong task ends its experiment in one line: in its state, in `status`, in its log."""

import subprocess
import sys

import pytest

from tests.helpers.nnictl import environment
from tests.helpers.running import config_of

TASK = """
import torch
from torch import nn
from nni_stress import Task, run_trial
from trials.data import inputs, targets, labels

def make_task():
    return Task(
        network=lambda: nn.Sequential({layers}),
        example_input=inputs[:2],
        loader=lambda generator: {loader},
        loss=nn.functional.mse_loss,
        fidelity=lambda network, split: {fidelity},
        founder_epochs=1,
        founder_learning_rate=0.01,
    )

if __name__ == "__main__":
    run_trial(make_task)
"""
# A package of the user's, which is called like one of this project.
DATA = """
import torch
inputs, targets = torch.rand(8, 4), torch.rand(8, 2)

def labels():
    return {}["labels"]
"""
RIGHT = {
    "layers": "nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)",
    "loader": "[(inputs, targets)]",
    "fidelity": "0.5",
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fidelity": "labels()"}, "KeyError: 'labels' (trials/data.py, line 6)"),
        pytest.param(
            {"layers": "nn.Unflatten(1, (2, 2)), nn.Flatten(), nn.Linear(4, 2)"},
            "nothing of the network can be removed: 2 (Linear) reaches the network's output",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"fidelity": "None"},
            "Task.fidelity must return one number, higher for a better network, but returned None",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"loader": "(batch for batch in [(inputs, targets)])"},
            "Task.loader must return batches that have a length, such as a list",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"layers": "nn.Linear(4, 8), nn.Linear(9, 2)"},
            "cannot be multiplied (2x8 and 9x2)",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_wrong_task_ends_the_experiment_with_its_reason(change, reason, tmp_path, experiment):
    config_of(tmp_path)
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / "__init__.py").touch()
    (tmp_path / "trials" / "data.py").write_text(DATA)
    (tmp_path / "trial.py").write_text(TASK.format(**{**RIGHT, **change}))
    running = experiment()
    running.until(lambda: running.status() == "ERROR", seconds=120)
    shown = subprocess.run(
        [sys.executable, "-m", "nni_stress", "status", str(running.folder)],
        env=environment(),
        capture_output=True,
        text=True,
    )
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("ended in ERROR: ")]
    assert reason in line and shown.returncode == 1
    assert reason in (running.folder / "log" / "nnictl_stderr.log").read_text()
