"""The client of NNI's manager, and the manager as the tuner sees it, against a small server."""

import http.server
import json
import sqlite3
import threading

import pytest

from nni_stress.nni_runtime.manager import Job, Manager
from nni_stress.nni_runtime.rest import ManagerClient

JOBS = [
    {"trialJobId": "first", "status": "SUCCEEDED", "hyperParameters": ['{"parameters": {"a": 1}}']},
    {"trialJobId": "second", "status": "RUNNING"},
]
ANSWERS = {
    "GET /check-status": {"status": "STOPPING"},
    "GET /experiment": {"params": {"trialConcurrency": 2}},
    "GET /trial-jobs": JOBS,
    "GET /trial-jobs/first": JOBS[0],
    "GET /trial-file/first/stderr": "some\nlast line\n",
    "GET /trial-file/second/stderr": "stderr is empty.",
    "DELETE /trial-jobs/second": {},
    "PUT /experiment?update_type=MAX_TRIAL_NUM": {},
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        request = f"{self.command} {self.path.removeprefix('/prefix/api/v1/nni')}"
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((request, body))
        answer = ANSWERS.get(request)
        self.send_response(500 if answer is None else 200)
        self.end_headers()
        text = answer if isinstance(answer, str) else json.dumps(answer)
        self.wfile.write(text.encode())

    do_DELETE = do_PUT = do_GET

    def log_message(self, *arguments):
        """Log nothing."""


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as started:
        started.requests = []
        threading.Thread(target=started.serve_forever, daemon=True).start()
        yield started
        started.shutdown()


@pytest.fixture
def manager(server, monkeypatch):
    channel = f"ws://127.0.0.1:{server.server_port}/prefix/tuner"
    monkeypatch.setenv("NNI_TUNER_COMMAND_CHANNEL", channel)
    return Manager()


def test_the_manager_tells_its_jobs(manager):
    first = Job("first", "SUCCEEDED", {"a": 1})
    second = Job("second", "RUNNING", None)
    assert manager.jobs() == [first, second]
    assert not first.alive and second.alive
    assert manager.job("first") == first
    assert manager.job("second") == second  # from the list, as the manager answers with an error
    assert manager.job("third") is None
    assert manager.stopping()


def test_the_last_line_of_stderr_is_found(manager):
    assert manager.last_words("first") == "last line (stderr of trial first)"
    assert manager.last_words(None) == "last line (stderr of trial first)"
    assert manager.last_words("second") is None
    assert manager.last_words("third") is None


def test_the_last_words_of_a_traceback_have_the_place_in_the_users_code(manager, monkeypatch):
    trace = (
        'Traceback (most recent call last):\n  File "/a/trial.py", line 12, in <module>\n    x\n'
    )
    answers = {**ANSWERS, "GET /trial-file/first/stderr": f"{trace}NameError: x\n"}
    monkeypatch.setitem(globals(), "ANSWERS", answers)
    assert (
        manager.last_words("first") == "NameError: x (/a/trial.py, line 12; stderr of trial first)"
    )


def test_the_last_words_of_a_trial_that_wrote_50_mb_in_one_line_are_short(manager, monkeypatch):
    answers = {**ANSWERS, "GET /trial-file/first/stderr": "x" * 50_000_000}
    monkeypatch.setitem(globals(), "ANSWERS", answers)
    assert manager.last_words("first") == f"{'x' * 500}... (stderr of trial first)"


@pytest.mark.parametrize(
    ("status", "errors", "words"),
    [
        ("RUNNING", [], None),
        ("ERROR", ["Datastore error:\n disk is full"], "ended the experiment: Datastore error: di"),
        ("DONE", [], "because maxTrialNumber or maxExperimentDuration is too small"),
    ],
)
def test_the_manager_tells_why_it_ended_the_experiment(manager, monkeypatch, status, errors, words):
    answer = {"status": status, "errors": errors}
    monkeypatch.setitem(globals(), "ANSWERS", {**ANSWERS, "GET /check-status": answer})
    found = manager.reason_of_end()
    assert found is None if words is None else words in found and "\n" not in found


def test_requests_that_change_something(manager, server):
    manager.cancel("second")
    manager.end_experiment()
    assert server.requests[0][0] == "DELETE /trial-jobs/second"
    request, body = server.requests[-1]
    assert request == "PUT /experiment?update_type=MAX_TRIAL_NUM"
    assert json.loads(body) == {"params": {"maxTrialNumber": 2}}


def test_the_client_returns_the_profile_and_raises_os_errors(server, port):
    client = ManagerClient(f"http://127.0.0.1:{server.server_port}/prefix/api/v1/nni")
    assert client.experiment() == ANSWERS["GET /experiment"]
    assert client.status() == ("STOPPING", [])
    with pytest.raises(OSError, match="500"):
        client.cancel("third")
    with pytest.raises(OSError, match="refused"):
        ManagerClient.on_port(port).status()


def test_without_a_manager_there_is_nothing_to_ask(monkeypatch):
    monkeypatch.delenv("NNI_TUNER_COMMAND_CHANNEL", raising=False)
    manager = Manager()
    assert manager.jobs() == [] and manager.job("first") is None and not manager.stopping()
    assert manager.last_words(None) is None
    manager.cancel("first")
    manager.end_experiment()


def test_a_job_that_the_user_cancelled_is_known_from_the_database(tmp_path, monkeypatch):
    monkeypatch.setenv("NNI_LOG_DIRECTORY", str(tmp_path / "log"))
    manager = Manager()
    assert not manager.cancelled_by_user("first")  # there is no database
    (tmp_path / "db").mkdir()
    with sqlite3.connect(tmp_path / "db" / "nni.sqlite") as connection:
        connection.execute("create table TrialJobEvent (trialJobId text, event text)")
        connection.execute("insert into TrialJobEvent values ('first', 'USER_TO_CANCEL')")
    connection.close()
    assert manager.cancelled_by_user("first") and not manager.cancelled_by_user("second")
