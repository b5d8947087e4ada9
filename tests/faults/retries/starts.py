"""Faults 5 to 8: starts that are not guarded, not answered or not told, and resumes of others."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from nni_stress.lineage.store import Lineage
from tests.faults.retries.place import ROOT, Answer, Place, attempt, ours, said, stderr_of
from tests.helpers.nnictl import nnictl
from tests.helpers.running import config_of
from tests.helpers.workers import answers, free_ports


@attempt(5, "a start whose guards are broken: a dependency is missing")
def broken_guards(place: Place) -> Answer:
    broken = place.folder / "broken"
    broken.mkdir()
    (broken / "wrapt.py").write_text("raise ImportError('wrapt is broken')\n")
    (port,) = free_ports(1)
    path = f"{broken}:{ROOT}"
    tuner = {"className": "nni_stress.StressTuner", "codeDirectory": str(ROOT)}
    config = config_of(place.folder, tuner=tuner)
    done = nnictl("create", "--config", config, "--port", port, PYTHONPATH=path)
    listens = answers(port)
    if listens:
        nnictl("stop", "--all")
    told = "nni-stress" in done.stderr or "nni_stress" in done.stderr
    closed = done.returncode != 0 and told and not listens
    installed = Path(sysconfig.get_path("purelib"), "nni_stress_nnictl.pth")
    hook = ROOT / "nni_stress" / "nnictl.pth"
    if not installed.exists() or installed.read_bytes() != hook.read_bytes():
        return Answer(closed, f"first run `python -m nni_stress register`: {installed} is old")
    return Answer(closed, f"{said(done)}; listens: {listens}")


@attempt(6, "nnictl resume of an experiment that names another's lineage")
def other_lineage(place: Place) -> Answer:
    lineage = place.folder / "lineage"
    first = place.create(place.evolution("first", lineage))
    first.until(lambda: first.status() == "DONE", 120)
    nnictl("stop", first.id)
    second = place.refused(place.evolution("second", lineage))
    place.try_to_resume(second)
    owner = (Lineage(lineage).read_state() or {}).get("experiment")
    return Answer(owner == first.id, f"the lineage is still the first's: {stderr_of(second)}")


@attempt(7, "a tuner that never comes")
def no_tuner(place: Place) -> Answer:
    """Its process ends as soon as it starts."""
    hook = place.folder / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import os\nif os.environ.get('SDK_PROCESS') == 'dispatcher':\n    os._exit(1)\n"
    )
    (port,) = free_ports(1)
    path = f"{hook}:{ROOT}"
    config = config_of(place.folder)
    done = nnictl("create", "--config", config, "--port", port, timeout=300, PYTHONPATH=path)
    nnictl("stop", "--all")
    told = "nni-stress" in done.stdout + done.stderr or "error: " in done.stderr
    return Answer(done.returncode != 0 and told, said(done))


@attempt(8, "status of an experiment that ended in ERROR")
def status_of_error(place: Place) -> Answer:
    home = place.evolution("a", trialCommand="python3 -c 'import absent_module'")
    running = place.create(home)
    running.until(lambda: running.status() == "ERROR", 180)
    done = ours(["status", home / "lineage"])
    told = "absent_module" in done.stdout and "under way" not in done.stdout
    reason = next((line for line in done.stdout.splitlines() if "absent_module" in line), "")
    return Answer(done.returncode == 1 and told, f"exit {done.returncode}: {reason.strip()[:200]}")


@attempt(8, "status of an experiment whose tuner refused its arguments")
def status_of_refused(place: Place) -> Answer:
    first = place.create(place.evolution("first", place.folder / "lineage"))
    first.until(lambda: first.status() == "DONE", 120)
    nnictl("stop", first.id)
    second = place.refused(place.evolution("second", place.folder / "lineage"))
    done = ours(["status", second.folder])
    return Answer(done.returncode == 1 and "already holds" in done.stdout + done.stderr, said(done))
