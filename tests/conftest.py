import socket

import pytest
import torch

torch.set_num_threads(1)

# What starts NNI's manager, or counts processes and ports, runs one test at a time.
REAL_MANAGER = ("tests/integration/", "tests/faults/")


def pytest_itemcollected(item):
    """Group tests for pytest-xdist: one worker runs all real managers; others go by file."""
    file = item.nodeid.split("::")[0]
    group = "manager" if file.startswith(REAL_MANAGER) else file
    item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_modifyitems(items):
    """Begin with the real managers, which take longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(REAL_MANAGER))


@pytest.fixture
def port():
    """A free port on 127.0.0.1, whose successor is free, too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            try:
                second.bind(("127.0.0.1", first.getsockname()[1] + 1))
            except OSError:
                continue
            return first.getsockname()[1]
