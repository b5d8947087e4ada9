"""What a user does on NNI's page and by nnictl while an experiment runs."""

import json

from reports.simulation import SPACE
from tests.faults.experiment import FaultyExperiment
from tests.faults.registry import NONE, fault
from tests.helpers.nnictl import nnictl


def _active(run: FaultyExperiment) -> list[str]:
    return [job["trialJobId"] for job in run.jobs() if job["status"] in ("WAITING", "RUNNING")]


@fault("trial cancelled by REST", same_records=False)
def cancelled(run: FaultyExperiment) -> str:
    active = _active(run)
    if not active:
        return NONE
    job = run.random.choice(active)
    return run.request("DELETE", f"trial-jobs/{job}")


@fault("trial cancelled by nnictl", same_records=False)
def killed_by_nnictl(run: FaultyExperiment) -> str:
    active = _active(run)
    if not active:
        return NONE
    done = nnictl("trial", "kill", run.experiment.id, "--trial_id", run.random.choice(active))
    return (done.stdout + done.stderr).strip()[:200]


@fault("all trials cancelled", same_records=False)
def all_cancelled(run: FaultyExperiment) -> str:
    active = _active(run)
    for job in active:
        run.request("DELETE", f"trial-jobs/{job}")
    return f"{len(active)} trials" if active else NONE


@fault("trial added by the user")
def added(run: FaultyExperiment) -> str:
    known = [job["hyperParameters"][0] for job in run.jobs() if job.get("hyperParameters")]
    parameters = {"temperature": 0.5}
    if known:
        parameters = json.loads(run.random.choice(known))["parameters"]
    return run.request("POST", "trial-jobs", json=parameters)


def send_space(run: FaultyExperiment, space: object) -> str:
    """Send a search space to the manager."""
    return run.request(
        "PUT",
        "experiment",
        params={"update_type": "SEARCH_SPACE"},
        json={"params": {"searchSpace": space}},
    )


@fault("wrong search space")
def wrong_space(run: FaultyExperiment) -> str:
    return send_space(run, {"environmental_factr": {"_type": "uniform", "_value": [0, 9]}})


@fault("new search space", same_records=False)
def new_space(run: FaultyExperiment) -> str:
    return send_space(run, {**SPACE, "stress_peak": {"_type": "uniform", "_value": [0, 1]}})
