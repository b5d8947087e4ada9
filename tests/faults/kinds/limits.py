"""NNI's limits that end an experiment before its evolution has ended."""

import time

from tests.faults.experiment import PATIENCE, FaultyExperiment
from tests.faults.properties import state_in_words
from tests.faults.registry import fault


def _wait_for(run: FaultyExperiment, status: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while run.status() != status:
        assert time.monotonic() < deadline, f"it does not become {status}, but is {run.status()}"
        time.sleep(0.5)


def _go_on(run: FaultyExperiment, kind: str, value: object) -> None:
    """Stop, raise the limit as NNI's page does, and resume."""
    field = {"MAX_TRIAL_NUM": "maxTrialNumber", "MAX_EXEC_DURATION": "maxExperimentDuration"}[kind]
    body = {"params": {field: value}}
    answer = run.request("PUT", "experiment", params={"update_type": kind}, json=body)
    assert answer == "200", f"the manager answers {answer}"
    run.resume()


def _few_trials(run: FaultyExperiment) -> None:
    run.config["maxTrialNumber"] = 4


@fault("maxTrialNumber too small", prepare=_few_trials)
def few_trials(run: FaultyExperiment) -> str:
    _wait_for(run, "DONE")
    said = state_in_words(run.lineage.folder)
    _go_on(run, "MAX_TRIAL_NUM", 1000)
    return said.splitlines()[1]


def _little_time(run: FaultyExperiment) -> None:
    run.config["maxExperimentDuration"] = "8s"


@fault("maxExperimentDuration too small", prepare=_little_time)
def little_time(run: FaultyExperiment) -> str:
    _wait_for(run, "DONE")
    said = state_in_words(run.lineage.folder)
    _go_on(run, "MAX_EXEC_DURATION", "10h")
    return said.splitlines()[1]
