import contextlib
import os

import pytest

from nni_stress.experiment.trial_check import SWITCH
from tests.conftest import free_port
from tests.helpers.nnictl import nnictl
from tests.helpers.running import Running, config_of

os.environ[SWITCH] = "off"  # it takes seconds at each start; tests of it switch it on


@contextlib.contextmanager
def experiments(port, folder):
    """Return what starts an experiment on a port; all that it started are stopped at the end."""
    started = []

    def start(*command, **variables):
        done = nnictl(
            *(command or ("create", "--config", folder / "stress.yml")),
            "--port",
            port,
            **variables,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        started.append(Running(port, folder))
        return started[-1]

    yield start
    for id in {each.id for each in started}:
        nnictl("stop", id)


@pytest.fixture
def experiment(port, tmp_path):
    with experiments(port, tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """An experiment with a running trial, which the tests of a file share: none may end it."""
    folder = tmp_path_factory.mktemp("running")
    arguments = {"folder": str(folder / "lineage")}
    config_of(folder, tuner={"className": "nni_stress.StressTuner", "classArgs": arguments})
    with experiments(free_port(), folder) as start:
        started = start()
        started.until(started.running_trial)
        yield started
