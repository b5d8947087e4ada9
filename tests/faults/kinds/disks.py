"""Full, read-only and damaged disks under the real manager."""

import shutil
import time
from pathlib import Path

from tests.faults.damage import damage
from tests.faults.disks import full, mount, read_only
from tests.faults.experiment import FaultyExperiment
from tests.faults.registry import NONE, fault


def _wait_for_error(run: FaultyExperiment, seconds: float = 25) -> None:
    deadline = time.monotonic() + seconds
    while run.status() not in ("ERROR", "GONE", "DONE") and time.monotonic() < deadline:
        time.sleep(0.5)


def _small_disk(run: FaultyExperiment) -> None:
    mount(run.folder / "disk", "4m")


@fault("full disk", same_records=False, prepare=_small_disk)
def full_disk(run: FaultyExperiment) -> str:
    with full(run.folder / "disk"):
        _wait_for_error(run)
    run.recover()
    return "filled"


def _small_nni_disk(run: FaultyExperiment) -> None:
    mount(run.folder / "nni", "96m")  # room for a trial that prints 50 MB


@fault("full disk of NNI", same_records=False, prepare=_small_nni_disk)
def full_disk_of_nni(run: FaultyExperiment) -> str:
    with full(run.folder / "nni"):
        _wait_for_error(run)
    run.resume()
    return "filled"


@fault("read-only lineage", same_records=False)
def read_only_lineage(run: FaultyExperiment) -> str:
    if not run.lineage.folder.is_dir():
        return NONE
    with read_only(run.lineage.folder):
        _wait_for_error(run)
    run.resume()
    return "read-only for a while"


@fault("read-only folder of NNI", same_records=False)
def read_only_nni(run: FaultyExperiment) -> str:
    with read_only(run.experiment.folder):
        _wait_for_error(run, 12)
    run.resume()
    return "read-only for a while"


def _damage(run: FaultyExperiment, path: Path | None) -> str:
    """Damage a file while the experiment is stopped, and resume it."""
    if path is None or not path.exists():
        return NONE
    run.stop()
    run.snapshot.take()
    run.snapshot.forget(path.parent.name)
    way = damage(path, run.random)
    run.resume()
    return f"{path.relative_to(run.folder)}: {way}"


def _any(run: FaultyExperiment, pattern: str) -> Path | None:
    return run.random.choice(sorted(run.lineage.folder.glob(pattern)) or [None])


@fault("damaged record")
def record(run: FaultyExperiment) -> str:
    return _damage(run, _any(run, "offspring/g*/record.json"))


@fault("damaged network")
def network(run: FaultyExperiment) -> str:
    return _damage(run, _any(run, "offspring/g*/network.safetensors"))


@fault("damaged state")
def state(run: FaultyExperiment) -> str:
    return _damage(run, run.lineage.folder / "state.json")


@fault("damaged generation")
def generation(run: FaultyExperiment) -> str:
    return _damage(run, _any(run, "generations/g*.json"))


@fault("lost offspring")
def lost_offspring(run: FaultyExperiment) -> str:
    home = _any(run, "offspring/g*")
    if home is None:
        return NONE
    run.stop()
    run.snapshot.forget(home.name)
    shutil.rmtree(home)
    run.resume()
    return home.name
