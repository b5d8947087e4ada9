"""NNI tuner that hands out the built-in pruners' trials of a contest; imports no torch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nni
from nni.tuner import Tuner

from nni_stress.evolution.search import Observation, Search
from nni_stress.nni_runtime.loopback import refuse_exposed_manager
from nni_stress.nni_runtime.manager import refuse, say
from nni_stress.utils.seeding import seed_of

from .cell_records import cell_path, read_cell, write_cell
from .contest import ABLATIONS, Cell, Contest, pruner_of
from .contest_file import read_contest


class ContestTuner(Tuner):
    """Suggests the trials that are missing in a contest's folder, and records their results.

    Every cell has a search of its own, by NNI's TPE. While another cell has trials to start, the
    next trial of a cell waits for the result of its last one. Trials on record are not repeated, so
    an interrupted contest is resumed by starting it again.

    Parameters
    ----------
    folder
        The contest's folder, with its contest.yml and records.
    spaces
        {method: search space} of all built-in pruners.
    show
        Takes a line for every cell that is done.
    """

    def __init__(
        self,
        folder: str,
        spaces: dict[str, dict[str, Any]],
        show: Callable[[str], None] = say,
    ):
        super().__init__()
        try:
            refuse_exposed_manager()
            self._contest: Contest = read_contest(Path(folder) / "contest.yml")
            self._folder = Path(folder)
            self._cells = [cell for cell in self._contest.cells() if cell.method not in ABLATIONS]
            self._trials = {cell: read_cell(self._folder, cell) for cell in self._cells}
        except (TypeError, ValueError, OSError) as error:
            refuse(error)
        self._spaces = spaces
        self._show = show
        self._search = Search("TPE", {"tpe_args": {"n_startup_jobs": 4}})
        self._lock = threading.Lock()
        self._running: dict[int, tuple[Cell, int]] = {}  # {parameter_id: (cell, trial)}

    def update_search_space(self, search_space: dict[str, Any]) -> None:
        """Do nothing: every method has a search space of its own."""

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        """Suggest the next missing trial; ``nni.NoMoreTrialError`` where there is none."""
        with self._lock:
            cell, number = self._next()
            self._running[parameter_id] = cell, number
            return {
                **cell._asdict(),
                "trial": number,
                "pruner": pruner_of(cell.method),
                "knobs": self._suggest(cell, number),
                "epochs": self._contest.share(cell.method)[1],
            }

    def _suggest(self, cell: Cell, number: int) -> dict[str, Any]:
        observations = [
            Observation(trial["knobs"], trial.get("validation", 0.0))
            for trial in self._trials[cell]
        ]
        seed = seed_of(*cell, number, "search")
        space = self._spaces[pruner_of(cell.method)]
        return self._search.suggestions(space, observations, 1, seed)[0]

    def _next(self) -> tuple[Cell, int]:
        """Choose the first missing trial, of a cell without a running trial if there is one."""
        busy_cells = [cell for cell, _ in self._running.values()]
        candidates = []
        for cell in self._cells:
            taken = {trial["trial"] for trial in self._trials[cell]}
            taken |= {number for running, number in self._running.values() if running == cell}
            missing = set(range(self._contest.share(cell.method)[0])) - taken
            if missing:
                candidates.append((cell in busy_cells, cell, min(missing)))
                if cell not in busy_cells:
                    break
        if not candidates:
            raise nni.NoMoreTrialError("all trials of the contest are done or running")
        _, cell, number = min(candidates, key=lambda candidate: candidate[0])
        return cell, number

    def receive_trial_result(
        self, parameter_id: int, parameters: Any, value: dict[str, Any], **kwargs: Any
    ) -> None:
        """Record a result. It names its own cell: NNI may pair it with other parameters."""
        with self._lock:
            cell = next((cell for cell in self._cells if self._is_of(value, cell)), None)
            if cell is None:
                return
            trials = [trial for trial in self._trials[cell] if trial["trial"] != value["trial"]]
            unrecorded = ("default", *Cell._fields)
            trials.append({key: item for key, item in value.items() if key not in unrecorded})
            self._trials[cell] = trials
            write_cell(self._folder, cell, trials)
            if len(trials) == self._contest.share(cell.method)[0]:
                self._show(f"{cell.name} is done: {cell_path(self._folder, cell)}")

    def _is_of(self, value: Any, cell: Cell) -> bool:
        """Tell whether a result is that of a trial of this cell."""
        return (
            isinstance(value, dict)
            and [value.get(name) for name in Cell._fields] == list(cell)
            and value.get("trial") in range(self._contest.share(cell.method)[0])
        )

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        """Forget a running trial; one without a result is handed out again."""
        with self._lock:
            self._running.pop(parameter_id, None)

    def import_data(self, data: Any) -> None:
        """Do nothing: everything is read from the contest's folder."""
