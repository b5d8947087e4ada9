"""The cheap trial, to which things happen: each file in a folder is one mishap, and befalls the first trial to take it.

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

BEFORE, AFTER = (
    ("dies before asking",),
    (
        "raises",
        "is killed",
        "runs out of memory",
        "loses itself in NaN",
        "hangs",
        "reports nonsense",
    ),
)


def befallen(folder: Path, kinds: tuple) -> str | None:
    """The mishap of this trial, if there is one for it."""
    for file in sorted(folder.glob("*.todo")):
        if file.name.split(".")[1] in kinds:
            try:
                file.rename(file.with_suffix(".done"))
            except FileNotFoundError:
                continue
            return file.name.split(".")[1]
    return None


def main() -> None:
    folder, seconds = Path(sys.argv[1]), sys.argv[2]
    if befallen(folder, BEFORE):
        os._exit(3)
    receive = claim.receive

    def receive_and_suffer():
        parameters, lineage = receive()
        mishap = befallen(folder, AFTER)
        if mishap == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if mishap == "hangs":
            time.sleep(10_000)
        if mishap == "reports nonsense":
            nni.report_final_result(float("nan"))
        reasons = {
            "raises": "made to fail",
            "runs out of memory": "out of memory",
            "loses itself in NaN": "the loss became nan",
        }
        if mishap in reasons:
            lineage.add_failure(parameters["uid"], reasons[mishap])
            raise SystemExit(1)
        return parameters, lineage

    cheap_trial.receive = receive_and_suffer
    sys.argv[1:] = [seconds]
    cheap_trial.main()


if __name__ == "__main__":
    main()
