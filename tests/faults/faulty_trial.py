"""The cheap trial with injected faults.

Each file in the folder that NNI_STRESS_FAULTS names is one fault, and happens to the first trial
that takes it.

    python3 -m tests.faults.faulty_trial SECONDS
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
LOSING = (  # by these the offspring is lost, or may be
    "raises",
    "is killed",
    "runs out of memory",
    "has a loss of NaN",
    "hangs",
    "reports nonsense and dies",
    "prints 50 MB in one line and dies",
)
KEEPING = (
    "reports nonsense",
    "reports 10,000 intermediate results",
    "reports what others achieved",
    "reports 20 MB",
    "prints 50 MB",
)
REASONS = {
    "raises": "made to fail",
    "runs out of memory": "out of memory",
    "has a loss of NaN": "the loss became nan",
}
HOSTILE = [
    *(None, "x", [1], {}, {"uid": "g000-00", "default": 1.0}, {"default": "x", "uid": ["g"]}),
    {"__symbol__": "path:os.system", "default": 0.1},
    {"default": {"__nni_type__": "path:os.system"}, "uid": "../../x"},
]


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


def go_on(fault: str | None) -> None:
    """Faults after which the trial goes on."""
    if fault == "reports nonsense":
        nni.report_final_result(float("nan"))
    if fault == "reports 10,000 intermediate results":
        for number in range(10_000):
            nni.report_intermediate_result(number)
    if fault == "reports what others achieved":
        for value in HOSTILE:
            nni.trial._platform.send_metric("FINAL", 0, nni.get_trial_id(), 0, value)
    if fault == "reports 20 MB":
        nni.report_intermediate_result("x" * 20_000_000)
    if fault == "prints 50 MB":
        for _ in range(500):
            sys.stdout.write(("x" * 99 + "\n") * 500)
            sys.stderr.write(("x" * 99 + "\n") * 500)


def end(fault: str | None, spec, lineage) -> None:
    """Faults by which the trial ends."""
    if fault == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hangs":
        time.sleep(10_000)
    if fault == "reports nonsense and dies":
        nni.report_final_result(float("nan"))
        os._exit(3)
    if fault == "prints 50 MB in one line and dies":
        sys.stderr.write("x" * 50_000_000)
        sys.stderr.flush()
        os._exit(3)
    if fault in REASONS:
        lineage.add_failure(spec.uid, REASONS[fault])
        raise SystemExit(1)


def main() -> None:
    folder = Path(os.environ["NNI_STRESS_FAULTS"])
    if take_fault(folder, BEFORE):
        os._exit(3)
    receive = claim.receive

    def receive_and_fail():
        spec, lineage = receive()
        fault = take_fault(folder, (*LOSING, *KEEPING))
        go_on(fault)
        end(fault, spec, lineage)
        return spec, lineage

    cheap_trial.receive = receive_and_fail
    cheap_trial.main()


if __name__ == "__main__":
    main()
