"""A clock that jumps: an hour forward, two days back, and so on."""

import os
import shutil
from pathlib import Path

from tests.faults.disks import succeeds
from tests.faults.experiment import FaultyExperiment
from tests.faults.registry import Skipped, fault

SOURCE = Path(__file__).parents[1] / "clock.c"
HOUR, DAY = 3600, 86400
JUMPS = (HOUR, -HOUR, 400 * DAY, -2 * DAY, 10, 0)


def _own_clock(run: FaultyExperiment) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    run.folder.mkdir(parents=True, exist_ok=True)
    library = run.folder / "clock.so"
    if not compiler or not succeeds(compiler, "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"):
        raise Skipped("a clock that jumps needs a C compiler")
    (run.folder / "clock").write_text("0")
    os.environ["CLOCK_OFFSET_FILE"] = str(run.folder / "clock")
    os.environ["LD_PRELOAD"] = str(library)


@fault("a clock that jumps", prepare=_own_clock)
def jump(run: FaultyExperiment) -> str:
    jumps = run.random.sample(JUMPS, 3)
    for seconds in jumps:
        temporary = run.folder / "clock.new"
        temporary.write_text(str(seconds))
        temporary.replace(run.folder / "clock")
        run.wait_a_moment(6)
    return f"by {jumps} s"
