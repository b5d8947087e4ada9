"""`python trial.py --check`, as a new user runs it, and what of it `nnictl create` runs."""

import subprocess
import sys

import pytest

from nni_stress.cli import init
from nni_stress.experiment.trial_check import SWITCH
from tests.helpers.nnictl import environment, nnictl

# A script with options of its own, which knows nothing of --check.
WITH_OPTIONS = """
import argparse
import nni_stress
{wrong}
parser = argparse.ArgumentParser()
parser.add_argument("--width", type=int, required=True)
print("width", parser.parse_args().width)
import trial
nni_stress.run_trial(trial.make_task)
"""


def checked(folder, *arguments, wrong=""):
    (folder / "mine.py").write_text(WITH_OPTIONS.format(wrong=wrong))
    return subprocess.run(
        [sys.executable, "mine.py", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )


@pytest.fixture
def folder(tmp_path):
    init.write_starting_files(tmp_path)
    return tmp_path


def test_the_check_of_a_script_says_all_steps_and_ends(folder):
    done = checked(folder, "--width", "3", "--check")
    width, *lines = done.stdout.splitlines()
    assert done.returncode == 0 and width == "width 3", done.stdout + done.stderr
    assert {line.split()[0] for line in lines} == {"ok"}
    assert lines[0].split(None, 2)[2] == (
        "stress.yml: 3 generations x 4 offspring, 2 at a time, to save macs, "
        "then 10 epochs of maturation"
    )
    assert "memory for each trial" in lines[-1] and "ONNX" in lines[-2]


def test_a_fault_is_a_line_and_the_exit_status(folder):
    done = checked(folder, "--check=another.yml", "--width=3", wrong="import torchvisoin")
    reason = "ModuleNotFoundError: No module named 'torchvisoin' (mine.py, line 4)"
    assert done.stdout.split(None, 2) == ["fault", "script", f"{reason}\n"]
    assert done.returncode == 1 and not done.stderr


def test_nnictl_does_not_start_what_the_check_refuses(folder, port):
    script = (folder / "trial.py").read_text()
    assert "nn.Linear(128, 10)" in script
    (folder / "trial.py").write_text(script.replace("nn.Linear(128, 10)", "nn.Linear(128, 9)"))
    command = ("create", "--config", folder / "stress.yml", "--port", port)
    done = nnictl(*command, timeout=180, **{SWITCH: "120"})
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and "Experiment ID" not in done.stdout
    assert line.startswith(
        "error: python3 trial.py: Task.loss must take the network's outputs, (32, 9) float32, and "
    )
