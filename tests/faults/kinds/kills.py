"""kill -9 and stops of manager, tuner and trials at any moment, each followed by a resume."""

import signal
import time

from tests.faults.experiment import FaultyExperiment
from tests.faults.processes import kill_all, send
from tests.faults.registry import NONE, fault

MANAGER, TUNER, TRIAL = "main.js", "nni --exp_params", "tests.faults.faulty_trial"


@fault("stop and resume")
def stop_and_resume(run: FaultyExperiment) -> str:
    run.resume()
    return "resumed"


@fault("stop while a generation closes, and resume")
def stop_while_a_generation_closes(run: FaultyExperiment) -> str:
    """The last record of a generation is there, and the next generation maybe not yet."""
    state = run.lineage.read_state() or {}
    generation = run.lineage.generation(state.get("generation", -1))
    if generation is None:
        return NONE
    planned = [spec["uid"] for spec in generation["offspring"]]
    deadline = time.monotonic() + 30
    while not all(run.lineage.sound(uid) or run.lineage.failure(uid) for uid in planned):
        if time.monotonic() > deadline:
            return NONE
        time.sleep(0.01)
    time.sleep(run.random.choice([0.0, 0.1, 0.3, 0.6]))
    run.resume()
    return f"stopped as generation {state['generation']} closed"


@fault("kill -9 of the manager")
def manager(run: FaultyExperiment) -> str:
    did = run.kill(MANAGER)
    time.sleep(run.random.choice([0.0, 2.0]))
    run.resume()
    return did


@fault("kill -9 of the tuner")
def tuner(run: FaultyExperiment) -> str:
    did = run.kill(TUNER)
    time.sleep(run.random.choice([0.5, 3.0]))
    if run.status() in ("ERROR", "GONE"):
        run.recover()
    else:
        run.resume()
    return did


@fault("kill -9 of everything at once")
def everything(run: FaultyExperiment) -> str:
    count = kill_all(run.folder)
    run.resume()
    return f"killed {count} processes"


@fault("kill -9 of everything, twice, while it resumes")
def everything_twice(run: FaultyExperiment) -> str:
    kill_all(run.folder)
    run.resume()
    time.sleep(run.random.uniform(0.0, 3.0))
    count = kill_all(run.folder)
    run.resume()
    return f"killed {count} processes at the second time"


@fault("kill -9 of some processes")
def some(run: FaultyExperiment) -> str:
    found = run.processes()
    chosen = run.random.sample(found, run.random.randrange(1, len(found) + 1)) if found else []
    for process in chosen:
        send(process)
    run.resume()  # so that no offspring is killed so often that it is lost
    return f"killed {len(chosen)} of {len(found)} processes"


@fault("power loss")
def power_loss(run: FaultyExperiment) -> str:
    """All processes end, and files are left half-written."""
    kill_all(run.folder)
    folder = run.lineage.folder
    for path, content in (
        (folder / ".state.json.x7", b'{"incarn'),
        (folder / "attempts" / "g001-00.9", b""),
        (folder / "offspring" / ".g001-00.half" / "record.json", b"{"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    run.resume()
    return "all processes killed"


@fault("trial killed from outside", same_records=False)
def trial(run: FaultyExperiment) -> str:
    return run.kill(TRIAL)


def _run_by_shell(run: FaultyExperiment) -> None:
    run.script = "trial.sh"


@fault("shell of a trial killed", same_records=False, prepare=_run_by_shell)
def shell(run: FaultyExperiment) -> str:
    return run.kill("trial.sh", shell=True)


@fault("manager ended by SIGTERM")
def terminated(run: FaultyExperiment) -> str:
    found = run.processes(MANAGER, shell=False)
    for process in found:
        send(process, signal.SIGTERM)
    run.resume()
    return f"{len(found)} processes" if found else NONE
