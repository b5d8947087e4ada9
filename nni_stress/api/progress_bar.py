"""The progress bar of an evolution, in a terminal or a notebook."""

from __future__ import annotations

import threading
import warnings
from types import TracebackType
from typing import Any

from ..lineage.moment import Moment, read_moment
from ..lineage.store import Lineage


def expected(arguments: dict[str, Any]) -> int:
    """Number of trials that an evolution has at most, the founder's and maturations included.

    Examples
    --------
    >>> expected({"generations": 3, "population_size": 4, "maturation_epochs": 2.0, "matured": 1})
    14
    """
    matured = arguments["matured"] if arguments["maturation_epochs"] else 0
    return 1 + int(arguments["generations"] * arguments["population_size"]) + int(matured)


class ProgressBar:
    """Shows trials made out of those expected, and what trains now.

    Parameters
    ----------
    lineage
        The lineage, which tells what is made already.
    trials
        Number of trials expected.
    shown
        Whether there is a bar at all.

    Examples
    --------
    >>> with ProgressBar(Lineage("/nonexistent"), 14, shown=False) as bar:
    ...     bar(Moment("g001-00", "stress", 3, 10, 1, 0.5, None, None, 0.1, 0.0))
    """

    def __init__(self, lineage: Lineage, trials: int, shown: bool = True):
        self._lineage = lineage
        self._moments: dict[str, Moment] = {}
        self._bar = _make_bar(trials, shown)
        self._lock = threading.Lock()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bar; a complete one if the evolution has ended, perhaps early."""
        if kind is None:
            self._bar.total = self._made()
            self._show(self._made(), "")
            self._bar.refresh()
        self._bar.close()

    def __call__(self, moment: Moment) -> None:
        """Take what a trial of this process tells."""
        with self._lock:
            new = moment.uid not in self._moments
            self._moments = {moment.uid: moment}
            made = self._made() if new else int(self._bar.n)
            self._show(made + 0.999 * moment.share, f"{moment.uid} {moment.describe(moment.time)}")

    def look(self, uids: list[str]) -> None:
        """Look at the progress files of trials in other processes.

        Parameters
        ----------
        uids
            Names of the offspring that are being made.
        """
        moments = [m for uid in uids if (m := read_moment(self._lineage, uid)) is not None]
        note = "; ".join(f"{m.uid} {m.phase}" for m in moments)
        self._show(self._made() + 0.999 * sum(m.share for m in moments), note)

    def _made(self) -> int:
        return len(self._lineage.uids()) + len(self._lineage.failures())

    def _show(self, n: float, note: str) -> None:
        bar = self._bar
        bar.set_postfix_str(note, refresh=False)
        bar.update(n - bar.n)


def _make_bar(trials: int, shown: bool) -> Any:
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # of a notebook without ipywidgets
        from tqdm.auto import tqdm
    return tqdm(
        total=trials,
        disable=not shown,
        desc="evolution",
        unit="trial",
        dynamic_ncols=True,
        mininterval=0.5,
        bar_format="{desc}: {percentage:3.0f}% {bar} {n:.1f}/{total} trials, "
        "{elapsed} and {remaining} to go{postfix}",
    )
