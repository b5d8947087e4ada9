"""kill -9 of an evolution over a simulated manager, at any change of the disk and at any moment."""

from tests.faults.registry import fault
from tests.faults.simulated import CHANGES, Sabotage, Simulated


@fault("kill -9 at a change of the disk", simulated=True)
def at_a_change(run: Simulated) -> str:
    moments = [run.random.randrange(1, CHANGES // 3) for _ in range(run.random.randrange(1, 6))]
    for moment in moments:
        run.session(Sabotage(run.lineage.folder, moment))
    run.finish()
    return f"before changes {moments}"


@fault("kill -9 at any moment", simulated=True)
def at_any_moment(run: Simulated) -> str:
    moments = [round(run.random.uniform(0.02, 0.25), 3) for _ in range(run.random.randrange(1, 6))]
    for moment in moments:
        run.session(kill_after=moment)
    run.finish()
    return f"after {moments} s"


@fault("kill -9 while a resumed evolution reads", simulated=True)
def while_it_resumes(run: Simulated) -> str:
    run.session(Sabotage(run.lineage.folder, run.random.randrange(CHANGES // 2, CHANGES)))
    for change in range(1, 5):
        run.session(Sabotage(run.lineage.folder, change))
    run.finish()
    return "before the first four changes of four sessions"


def _random_failures(manager) -> None:
    import random

    manager._chance = random.Random(manager.tuner.lineage.folder.name)


@fault("kill -9 among failing trials", simulated=True, same_records=False)
def among_failures(run: Simulated) -> str:
    for _ in range(3):
        if run.session(_random_failures, kill_after=run.random.uniform(0.05, 0.2)):
            break
    run.finish()
    return "three times, with trials that fail"


def a_hundred(settings: dict) -> None:
    settings.update(population_size=100, generations=2)


@fault("a hundred offspring, 8 at a time, and kill -9", simulated=True)
def hundred_offspring(run: Simulated) -> str:
    a_hundred(run.settings)
    moments = [run.random.randrange(1, 1200) for _ in range(3)]
    for moment in moments:
        run.session(Sabotage(run.lineage.folder, moment), concurrency=8)
    run.finish()
    return f"before changes {moments}"


@fault("a machine that sleeps for hours", simulated=True)
def sleeping_machine(run: Simulated) -> str:
    run.session(_sleep)
    run.finish()
    return "at each of its trials"


def _sleep(manager) -> None:
    make = manager.offspring

    def sleep_and_make(spec, lineage):
        manager.now += 3600.0
        return make(spec, lineage)

    manager.offspring = sleep_and_make
