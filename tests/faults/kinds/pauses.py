"""SIGSTOP of processes at random moments, and SIGCONT some seconds later."""

import signal
import time

from tests.faults.experiment import FaultyExperiment
from tests.faults.kinds.kills import MANAGER, TRIAL, TUNER
from tests.faults.processes import send
from tests.faults.registry import NONE, fault

SECONDS = (0.5, 2, 6, 15)
LONG = 45  # seconds: longer than all timeouts of NNI's connections


def pause(run: FaultyExperiment, word: str, seconds: float) -> str:
    """Stop the processes with a word in their command line for some seconds."""
    found = run.processes(word, shell=False if word else None)
    if not found:
        return NONE
    for process in found:
        send(process, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        for process in found:
            send(process, signal.SIGCONT)
    return f"{len(found)} processes for {seconds} s"


@fault("SIGSTOP of the manager")
def manager(run: FaultyExperiment) -> str:
    return pause(run, MANAGER, run.random.choice(SECONDS))


@fault("SIGSTOP of the tuner")
def tuner(run: FaultyExperiment) -> str:
    return pause(run, TUNER, run.random.choice(SECONDS))


@fault("SIGSTOP of trials")
def trials(run: FaultyExperiment) -> str:
    return pause(run, TRIAL, run.random.choice(SECONDS))


@fault("SIGSTOP of everything")
def everything(run: FaultyExperiment) -> str:
    return pause(run, "", run.random.choice(SECONDS))


@fault("SIGSTOP of one of them for 45 s")
def long(run: FaultyExperiment) -> str:
    word = run.random.choice([MANAGER, TUNER, TRIAL])
    return f"{word}: {pause(run, word, LONG)}"


@fault("kill -9 of the manager while the tuner is stopped")
def manager_while_tuner_is_stopped(run: FaultyExperiment) -> str:
    """The stopped tuner cannot see that its manager has ended, and holds the lineage's lock."""
    found = run.processes(TUNER, shell=False)
    for process in found:
        send(process, signal.SIGSTOP)
    did = run.kill(MANAGER)
    time.sleep(run.random.choice([0.0, 2.0]))
    for process in found:
        send(process, signal.SIGCONT)
    run.resume()
    return did
