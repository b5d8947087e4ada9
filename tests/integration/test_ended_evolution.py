"""A higher number of trials does not let an evolution run for ever that has ended."""

import pytest
import requests

from tests.helpers.nnictl import nnictl
from tests.helpers.running import Running
from tests.integration.test_ownership import config_of


@pytest.mark.slow
def test_more_trials_for_an_evolution_that_has_ended_are_refused_or_end_again(port, tmp_path):
    config_of(tmp_path / "run", tmp_path / "lineage")
    done = nnictl("create", "--config", tmp_path / "run" / "stress.yml", "--port", port)
    assert done.returncode == 0, done.stdout + done.stderr
    running = Running(port, tmp_path / "run")
    try:
        running.until(lambda: running.status() == "DONE")
        before = requests.get(f"{running.api}/trial-jobs", timeout=20).json()
        asked = nnictl("update", "trialnum", running.id, "--value", 100)
        words = "the evolution has ended (all 2 generations done), so there is nothing for more"
        assert asked.returncode == 1 and f"error: {words}" in asked.stderr
        assert running.status() == "DONE"
        for times in (1, 2):  # NNI asks its tuner for trials only the first time
            raised = requests.put(  # as NNI's web page does
                f"{running.api}/experiment?update_type=MAX_TRIAL_NUM",
                json={"params": {"maxTrialNumber": 100 * times}},
                timeout=20,
            )
            assert raised.ok
            running.until(lambda: running.status() == "RUNNING")
            running.until(lambda: running.status() == "DONE")
            log = (running.folder / "log" / "nnictl_stderr.log").read_text()
            assert log.count(f"nni-stress: the experiment ends again: {words}") == times
        assert requests.get(f"{running.api}/trial-jobs", timeout=20).json() == before
    finally:
        nnictl("stop", running.id)
