"""Disks that are full, read-only, broken or damaged, under a simulated manager."""

from tests.faults.damage import damage
from tests.faults.disks import mounted, remount
from tests.faults.registry import fault
from tests.faults.simulated import BROKEN, CHANGES, FULL, READ_ONLY, Sabotage, Simulated


def _failing_changes(run: Simulated, error: int) -> str:
    first, count = run.random.randrange(1, CHANGES), run.random.choice([1, 2, 5, 50, 10_000])
    run.session(Sabotage(run.lineage.folder, first, error, count))
    run.finish()
    return f"changes {first} to {first + count} fail: {run.reasons[-1:]}"


@fault("a disk that is full for a while", simulated=True, same_records=False)
def full_for_a_while(run: Simulated) -> str:
    return _failing_changes(run, FULL)


@fault("a folder that is read-only for a while", simulated=True, same_records=False)
def read_only_for_a_while(run: Simulated) -> str:
    return _failing_changes(run, READ_ONLY)


@fault("a disk with errors", simulated=True, same_records=False)
def broken_disk(run: Simulated) -> str:
    return _failing_changes(run, BROKEN)


@fault("a disk that is really full", simulated=True, same_records=False)
def really_full(run: Simulated) -> str:
    folder = run.lineage.folder
    pages = run.random.randrange(12, 90)
    with mounted(folder, f"{4 * pages}k"):
        run.session()
        remount(folder, "4m")
        run.finish()
    return f"{pages} pages: {run.reasons[-1:]}"


@fault("files damaged while nothing runs", simulated=True)
def damaged(run: Simulated) -> str:
    folder = run.lineage.folder
    run.session(Sabotage(folder, run.random.randrange(CHANGES // 3, CHANGES)))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    chosen = run.random.sample(files, min(3, len(files)))
    run.snapshot.take()
    for path in chosen:
        run.snapshot.forget(path.parent.name)
        damage(path, run.random)
    run.finish()
    return ", ".join(str(path.relative_to(folder)) for path in chosen)
