"""Trials that fail, end, or report and print too much, from within."""

from tests.faults.experiment import FaultyExperiment
from tests.faults.faulty_trial import BEFORE, KEEPING, LOSING
from tests.faults.registry import fault


def _register(what: str, **settings) -> None:
    @fault(f"trial {what}", **settings)
    def next_trial(run: FaultyExperiment) -> str:
        waiting = len(list(run.todo.iterdir()))
        (run.todo / f"{waiting:03d}.{what}.todo").touch()
        return "waits for a trial"


def _limit_time(run: FaultyExperiment) -> None:
    run.settings["time_limit"] = 8


for each in BEFORE:
    _register(each, same_records=False)
for each in LOSING:
    _register(each, same_records=False, prepare=_limit_time if each == "hangs" else None)
for each in KEEPING:
    _register(each)
