"""Faults 9 and 10: files that hang their readers, and what is left over."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from nni_stress import StressTuner
from nni_stress.lineage.store import Lineage
from reports.simulation import SimulatedManager
from tests.faults.processes import kill_all
from tests.faults.retries.place import Answer, Place, attempt, ours, said
from tests.helpers.nnictl import nnictl
from tests.helpers.workers import free_ports

LONGEST = 20  # seconds that a reader may take, most of which is the import of torch


def _evolved(folder: Path) -> Path:
    settings = {"population_size": 2, "generations": 2, "tolerance": 0.9}
    SimulatedManager(StressTuner(**settings, folder=str(folder))).run()
    return folder


def _readers(lineage: Path, out: Path) -> Answer:
    """Run `status` and `export` on a damaged lineage; each must end soon, without a traceback."""
    shown, closed = [], True
    for arguments in (["status", lineage], ["export", lineage, "g001-00", "--to", out]):
        started = time.monotonic()
        try:
            done = ours(arguments)
        except subprocess.TimeoutExpired:
            return Answer(False, f"{arguments[0]} hangs")
        seconds = time.monotonic() - started
        closed &= "Traceback" not in done.stderr and seconds < LONGEST
        shown.append(f"{arguments[0]} {said(done)} ({seconds:.0f} s)")
    return Answer(closed, "; ".join(shown))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _long_number(path: Path) -> None:
    path.write_text(path.read_text().replace('"synapses": ', '"synapses": ' + "9" * 5000))


def _long_curve(path: Path) -> None:
    text = path.read_text().rstrip().removesuffix("}").rstrip()
    path.write_text(f'{text}, "curve": [{"1.0, " * 1_000_000}1.0]}}')


def _nested(path: Path) -> None:
    path.write_text("[" * 200_000)


def _register(title: str, file: str, damage: Callable[[Path], None]) -> None:
    @attempt(9, f"status and export of {title}")
    def damaged(place: Place) -> Answer:
        lineage = _evolved(place.folder / "lineage")
        damage(lineage / file)
        return _readers(lineage, place.folder / "out")


RECORD = "offspring/g001-00/record.json"
for each in (
    ("a FIFO as record.json", RECORD, _fifo),
    ("a directory as record.json", RECORD, _directory),
    ("a number of 5000 digits", RECORD, _long_number),
    ("a curve of 1e6 numbers", RECORD, _long_curve),
    ("200,000 nested lists", RECORD, _nested),
    ("a FIFO as state.json", "state.json", _fifo),
    ("a FIFO as a generation", "generations/g001.json", _fifo),
    ("a network that is no network", "offspring/g001-00/network.safetensors", _long_curve),
):
    _register(*each)


@attempt(9, "a YAML bomb as stress.yml")
def yaml_bomb(place: Place) -> Answer:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    file = place.folder / "stress.yml"
    file.write_text("\n".join(lines))
    started = time.monotonic()
    try:
        done = nnictl("create", "--config", file, "--port", free_ports(1)[0])
    except subprocess.TimeoutExpired:
        return Answer(False, "nnictl hangs")
    return Answer(done.returncode != 0 and time.monotonic() - started < LONGEST, said(done))


@attempt(10, "nnictl update trialnum after DONE")
def more_trials(place: Place) -> Answer:
    running = place.create(place.evolution("a"))
    running.until(lambda: running.status() == "DONE", 120)
    done = nnictl("update", "trialnum", running.id, "--value", 100)
    time.sleep(15)
    status = running.status()
    return Answer(status == "DONE", f"{said(done)}; then {status}")


@attempt(10, 'a path with " and #')
def odd_path(place: Place) -> Answer:
    home = place.evolution('it\'s "odd" #1')
    try:
        running = place.create(home)
    except AssertionError as refused:
        line = " ".join(str(refused).split())[-200:]
        return Answer("error: " in line, f"refused at once: {line}")
    nnictl("stop", running.id)
    done = place.try_to_resume(running)
    return Answer(done.returncode == 0, said(done))


@attempt(10, "temporaries of killed writers")
def temporaries(place: Place) -> Answer:
    home = place.evolution("a", trialConcurrency=2)
    running = place.create(home)
    lineage = Lineage(home / "lineage")
    running.until(lambda: lineage.records())
    (lineage.folder / "offspring" / ".g001-00.0123456789abcdef").mkdir(exist_ok=True)
    (lineage.folder / ".state.json.0123456789abcdef").write_text("{")
    kill_all(home)
    running = place.resume(running)
    running.until(lambda: running.status() == "DONE", 120)
    hidden = [path.name for path in lineage.folder.rglob(".*")]
    return Answer(not hidden, f"left: {hidden}")


@attempt(10, "a training that was interrupted by a kill")
def interrupted_training(place: Place) -> Answer:
    """Not tried here but by the tests of training; this looks whether there is such a file."""
    found = hasattr(Lineage(place.folder), "snapshot_path")
    return Answer(found, "trainings write snapshots" if found else "trainings begin again")
