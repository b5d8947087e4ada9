import os
import socket

import pytest
import torch

torch.set_num_threads(1)

# Tests that start NNI's manager, or count processes and ports, run one at a time.
REAL_MANAGER = (
    "tests/faults/",
    "tests/integration/test_check.py",
    "tests/integration/test_ended_evolution.py",
    "tests/integration/test_experiment.py",
    "tests/integration/test_foreign_pages.py",
    "tests/integration/test_hostile_parameters.py",
    "tests/integration/test_interrupted_training.py",
    "tests/integration/test_odd_paths.py",
    "tests/integration/test_other_users.py",
    "tests/integration/test_own",  # networks, and ownership
    "tests/integration/test_package.py",
    "tests/integration/test_registration.py",
    "tests/integration/test_remote.py",
    "tests/integration/test_safety.py",
    "tests/integration/test_small_contest.py",
    "tests/integration/test_starting_files.py",
    "tests/integration/test_stored_profile.py",
    "tests/integration/test_tuner_start.py",
)


def pytest_collection_modifyitems(items):
    """Real managers come first: they take longest, and one worker runs them all."""
    items.sort(key=lambda item: not item.nodeid.startswith(REAL_MANAGER))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One worker of pytest-xdist runs all real managers; other tests are handed out by file."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # else the files with most tests come first

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.split("::")[0]
            return "real manager" if file.startswith(REAL_MANAGER) else file

    return Scheduler(config, log)


@pytest.fixture(scope="session", autouse=True)
def _without_power_cuts():
    """Files of a test need not outlive a power cut: it does not wait until they are on the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture
def port():
    """A free port on 127.0.0.1, whose successor is free, too."""
    return free_port()


def free_port():
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            try:
                second.bind(("127.0.0.1", first.getsockname()[1] + 1))
            except OSError:
                continue
            return first.getsockname()[1]
