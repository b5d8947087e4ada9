"""Hands the built-in pruners' trials of a contest to NNI, each cell searched by NNI's TPE. No torch here."""

from __future__ import annotations

import threading
from pathlib import Path

import nni
from nni.tuner import Tuner

from nni_stress.evolution.search import Lesson, Search
from nni_stress.nni_runtime.loopback import refuse_exposed_manager
from nni_stress.nni_runtime.manager import refuse, say
from nni_stress.utils.seeding import seed_of

from .contest import (
    ABLATIONS,
    Cell,
    Contest,
    cell_path,
    pruner_of,
    read_cell,
    read_contest,
    write_cell,
)


class ContestTuner(Tuner):
    """Suggests what is missing in the folder of a contest, cell by cell, and records what comes back.

    Every cell has a search of its own; while there are other cells to go on with, its next trial waits for what the last
    one taught. What is recorded is not done again, so a contest that was interrupted is simply started once more.

    Parameters
    ----------
    folder
        The contest's, with its contest.yml and records.
    spaces
        {method: search space} of all built-in methods.
    founder
        File of the founder.
    """

    def __init__(self, folder: str, spaces: dict, founder: str):
        super().__init__()
        try:
            refuse_exposed_manager()
            self._contest: Contest = read_contest(Path(folder) / "contest.yml")
            self._folder, self._spaces, self._founder = Path(folder), spaces, founder
            self._cells = [cell for cell in self._contest.cells() if cell.method not in ABLATIONS]
            self._found = {cell: read_cell(self._folder, cell) for cell in self._cells}
        except (TypeError, ValueError, OSError) as error:
            refuse(error)
        self._search, self._lock = (
            Search("TPE", {"tpe_args": {"n_startup_jobs": 4}}),
            threading.Lock(),
        )
        self._under_way: dict[
            int, tuple[Cell, int]
        ] = {}  # {NNI's parameter_id: cell and number of the trial}

    def update_search_space(self, search_space):
        """Nothing: every method has a search space of its own."""

    def generate_parameters(self, parameter_id, **kwargs):
        with self._lock:
            cell, number = self._next()
            self._under_way[parameter_id] = cell, number
            lessons = [
                Lesson(trial["knobs"], trial.get("validation", 0.0)) for trial in self._found[cell]
            ]
            (knobs,) = self._search.suggestions(
                self._spaces[pruner_of(cell.method)], lessons, 1, seed_of(*cell, number, "search")
            )
            contest = self._contest
            return dict(
                **cell._asdict(),
                trial=number,
                pruner=pruner_of(cell.method),
                knobs=knobs,
                task=contest.task,
                epochs=contest.share(cell.method)[1],
                task_arguments=dict(contest.task_arguments),
                founder=self._founder,
            )

    def _next(self) -> tuple[Cell, int]:
        busy = [cell for cell, _ in self._under_way.values()]
        open_cells = []
        for cell in self._cells:
            taken = {trial["trial"] for trial in self._found[cell]} | {
                n for c, n in self._under_way.values() if c == cell
            }
            missing = [
                number
                for number in range(self._contest.share(cell.method)[0])
                if number not in taken
            ]
            if missing:
                open_cells.append((cell in busy, cell, missing[0]))
                if cell not in busy:
                    break
        if not open_cells:
            raise nni.NoMoreTrialError("all trials of the contest are done or under way")
        _, cell, number = min(open_cells, key=lambda entry: entry[0])
        return cell, number

    def receive_trial_result(self, parameter_id, parameters, value, **kwargs):
        """The result itself says whose it is: NNI may pair it with other parameters."""
        with self._lock:
            cell = Cell(*(value[name] for name in Cell._fields))
            if cell not in self._found:
                return
            trials = [trial for trial in self._found[cell] if trial["trial"] != value["trial"]]
            trials.append(
                {key: one for key, one in value.items() if key not in ("default", *Cell._fields)}
            )
            self._found[cell] = trials
            write_cell(self._folder, cell, trials)
            if len(trials) == self._contest.share(cell.method)[0]:
                say(f"{cell.name} is done: {cell_path(self._folder, cell)}")

    def trial_end(self, parameter_id, success, **kwargs):
        with self._lock:
            self._under_way.pop(parameter_id, None)

    def import_data(self, data):
        """Nothing: all is read from the contest's folder."""
