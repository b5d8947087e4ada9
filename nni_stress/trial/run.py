"""One trial of an evolution, from the parameters NNI hands out to the result it is told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import nni

from ..lineage.store import FOUNDER
from . import claim
from .errors import InputError, _fatal, _one_line
from .offspring import make_founder, make_offspring
from .task import Task


def run_trial(make_task: Callable[[], Task], founder: str | Path | None = None) -> None:
    """Be one trial of an evolution: receive an offspring, make it, record it, and report it to NNI.

    Parameters
    ----------
    make_task
        Makes the task; its errors (say, a data folder that does not exist) end the experiment with their message.
    founder
        A network file: the founder is read from it, or trained and saved there where it does not exist.
    """
    parameters, lineage = claim.receive()
    uid = parameters["uid"]
    try:
        with _fatal():
            task = make_task()
        record = (
            make_founder(task, parameters, lineage, founder)
            if uid == FOUNDER
            else make_offspring(task, parameters, lineage)
        )
    except Exception as error:
        logging.getLogger(__name__).exception("offspring %s was lost", uid)
        lineage.add_failure(uid, _one_line(error), fatal=isinstance(error, InputError))
        raise SystemExit(1) from None
    nni.report_final_result(
        {
            "default": record.validation,
            "uid": uid,
            "efficiency": record.efficiency,
            "synapses": record.synapses,
            "macs": record.macs,
        }
    )
