"""One trial of an evolution, from the parameters NNI hands out to the result it is told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import nni

from ..utils.logs import start_logging
from . import claim, offspring
from .contract import task_of
from .errors import fatal
from .own_names import check_own_names
from .placement import placed
from .task import Task


def run(make_task: Callable[[], Task], founder: str | Path | None = None) -> None:
    """Run one trial of an evolution: take an offspring, make it, record it, and report it to NNI.

    Parameters
    ----------
    make_task
        Makes the task. Its errors, such as a data folder that does not exist, end the whole
        experiment with their message.
    founder
        A network file: the founder is read from it, or trained and saved there if it does not
        exist.

    Raises
    ------
    SystemExit
        If the offspring was lost, which the lineage records with the reason; or if there is none
        to be made by this process.
    """
    spec, lineage = claim.receive()
    try:
        with fatal():
            start_logging("info")
        task = task_of(make_task)
        with fatal():
            check_own_names((lineage.read_state() or {}).get("search_space") or {})
        task = placed(task)
        record = offspring.make(task, spec, lineage, founder)
    except Exception as error:
        logging.getLogger(__name__).exception("offspring %s was lost", spec.uid)
        offspring.note_loss(lineage, spec.uid, error)
        raise SystemExit(1) from None
    nni.report_final_result(
        {
            "default": record.validation,
            "uid": record.uid,
            "efficiency": record.efficiency,
            "synapses": record.synapses,
            "macs": record.macs,
        }
    )
