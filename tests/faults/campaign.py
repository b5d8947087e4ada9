"""The fault campaign: seeded faults of all kinds, over the real nnictl and a simulated manager.

    python -m tests.faults.campaign                        # 400 faults, some 45 minutes
    python -m tests.faults.campaign --faults 20 --seed 7
    python -m tests.faults.campaign --kinds "full disk" "kill -9 of the tuner" --faults 4
    python -m tests.faults.campaign --list

After its faults each experiment must reach DONE with a complete and consistent lineage: no record
lost, nothing that hangs, no process left behind, and the same records as without faults, except
where a fault loses offspring by its nature. An experiment in ERROR must give its reason in one line
and go on after `nnictl resume`. Each fault is one line of the record; a campaign that was
interrupted goes on from there.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from tests.faults.disks import succeeds
from tests.faults.plan import Task, make_plan
from tests.faults.processes import kill_all
from tests.faults.record import CampaignRecord
from tests.faults.registry import NONE, Kind, kinds

OWN_MOUNTS = "NNI_STRESS_OWN_MOUNTS"  # set in the campaign's own namespace of mounts


def parse_options(known: dict[str, Kind]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=list(known), metavar="KIND")
    parser.add_argument("--parallel", type=int, default=4, help="experiments at a time")
    parser.add_argument("--folder", type=Path, default=Path("runs") / "faults")
    parser.add_argument("--record", type=Path, help="by default FOLDER/record.jsonl")
    parser.add_argument("--port", type=int, default=18400, help="the first of the ports used")
    parser.add_argument("--list", action="store_true", help="show the kinds, and end")
    options = parser.parse_args()
    unknown = [name for name in options.kinds if name not in known]
    if unknown:
        parser.error(f"unknown kind {unknown[0]!r}; --list shows which there are")
    return options


def own_namespace() -> None:
    """Start this program again where it may mount disks, and its mounts end with it."""
    if OWN_MOUNTS in os.environ:
        return
    options = ["-m"] if os.geteuid() == 0 else ["-rm"]
    os.environ[OWN_MOUNTS] = "yes"
    if succeeds("unshare", *options, "true"):
        module = [sys.executable, "-m", "tests.faults.campaign", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", *options, *module])


def run_all(tasks: list[Task], record: CampaignRecord, options: argparse.Namespace) -> None:
    """Run the tasks that the record does not have."""
    left = [task for task in tasks if task.number not in record.done()]

    def run(task: Task) -> list[dict[str, Any]]:
        home = options.folder.resolve() / f"{task.number:03d}"
        shutil.rmtree(home, ignore_errors=True)
        return task.run(home, options.port + 2 * (task.number % 50))

    with concurrent.futures.ThreadPoolExecutor(options.parallel) as pool:
        futures = {pool.submit(run, task): task for task in left}
        for future in concurrent.futures.as_completed(futures):
            faults = future.result()
            record.add(faults)
            for fault in faults:
                print(
                    f"{fault['task']:3d}  {fault['kind']:50.50}  {fault.get('seconds', 0):6.1f} s  "
                    f"{fault['outcome']}",
                    flush=True,
                )


def end_now(folder: Path) -> None:
    """End the campaign and all that it has started; its record says how far it came."""
    kill_all(folder.resolve())
    os._exit(128 + signal.SIGTERM)


def table(faults: list[dict[str, Any]], kinds_shown: list[Kind]) -> str:
    """The table of kinds: how many faults happened, and what became of them."""
    rows = [f"{'kind':55} {'manager':9} faults  held  failed  not possible"]
    total: collections.Counter[str] = collections.Counter()
    for kind in kinds_shown:
        of_kind = [fault for fault in faults if fault["kind"] == kind.name]
        counts = collections.Counter(state_of(fault) for fault in of_kind)
        total.update(counts)
        total["real"] += (counts["held"] + counts["failed"]) * (not kind.simulated)
        happened = counts["held"] + counts["failed"]
        rows.append(
            f"{kind.name:55} {'simulated' if kind.simulated else 'real':9} {happened:6} "
            f"{counts['held']:5} {counts['failed']:7} {counts['not possible'] or '':>13}"
        )
    happened = total["held"] + total["failed"]
    rows.append(
        f"{'all':55} {total['real']:3} real  {happened:6} {total['held']:5} {total['failed']:7}"
    )
    return "\n".join(rows)


def state_of(fault: dict[str, Any]) -> str:
    """Whether a fault "held", "failed", or was "not possible"."""
    if fault["outcome"].startswith("FAILED"):
        return "failed"
    return "not possible" if fault["did"].startswith((NONE, "skipped")) else "held"


def main() -> None:
    known = kinds()
    options = parse_options(known)
    if options.list:
        print("\n".join(f"{kind.group:20} {kind.name}" for kind in known.values()))
        return
    own_namespace()
    signal.signal(signal.SIGTERM, lambda *_: end_now(options.folder))
    chosen = [known[name] for name in options.kinds]
    settings = {"seed": options.seed, "faults": options.faults, "kinds": options.kinds}
    record = CampaignRecord(options.record or options.folder / "record.jsonl", settings)
    run_all(make_plan(chosen, options.faults, options.seed), record, options)
    print(table(record.faults, chosen))
    for reason in sorted({fault["did"] for fault in record.faults if "skipped" in fault["did"]}):
        print(reason)
    sys.exit(any(state_of(fault) == "failed" for fault in record.faults))


if __name__ == "__main__":
    main()
