"""`make demo`: evolves a network through the real nnictl, shows it as it goes, and sums it up."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from nni_stress.evolution import selection
from nni_stress.experiment import launch
from nni_stress.lineage.store import Lineage, Record
from nni_stress.utils.atomic_files import write_json
from nni_stress.visualization.text import generations_table, offspring_line
from reports.figures import draw_frontier, frontier_facts


class Progress:
    """Prints a line for every offspring as its record, or the reason of its loss, appears."""

    def __init__(self, lineage: Lineage):
        self._lineage, self._shown, self._generation = lineage, set(), -1

    def __call__(self) -> None:
        state = self._lineage.read_state() or {}
        if state.get("generation", -1) > self._generation:
            self._show_new()
            self._generation = state["generation"]
            print(
                "generation 0: the founder"
                if self._generation == 0
                else f"generation {self._generation} of at most {state['generations']}: "
                f"{state['population_size']} offspring",
                flush=True,
            )
        self._show_new()

    def _show_new(self) -> None:
        for record in self._lineage.records():
            if record.uid not in self._shown:
                self._shown.add(record.uid)
                print(offspring_line(record), flush=True)
        for failure in self._lineage.failures():
            if failure["uid"] not in self._shown:
                self._shown.add(failure["uid"])
                print(f"  {failure['uid']}  lost: {failure['reason']}", flush=True)


def run(config_file: Path, runs: Path, seed: int, port: int) -> Path:
    """Run the experiment, stop its manager whatever happens, and return the run's folder."""
    config = launch.check_config(config_file)
    class_args = config["tuner"].setdefault("classArgs", {})
    started = time.time()
    folder = (runs / f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-seed{seed}").resolve()
    class_args.update(seed=seed, folder=str(folder / "lineage"))
    lineage = Lineage(folder / "lineage")
    experiment = launch.start(config, folder, port)
    try:
        print(
            f"NNI experiment {experiment.id}, web page while it runs: http://127.0.0.1:{port}",
            flush=True,
        )
        experiment.follow(Progress(lineage))
    finally:
        experiment.stop()
    _sum_up(lineage, folder, seed, time.time() - started, experiment.id)
    return folder


def _sum_up(lineage: Lineage, folder: Path, seed: int, seconds: float, experiment: str) -> None:
    records, state = lineage.records(), lineage.read_state()
    rules = selection.Rules.of(state)
    survivors = selection.line(selection.by_generation(records), rules)
    founder, survivor = survivors[0], survivors[-1]
    print(
        f"\nThe evolution ended: {state['finished']}.\n\n{generations_table(records, survivors)}\n"
    )
    draw_frontier(frontier_facts(records, survivors, state["tolerance"]), folder / "frontier.png")
    write_json(
        folder / "summary.json",
        {
            "seed": seed,
            "seconds": round(seconds, 1),
            "generations": records[-1].generation,
            "experiment": experiment,
            "efficiency": survivor.efficiency,
            "founder": _cost(founder),
            "survivor": {"uid": survivor.uid, **_cost(survivor)},
        },
    )
    print(f"Fidelity against efficiency: {folder / 'frontier.png'}")
    print(f"Smallest faithful network:   {lineage.network_path(survivor.uid)}")
    print(
        f"NNI's web page of this run:  {Path(sys.executable).parent / 'nnictl'} view {experiment} --port 8081"
    )
    print(
        f"{survivor.efficiency:.1f}x fewer synapses in {seconds:.0f} s. The run's folder, with summary.json:"
    )


def _cost(record: Record) -> dict:
    return {
        "synapses": record.synapses,
        "macs": record.macs,
        "validation": record.validation,
        "test": record.test,
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("stress.yml"), help="experiment file")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="where the run's folder is made"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args(arguments)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # so that the manager is stopped then, too
    try:
        folder = run(options.config, options.runs, options.seed, options.port)
    except launch.LaunchError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the experiment was stopped")
    print(folder)


if __name__ == "__main__":
    main()
