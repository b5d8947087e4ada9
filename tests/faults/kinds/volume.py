"""Many offspring, and many trials at a time."""

from tests.faults.experiment import FaultyExperiment
from tests.faults.kinds.kills import everything
from tests.faults.registry import fault


def _hundred(run: FaultyExperiment) -> None:
    run.settings.update(population_size=100, generations=1)
    run.config["trialConcurrency"] = 8
    run.seconds = 0.0


@fault("a hundred offspring, 8 trials at a time", prepare=_hundred)
def hundred(run: FaultyExperiment) -> str:
    run.wait_a_moment(20)
    return everything(run)
