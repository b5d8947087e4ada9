"""Hostile requests to the real manager."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from tests.faults.experiment import FaultyExperiment
from tests.faults.kinds.user import send_space
from tests.faults.registry import fault
from tests.helpers import hostile

CODE = {"__symbol__": "path:os.system", "__args__": ["touch owned"]}


def _path(run: FaultyExperiment) -> str:
    """Where the REST interface begins; what is tried here is refused although the path is right."""
    return urlsplit(run.experiment.client.url).path


@fault("requests of foreign pages and hosts")
def foreign_pages(run: FaultyExperiment) -> str:
    job = (run.jobs() or [{"trialJobId": "x"}])[0]["trialJobId"]
    for request in hostile.foreign_requests(run.port, job, _path(run)):
        status, _ = hostile.ask(run.port, **request)
        assert status == 403, f"{request} was answered by {status}"
    return "each was answered by 403"


@fault("WebSockets of foreign pages and hosts")
def foreign_sockets(run: FaultyExperiment) -> str:
    for settings in ({"origin": hostile.EVIL}, {"origin": "null"}, {"host": "evil.example"}):
        path = _path(run).removesuffix(hostile.API) + "/tuner"
        assert not hostile.connects(run.port, path=path, **settings), f"{settings} was accepted"
    return "each was refused"


@fault("malformed bodies of requests")
def malformed_bodies(run: FaultyExperiment) -> str:
    bodies = [b"", b"{", b"\xff\xfe", b"null", b"[]", b'{"params": 3}', b"[" * 10_000]
    answers = []
    for method, path in (
        ("PUT", "experiment?update_type=SEARCH_SPACE"),
        ("PUT", "experiment?update_type=TRIAL_CONCURRENCY"),
        ("PUT", "experiment?update_type=NONE"),
        ("PUT", "experiment"),
        ("PUT", "experiment/cluster-metadata"),
        ("POST", "trial-jobs"),
        ("DELETE", "trial-jobs/nonsense"),
        ("GET", "trial-jobs/%00"),
    ):
        body = run.random.choice(bodies)
        headers = {"Content-Type": "application/json"}
        answers.append(run.request(method, path, data=body, headers=headers))
    return " ".join(answers)


@fault("huge bodies of requests")
def huge_bodies(run: FaultyExperiment) -> str:
    body = json.dumps({"parameters": "x" * 30_000_000})
    headers = {"Content-Type": "application/json"}
    return run.request("POST", "trial-jobs", data=body, headers=headers)


@fault("parameters that name code or another lineage")
def hostile_parameters(run: FaultyExperiment) -> str:
    parameters = run.random.choice(
        [
            {"__nni_obj__": "x", "uid": "../../x", "lineage": "/"},
            {"uid": "g001-00", "lineage": str(run.folder), "incarnation": 0, "attempt": "0.0"},
            CODE,
            {"temperature": CODE},
        ]
    )
    return run.request("POST", "trial-jobs", json=parameters)


@fault("search space that names code")
def hostile_space(run: FaultyExperiment) -> str:
    return send_space(run, run.random.choice([CODE, {"temperature": CODE}, [], "x", None, 3]))


@fault("imported data that is malformed")
def malformed_data(run: FaultyExperiment) -> str:
    """NNI's own code for it raises, and would end the tuner in silence."""
    data = run.random.choice(["x", [3], [{"value": 1}], {"a": 1}, [None]])
    return run.request("POST", "experiment/import-data", json=data)


@fault("imported data that names code")
def hostile_data(run: FaultyExperiment) -> str:
    data = run.random.choice([[], [CODE], [{"parameter": CODE, "value": CODE}], CODE])
    return run.request("POST", "experiment/import-data", json=data)
