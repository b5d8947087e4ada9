"""Founders are trained once, and a training that was killed resumes to the same result."""

import copy
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from nni_stress import load
from nni_stress.trial.training import Training, founder_training
from nni_stress.utils.atomic_files import read_json
from tests.helpers.slow_founder import make_task, tiny
from trials.founders import existing_founder, train_founder

ROOT = Path(__file__).parents[2]


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def start(file, pause):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.slow_founder", str(file), str(pause)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path, seconds=60):
    deadline = time.time() + seconds
    while not path.exists():
        assert time.time() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def test_a_killed_training_resumes_to_the_same_founder(tmp_path):
    whole = train_founder(make_task(), tmp_path / "whole", seed=3, quiet=True)
    file, checkpoint = tmp_path / "killed", tmp_path / "killed.checkpoint"
    process = start(file, 0.1)
    wait_for(checkpoint)
    with pytest.raises(RuntimeError, match="another process is training the founder"):
        train_founder(make_task(), file, seed=3, quiet=True)
    before = checkpoint.stat().st_mtime_ns
    while checkpoint.stat().st_mtime_ns == before:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    time.sleep(0.15)  # into the midst of an epoch
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not file.exists()
    assert 2 <= torch.load(checkpoint, weights_only=True)["training"]["step"] / 5 < 6
    (tmp_path / ".killed.checkpoint.0123456789abcdef").write_bytes(b"what a kill leaves behind")
    process = start(file, 0)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 0 and "step" in shown  # the progress bar
    assert torch.equal(weights(load(file, tiny)), weights(whole))
    assert not [path for path in tmp_path.iterdir() if "checkpoint" in path.name]


def test_a_founder_is_trained_once_and_determined_by_its_seed(tmp_path):
    task = make_task()
    first = train_founder(task, tmp_path / "a", seed=1, quiet=True)
    same_seed = train_founder(task, tmp_path / "b", seed=1, quiet=False)
    other_seed = train_founder(task, tmp_path / "c", seed=2, quiet=True)
    assert torch.equal(weights(first), weights(same_seed))
    assert not torch.equal(weights(first), weights(other_seed))
    assert task.fidelity(first, "test") > 0.7
    written = (tmp_path / "a").stat().st_mtime_ns
    facts = read_json(tmp_path / "a.json")
    assert (facts["seed"], facts["epochs"], facts["synapses"]) == (1, 6, 123)
    assert facts["seconds"] > 0
    assert facts["test"] == task.fidelity(first, "test")
    again = train_founder(task, tmp_path / "a", seed=2, quiet=True)
    assert torch.equal(weights(first), weights(again))
    assert (tmp_path / "a").stat().st_mtime_ns == written


@pytest.mark.parametrize("split", [1, 2, 3])
def test_a_training_resumes_exactly_from_its_state_between_epochs(split):
    def fresh():
        torch.manual_seed(0)
        network = tiny()
        return network, Training(network, make_task(), 4, 0.01, seed=5, warm_up=0.3)

    network, training = fresh()
    losses = []
    state = None
    seen = 0
    for loss in training:
        losses.append(loss)
        if training.between_epochs and training.epoch == split:
            state = copy.deepcopy(training.state())
            seen = len(losses)
    torch.rand(17)
    resumed_network, resumed = fresh()
    resumed.restore(state)
    assert list(resumed) == losses[seen:]
    assert torch.equal(weights(network), weights(resumed_network))
    assert resumed.step == resumed.steps == 20


@pytest.mark.parametrize(("share", "rising"), [(0.3, 9), (0.0, 0)])
def test_a_founders_learning_rate_rises_before_it_falls(share, rising):
    rates = []

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    list(
        founder_training(
            tiny(),
            dataclasses.replace(make_task(), optimizer=Watched, founder_warm_up=share),
            seed=0,
        )
    )
    assert len(rates) == 30 and rates[rising] == max(rates) == 0.05 and 0 < rates[-1] < 0.001
    assert (
        sorted(rates[:rising]) == rates[:rising]
        and sorted(rates[rising:], reverse=True) == rates[rising:]
    )
    assert not rising or rates[0] == pytest.approx(0.05 / (rising + 1))


def test_a_checkpoint_that_is_damaged_or_of_another_training_is_refused(tmp_path):
    file, checkpoint = tmp_path / "founder", tmp_path / "founder.checkpoint"

    class Stop(Exception):
        pass

    def fidelity(network, split):
        if checkpoint.exists():
            raise Stop
        return 0.0

    task = make_task()
    with pytest.raises(Stop):
        train_founder(dataclasses.replace(task, fidelity=fidelity), file, seed=1)
    with pytest.raises(
        ValueError,
        match=r"is of a training with seed 1, epochs 6, learning_rate 0\.05, .* is seed 2",
    ):
        train_founder(task, file, seed=2, quiet=True)
    with pytest.raises(ValueError, match=r"epochs 6, .* but asked for is seed 1, epochs 7"):
        train_founder(make_task(epochs=7), file, seed=1, quiet=True)
    with pytest.raises(ValueError, match=r"type float32, but asked for is .*, type bfloat16"):
        train_founder(dataclasses.replace(task, autocast=torch.bfloat16), file, seed=1, quiet=True)
    with pytest.raises(ValueError, match="is of another network"):
        train_founder(
            make_task(network=lambda: nn.Sequential(nn.Linear(6, 3))), file, seed=1, quiet=True
        )
    whole = checkpoint.read_bytes()
    for content in (whole[: len(whole) // 2], b"garbage", b""):
        checkpoint.write_bytes(content)
        with pytest.raises(ValueError, match=r"founder\.checkpoint is damaged, remove it") as error:
            train_founder(task, file, seed=1, quiet=True)
        assert "\n" not in str(error.value)
    assert not file.exists()


def test_a_trial_without_a_founder_names_the_command_that_trains_it(tmp_path):
    file = tmp_path / "founder"
    with pytest.raises(
        FileNotFoundError, match=r"make it by `python -m trials\.alexnet --train-founder --founder "
    ):
        existing_founder(file, "python -m trials.alexnet")
    file.touch()
    existing_founder(file, "python -m trials.alexnet")
