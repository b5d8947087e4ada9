"""`make demo`: evolve a network through nnictl, show progress, and summarize the result."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from nni_stress.evolution import selection
from nni_stress.evolution.rules import Rules
from nni_stress.experiment import launch
from nni_stress.experiment.config_file import read as read_config
from nni_stress.lineage.store import Lineage, Record
from nni_stress.utils.atomic_files import write_json
from nni_stress.visualization.frontier import draw_frontier, frontier_facts
from nni_stress.visualization.text import generations_table, offspring_line


class Progress:
    """Prints a line for each new generation, and for each offspring that is recorded or failed.

    Parameters
    ----------
    lineage
        Lineage of the evolution under way.
    """

    def __init__(self, lineage: Lineage) -> None:
        self._lineage = lineage
        self._shown: set[str] = set()
        self._generation = -1

    def __call__(self) -> None:
        """Print what is new since the last call."""
        state = self._lineage.read_state() or {}
        if state.get("generation", -1) > self._generation:
            self._show_offspring()  # the last ones of the generation before
            self._generation = state["generation"]
            self._show_generation(state)
        self._show_offspring()

    def _show_generation(self, state: dict[str, Any]) -> None:
        planned = self._lineage.planned_generation(self._generation)
        if self._generation == 0:
            print("generation 0: the founder", flush=True)
        elif planned is not None and planned.matures:
            print("maturation of the best", flush=True)
        else:
            print(
                f"generation {self._generation} of at most {state['generations']}: "
                f"{state['population_size']} offspring",
                flush=True,
            )

    def _show_offspring(self) -> None:
        for record in self._lineage.records():
            if record.uid not in self._shown:
                self._shown.add(record.uid)
                print(offspring_line(record), flush=True)
        for failure in self._lineage.failures():
            if failure["uid"] not in self._shown:
                self._shown.add(failure["uid"])
                print(f"  {failure['uid']}  lost: {failure['reason']}", flush=True)


def run(config_file: Path, runs: Path, seed: int, port: int) -> Path:
    """Run an experiment to its end; its NNI manager is stopped in any case.

    Parameters
    ----------
    config_file
        Experiment file.
    runs
        Folder in which the run's folder is made.
    seed
        Seed of the evolution.
    port
        Port of NNI's manager and web page.

    Returns
    -------
    pathlib.Path
        Folder of the run.

    Raises
    ------
    nni_stress.experiment.launch.LaunchError
        If the experiment cannot be started, or fails.
    """
    config = read_config(config_file)
    started = time.time()
    folder = (runs / f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-seed{seed}").resolve()
    lineage = Lineage(folder / "lineage")
    class_args = config["tuner"].setdefault("classArgs", {})
    class_args.update(seed=seed, folder=str(lineage.folder))
    experiment = launch.start(config, folder, port)
    try:
        print(f"NNI experiment {experiment.id}, web page: {experiment.page}", flush=True)
        experiment.follow(Progress(lineage))
    finally:
        experiment.stop()
    _summarize(lineage, folder, seed, time.time() - started, experiment.id)
    return folder


def _summarize(lineage: Lineage, folder: Path, seed: int, seconds: float, experiment: str) -> None:
    records, state = lineage.records(), lineage.read_state() or {}
    rules = Rules.of(state)
    survivors = selection.line(selection.by_generation(records), rules)
    founder, survivor = survivors[0], survivors[-1]
    figure = folder / "frontier.png"
    draw_frontier(frontier_facts(records, survivors, state["tolerance"]), figure)
    summary = {
        "seed": seed,
        "seconds": round(seconds, 1),
        "generations": records[-1].generation,
        "experiment": experiment,
        "efficiency": survivor.efficiency,
        "founder": _measurements(founder),
        "survivor": {"uid": survivor.uid, **_measurements(survivor)},
    }
    write_json(folder / "summary.json", summary)
    nnictl = Path(sys.executable).parent / "nnictl"
    print(
        f"\nThe evolution ended: {state['finished']}.\n\n"
        f"{generations_table(records, survivors)}\n\n"
        f"Fidelity against efficiency: {figure}\n"
        f"Smallest faithful network:   {lineage.network_path(survivor.uid)}\n"
        f"NNI's web page of this run:  {nnictl} view {experiment} --port 8081\n"
        f"{survivor.efficiency:.1f}x fewer synapses in {seconds:.0f} s. "
        f"The run's folder, with summary.json:"
    )


def _measurements(record: Record) -> dict[str, Any]:
    return {
        "synapses": record.synapses,
        "macs": record.macs,
        "validation": record.validation,
        "test": record.test,
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the demo; `arguments` are those of the command line by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("stress.yml"), help="experiment file")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder in which the run's folder is made"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args(arguments)
    # SIGTERM raises KeyboardInterrupt, so that the manager is stopped then as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        folder = run(options.config, options.runs, options.seed, options.port)
    except launch.LaunchError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the experiment was stopped")
    print(folder)


if __name__ == "__main__":
    main()
