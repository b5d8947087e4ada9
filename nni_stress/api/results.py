"""What an evolution achieved, for use from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..evolution.ancestry import best_survivor
from ..lineage.locate import find_lineage
from ..lineage.record import Record
from ..lineage.store import FOUNDER, Lineage
from ..visualization.snapshot import Overview, overview

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from torch import nn

    from ..deployment.export import Exported
    from ..trial.task import Task


class Evolution:
    """A lineage, while it evolves or afterwards. It is only read, and always as it is now.

    Parameters
    ----------
    folder
        Folder of the lineage.
    task
        What was evolved, which networks are made by. None: there are records, but no networks.

    Examples
    --------
    >>> import tempfile
    >>> Evolution(tempfile.mkdtemp()).records
    []
    """

    def __init__(self, folder: str | Path, task: Task | None = None):
        self.folder = Path(folder)
        self._task = task

    @property
    def overview(self) -> Overview:
        """The whole lineage at this moment, with its rules, generations, survivors and losses."""
        return overview(self.folder)

    @property
    def finished(self) -> str | None:
        """Why the evolution ended; None if it has not."""
        return self.overview.finished

    @property
    def records(self) -> list[Record]:
        """Records of all offspring, the founder's first.

        Their efficiency is in the resource that the evolution saves.
        """
        return [record for _, record in self.overview.recorded] if self._has_state() else []

    @property
    def founder(self) -> Record:
        """The founder's record.

        Raises
        ------
        ValueError
            If the founder is not there yet.
        """
        found = self.overview.founder
        if found is None:
            raise ValueError(f"{self.folder}: the founder is not there yet")
        return found

    @property
    def best(self) -> Record:
        """Record of the best survivor of the last generation that has one.

        Raises
        ------
        ValueError
            If the founder is not there yet.
        """
        uid = best_survivor(Lineage(self.folder)).uid
        return next(record for record in self.records if record.uid == uid)

    @property
    def frontier(self) -> list[Record]:
        """Records that no other surpasses in both fidelity and efficiency, the smallest first."""
        return list(self.overview.frontier)

    def network(self, uid: str | None = None) -> nn.Module:
        """A network of the lineage, trained, on the CPU.

        Parameters
        ----------
        uid
            Name of the offspring, as "g003-01". None: the best survivor.

        Raises
        ------
        ValueError
            If there is no such offspring, its file is damaged, or no task is known.
        """
        from ..graph import serialization

        if self._task is None:
            raise ValueError(
                "a network needs the task that makes it: open_lineage(folder, task), but got none"
            )
        lineage = Lineage(self.folder)
        record = self.best if uid is None else lineage.record(uid)
        if record is None:
            raise ValueError(f"{self.folder} holds no offspring {uid}")
        with lineage.open_network(record):  # compares the file with its record
            pass
        return serialization.load(lineage.network_path(record.uid), self._task.network)

    def export(
        self,
        folder: str | Path,
        uid: str | None = None,
        formats: Sequence[str] = ("onnx",),
        int8: bool = False,
    ) -> Exported:
        """Write a network into a new folder, with its record and files for other runtimes.

        Parameters
        ----------
        folder
            A folder that does not exist yet, or is empty.
        uid
            Name of the offspring, as "g003-01". None: the best survivor.
        formats
            Formats beside safetensors: "onnx" and "pt2" (of torch.export). They need the task.
        int8
            Whether to write an 8-bit ONNX file, too, calibrated on the task's screening batch.

        Returns
        -------
        nni_stress.deployment.export.Exported
            The record, with size and latency of each file.

        Raises
        ------
        ExportError
            If a format cannot be written; all others are.
        ValueError, OSError, ImportError
            If nothing is written: there is no such network, the folder is in use, a package is
            missing.
        """
        from ..deployment.export import export

        return export(Lineage(self.folder), folder, self._task, uid, formats, int8)

    def frame(self) -> pd.DataFrame:
        """All records as a pandas frame, a row for each offspring, by name.

        Hyperparameters are columns of their own; architecture and curve are left out.
        """
        import pandas as pd

        rows = []
        for record in self.records:
            row = record._asdict()
            for name in ("architecture", "curve", "digest"):
                del row[name]
            seconds = row.pop("seconds")
            row["seconds"] = sum(seconds.values())
            rows.append({**row, **row.pop("arguments")})
        return pd.DataFrame(rows).set_index("uid") if rows else pd.DataFrame()

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw fidelity against efficiency of all offspring, with the frontier.

        Parameters
        ----------
        axes
            Where it is drawn; None: on new axes.
        """
        from matplotlib import pyplot

        axes = axes or pyplot.subplots(figsize=(6, 4), layout="constrained")[1]
        seen = self.overview
        records = [record for _, record in seen.recorded]
        groups = {
            "offspring": [r for r in records if r.uid not in seen.survivors],
            "survivors": [r for r in records if r.uid in seen.survivors and r.uid != FOUNDER],
            "founder": [r for r in records if r.uid == FOUNDER],
        }
        for (name, own), marker in zip(groups.items(), ".os"):
            axes.scatter(
                [r.efficiency for r in own], [r.validation for r in own], marker=marker, label=name
            )
        line = sorted(seen.frontier, key=lambda record: record.efficiency)
        if not records:
            raise ValueError(f"{self.folder}: there is nothing to draw yet")
        axes.plot(
            [r.efficiency for r in line], [r.validation for r in line], lw=1, label="frontier"
        )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}x")
        axes.set_xlabel(f"times fewer {seen.rules.resource} than the founder")
        axes.set_ylabel("fidelity (validation)")
        axes.legend()
        return axes

    def __repr__(self) -> str:
        """The state of the evolution as text, as `status` prints it."""
        from ..visualization.text import status_text

        if not self._has_state():
            return f"<Evolution in {self.folder}, not begun>"
        return status_text(self.overview)

    def _repr_html_(self) -> str:
        """The lineage's page, for notebooks: in a frame, as it has styles of its own."""
        from html import escape

        from ..visualization.html_page import lineage_page

        if not self._has_state():
            return f"<pre>{escape(repr(self))}</pre>"
        return (
            f'<iframe srcdoc="{escape(lineage_page(self.folder), quote=True)}" '
            'style="width: 100%; height: 640px; border: 1px solid #8886" sandbox></iframe>'
        )

    def _has_state(self) -> bool:
        return (self.folder / "state.json").exists()


def open_lineage(folder: str | Path, task: Task | None = None) -> Evolution:
    """Open a lineage that `evolve` or an experiment of nnictl has written; it is only read.

    Parameters
    ----------
    folder
        Folder of the lineage or the run, or NNI's id of the experiment.
    task
        What was evolved; None: there are records, but no networks.

    Raises
    ------
    ValueError
        If there is no lineage.

    Examples
    --------
    >>> import tempfile
    >>> open_lineage(tempfile.mkdtemp())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: ...
    """
    return Evolution(find_lineage(str(folder)), task)
