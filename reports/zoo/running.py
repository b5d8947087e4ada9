"""Runs measurements, each in a process of its own with a time limit, and keeps their record."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from nni_stress.utils.atomic_files import read_json, write_json

from .measuring import measure
from .networks import NETWORKS
from .structures import STRUCTURES

ENTRIES = {**NETWORKS, **STRUCTURES}
# Packages need no network, and are to be silent.
_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "YOLO_OFFLINE": "true",
    "YOLO_VERBOSE": "false",
}
Found = dict[str, Any]


def run(
    path: Path,
    jobs: Iterable[tuple[str, str]],
    environment: dict[str, str],
    measured: Callable[[str, str], Found],
    again: bool = False,
) -> Iterable[tuple[str, str, Found]]:
    """Measure what the record does not have from the same environment, and add it.

    Parameters
    ----------
    path
        File of the record.
    jobs
        Names of networks and of tools.
    environment
        Commit, machine, versions and settings. What was measured in another one is replaced.
    measured
        Measures a network by a tool.
    again
        Whether to measure also what the record has.

    Yields
    ------
    tuple
        Name of the network, name of the tool, and what was measured.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "zoo.json"
    >>> jobs = [("mlp_bn", "budget")]
    >>> [found for *_, found in run(path, jobs, {"commit": "a"}, lambda *_: {"ok": True})]
    [{'ok': True}]
    >>> list(run(path, jobs, {"commit": "a"}, lambda *_: {"ok": False}))
    []
    """
    record = read_json(path) if path.exists() else {"environments": {}, "networks": {}}
    text = json.dumps(environment, sort_keys=True)
    where = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    for name, tool in jobs:
        tools = record["networks"].setdefault(name, {})
        if tools.get(tool, {}).get("environment") == where and not again:
            continue
        found = measured(name, tool)
        tools[tool] = {**found, "environment": where}
        record["environments"][where] = environment
        write_json(path, _tidied(record))
        yield name, tool, found


def _tidied(record: Found) -> Found:
    """The record without environments of which nothing is left."""
    measured = [found for tools in record["networks"].values() for found in tools.values()]
    used = {found["environment"] for found in measured}
    return {
        "environments": {key: record["environments"][key] for key in sorted(used)},
        "networks": record["networks"],
    }


def in_a_process(name: str, tool: str, limit: float) -> Found:
    """Measure a network by a tool in a process of its own.

    Parameters
    ----------
    name, tool
        The network and the tool.
    limit
        Seconds after which the process is ended.

    Returns
    -------
    dict
        What :func:`reports.zoo.measuring.measure` returns; an error where the process took longer,
        or ended without an answer, as for lack of memory.
    """
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_work, args=(name, tool, sender))
    os.environ.update(_QUIET)
    process.start()
    sender.close()
    try:
        if not receiver.poll(limit):
            return {"ok": False, "error": f"not done after {limit:g} s"}
        return receiver.recv()
    except EOFError:
        process.join()
        return {"ok": False, "error": f"the process ended with status {process.exitcode}"}
    finally:
        process.kill()
        process.join()


# A new process begins as a copy of one that has imported what all of them need.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


def _work(name: str, tool: str, sender: Connection) -> None:
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    sender.send(measure(ENTRIES[name], tool))
