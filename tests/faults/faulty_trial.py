"""The cheap trial with injected faults.

Each file in a folder is one fault, and happens to the first trial that takes it.

    python3 -m tests.faults.faulty_trial FOLDER SECONDS
"""

import os
import signal
import sys
import time
from pathlib import Path

import nni

from nni_stress.trial import claim
from tests.helpers import cheap_trial

# Faults before and after a trial has received its parameters.
BEFORE = ("dies before asking",)
AFTER = (
    "raises",
    "is killed",
    "runs out of memory",
    "has a loss of NaN",
    "hangs",
    "reports nonsense",
)
REASONS = {
    "raises": "made to fail",
    "runs out of memory": "out of memory",
    "has a loss of NaN": "the loss became nan",
}


def take_fault(folder: Path, kinds: tuple[str, ...]) -> str | None:
    """Take a fault of one of these kinds, if one is left."""
    for file in sorted(folder.glob("*.todo")):
        kind = file.name.split(".")[1]
        if kind in kinds:
            try:
                file.rename(file.with_suffix(".done"))
            except FileNotFoundError:  # another trial took it
                continue
            return kind
    return None


def main() -> None:
    folder, seconds = Path(sys.argv[1]), sys.argv[2]
    if take_fault(folder, BEFORE):
        os._exit(3)
    receive = claim.receive

    def receive_and_fail():
        spec, lineage = receive()
        fault = take_fault(folder, AFTER)
        if fault == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "hangs":
            time.sleep(10_000)
        if fault == "reports nonsense":
            nni.report_final_result(float("nan"))
        if fault in REASONS:
            lineage.add_failure(spec.uid, REASONS[fault])
            raise SystemExit(1)
        return spec, lineage

    cheap_trial.receive = receive_and_fail
    sys.argv[1:] = [seconds]
    cheap_trial.main()


if __name__ == "__main__":
    main()
