"""NNI's limits that end an experiment before its evolution has ended."""

import time

from tests.faults.experiment import PATIENCE, FaultyExperiment
from tests.faults.properties import state_in_words
from tests.faults.registry import fault


def _say_and_go_on(run: FaultyExperiment, kind: str, value: object) -> str:
    """Wait until the experiment says why it ended; raise the limit as nnictl does, and resume."""
    deadline = time.monotonic() + PATIENCE
    while "maxTrialNumber or maxExperimentDuration is too small" not in (run.failed() or ""):
        assert time.monotonic() < deadline, f"it does not say so, and is {run.status()}"
        if run.failed() is None:  # a start that failed on a busy machine
            run.recover()
        time.sleep(0.5)
    said = state_in_words(run.lineage.folder)
    assert "is too small" in said, said
    field = {"MAX_TRIAL_NUM": "maxTrialNumber", "MAX_EXEC_DURATION": "maxExperimentDuration"}[kind]
    body = {"params": {field: value}}
    answer = run.request("PUT", "experiment", params={"update_type": kind}, json=body)
    assert answer == "200", f"the manager answers {answer}"
    run.resume()
    return "status says so"


def _few_trials(run: FaultyExperiment) -> None:
    run.config["maxTrialNumber"] = 4


@fault("maxTrialNumber too small", prepare=_few_trials)
def few_trials(run: FaultyExperiment) -> str:
    return _say_and_go_on(run, "MAX_TRIAL_NUM", 1000)


def _little_time(run: FaultyExperiment) -> None:
    run.config["maxExperimentDuration"] = "8s"


@fault("maxExperimentDuration too small", prepare=_little_time)
def little_time(run: FaultyExperiment) -> str:
    return _say_and_go_on(run, "MAX_EXEC_DURATION", "10h")
