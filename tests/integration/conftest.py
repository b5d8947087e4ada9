import pytest

from tests.helpers.nnictl import nnictl
from tests.helpers.running import Running


@pytest.fixture
def experiment(port, tmp_path):
    started = []

    def start(*command, **variables):
        done = nnictl(
            *(command or ("create", "--config", tmp_path / "stress.yml")),
            "--port",
            port,
            **variables,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        started.append(Running(port, tmp_path))
        return started[-1]

    yield start
    for id in {each.id for each in started}:
        nnictl("stop", id)
