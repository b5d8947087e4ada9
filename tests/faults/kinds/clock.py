"""A clock that jumps, by libfaketime: an hour forward, a day back, and so on."""

import os
import shutil
from pathlib import Path

from tests.faults.experiment import FaultyExperiment
from tests.faults.registry import Skipped, fault

FILE = "clock"
JUMPS = ("+1h", "-1h", "+400d", "-2d", "+10s", "+0")


def _library() -> str:
    """Path of libfaketime's library for threads."""
    for folder in ("/usr/lib", "/usr/local/lib"):
        for path in sorted(Path(folder).glob("**/faketime/libfaketimeMT.so.1")):
            return str(path)
    raise Skipped("libfaketime is not installed (apt-get install faketime)")


def _fake_time(run: FaultyExperiment) -> None:
    if shutil.which("faketime") is None:
        raise Skipped("libfaketime is not installed (apt-get install faketime)")
    library = _library()
    file = run.folder / FILE
    run.folder.mkdir(parents=True, exist_ok=True)
    file.write_text("+0")
    os.environ.update(
        LD_PRELOAD=library,
        FAKETIME_TIMESTAMP_FILE=str(file),
        FAKETIME_CACHE_DURATION="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        DONT_FAKE_MONOTONIC="1",
    )


@fault("a clock that jumps", prepare=_fake_time)
def jump(run: FaultyExperiment) -> str:
    jumps = run.random.sample(JUMPS, 3)
    for each in jumps:
        (run.folder / FILE).write_text(each)
        run.wait_a_moment(6)
    return ", ".join(jumps)
