import socket

import pytest
import torch

torch.set_num_threads(1)


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
