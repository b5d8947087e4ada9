import os
import socket

import pytest
import torch

torch.set_num_threads(1)

# Tests that start NNI's manager, which wait for most of their time: those of a group run one at a
# time, the groups at the same time.
REAL_MANAGERS = {
    "first managers": (
        "tests/faults/",
        "tests/integration/test_ended_evolution.py",
        "tests/integration/test_experiment.py",
        "tests/integration/test_foreign_pages.py",
        "tests/integration/test_hostile_parameters.py",
        "tests/integration/test_interrupted_training.py",
        "tests/integration/test_odd_paths.py",
        "tests/integration/test_own",  # networks, and ownership
    ),
    "second managers": (
        "tests/integration/test_other_users.py",
        "tests/integration/test_package.py",
        "tests/integration/test_registration.py",
        "tests/integration/test_remote.py",
        "tests/integration/test_safety.py",
        "tests/integration/test_small_contest.py",
        "tests/integration/test_starting_files.py",
        "tests/integration/test_stored_profile.py",
        "tests/integration/test_tuner_start.py",
        "tests/integration/test_wrong_tasks.py",
    ),
}


def group_of(nodeid):
    """The group of managers that a test belongs to, or its file."""
    file = nodeid.split("::")[0]
    groups = (name for name, files in REAL_MANAGERS.items() if file.startswith(files))
    return next(groups, file)


def pytest_collection_modifyitems(items):
    """Real managers come first: they take longest, and one worker runs all of a group."""
    items.sort(key=lambda item: group_of(item.nodeid) not in REAL_MANAGERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One worker of pytest-xdist runs each group of managers; other tests go by file."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # else the files with most tests come first

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

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
