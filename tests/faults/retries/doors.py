"""Faults 1 to 4 and 12: who reaches the manager, and what a message can do."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import requests

from nni_stress.nni_runtime.rest import ManagerClient
from tests.faults.retries.place import Answer, Place, attempt, message, path_of, said, stderr_of
from tests.helpers import hostile
from tests.helpers.nnictl import nnictl


def _state(running) -> tuple:
    profile = ManagerClient.on_port(running.port).experiment()
    return profile["params"], running.running_trial(), running.status()


@attempt(1, "a WebSocket of a foreign page to the tuner's channel")
def foreign_socket(place: Place) -> Answer:
    running = place.waiting()
    path = path_of(running).removesuffix(hostile.API) + "/tuner"
    tries = {
        "Origin evil.example": {"origin": hostile.EVIL},
        "Origin null": {"origin": "null"},
        "Host evil.example": {"host": "evil.example"},
    }
    open_doors = [
        name
        for name, settings in tries.items()
        if hostile.connects(running.port, path=path, **settings)
    ]
    return Answer(not open_doors, f"403 to all of {', '.join(tries)}; open: {open_doors}")


@attempt(1, "a message that names a command, and another lineage")
def forged_message(place: Place) -> Answer:
    """A program of the user sends it, which knows the manager's secret."""
    home = place.evolution("a", trialConcurrency=1)
    running = place.create(home)
    touched, elsewhere = place.folder / "touched", place.folder / "elsewhere"
    elsewhere.mkdir()
    path = path_of(running).removesuffix(hostile.API)
    address = f"ws://127.0.0.1:{running.port}{path}/tuner"
    forged = message(
        lineage=str(elsewhere),
        task="os:system",
        task_arguments={"command": f"touch {touched}"},
    )
    nothing = message(lineage=str(elsewhere), incarnation=None, generation=None, attempt=None)
    did = hostile.send_commands(address, [forged, nothing])
    time.sleep(12)
    written = [str(path) for path in (touched, *elsewhere.iterdir()) if path.exists()]
    return Answer(not written, f"{did}; written: {written}; status {running.status()}")


@attempt(2, "a DNS name that resolves to this machine")
def rebinding(place: Place) -> Answer:
    running = place.waiting()
    before = _state(running)
    trial = running.running_trial()
    answers = {
        hostile.ask(running.port, **request)[0]
        for request in hostile.foreign_requests(running.port, trial, path_of(running))
    }
    same = _state(running) == before
    return Answer(answers == {403} and same, f"status {answers}; nothing changed: {same}")


@attempt(2, "a tuner POSTed into the stored profile, then nnictl resume")
def stored_tuner(place: Place) -> Answer:
    running = place.waiting()
    touched = place.folder / "touched"
    profile = ManagerClient.on_port(running.port).experiment()
    popen = {"args": f"touch {touched}", "shell": True}
    tuner = {"className": "subprocess.Popen", "codeDirectory": "/", "classArgs": popen}
    profile["params"]["tuner"] = tuner
    url = f"{running.api}/experiment"
    try:
        posted = requests.post(url, json=profile["params"], timeout=10).status_code
    except requests.RequestException as error:
        posted = type(error).__name__
    nnictl("stop", running.id)
    done = place.try_to_resume(running)
    time.sleep(3)
    return Answer(not touched.exists(), f"POST {posted}; {said(done)}; it ran: {touched.exists()}")


@attempt(3, "a simple cross-origin POST to the experiment")
def simple_post(place: Place) -> Answer:
    running = place.waiting()
    before = _state(running)
    path = f"{path_of(running)}/experiment"
    headers = {"Origin": hostile.EVIL, "Content_Type": "text/plain"}
    local = f"127.0.0.1:{running.port}"
    status, text = hostile.ask(running.port, "POST", path, "x", Host=local, **headers)
    same = _state(running) == before
    return Answer(status == 403 and same, f"{status} {text.strip()}; nothing changed: {same}")


@attempt(4, "another user of this machine")
def other_user(place: Place) -> Answer:
    if shutil.which("runuser") is None:
        return Answer(True, "not tried: there is no runuser here")
    home = place.evolution("a")
    for folder in (place.folder, *place.folder.parents):
        if folder.owner() == "root" and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)  # so that only what is ours closes it
    running = place.create(home)
    running.until(lambda: (home / "lineage" / "state.json").exists())
    script = (
        "import urllib.request as u;"
        f"r = u.Request('http://127.0.0.1:{running.port}/api/v1/nni/experiment');"
        "print(u.urlopen(r, timeout=9).status)"
    )
    asked = subprocess.run(
        ["runuser", "-u", "nobody", "--", "python3", "-c", script], capture_output=True, text=True
    )
    read = subprocess.run(
        ["runuser", "-u", "nobody", "--", "cat", home / "lineage" / "state.json"],
        capture_output=True,
    )
    closed = asked.stdout.strip() != "200" and read.returncode != 0
    return Answer(closed, f"REST {said(asked)}; reads the lineage: {read.returncode == 0}")


@attempt(12, "what must stay usable: REST, NNI's page, a forwarded port, the printed address")
def usable(place: Place) -> Answer:
    running = place.waiting()
    path = path_of(running)
    tries = {}
    for host in (f"127.0.0.1:{running.port}", "localhost:9000"):
        tries[f"REST of {host}"] = hostile.ask(
            running.port, "GET", f"{path}/check-status", Host=host, Origin=f"http://{host}"
        )[0]
        page = path.removesuffix(hostile.API) or "/"
        tries[f"page of {host}"] = hostile.ask(running.port, "GET", f"{page}/", Host=host)[0]
    nnictl_works = nnictl("experiment", "status", running.id).returncode == 0
    closed = set(tries.values()) == {200} and nnictl_works
    return Answer(closed, f"{tries}; nnictl works: {nnictl_works} {stderr_of(running)}".strip())
