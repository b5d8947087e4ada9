"""Checks a task step by step; each step needs some of those before it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from ...utils.logs import quieted
from ...utils.messages import one_line
from ..task import Task
from . import functions, phases
from .plan import Plan
from .report import CheckedTask, Finding, State
from .work import Work

_MANY = 8  # steps that are left out are not named then


class _Step(NamedTuple):
    """A step: what runs, which steps must have gone well, whether it takes little time.

    Where `alone`, any fault before is reason enough to leave it out, as it takes long.
    """

    run: Callable[[Work], str]
    needs: tuple[str, ...] = ()
    brief: bool = False
    alone: bool = False


_STEPS = {
    "plan": _Step(functions.plan),
    "task": _Step(functions.task, brief=True),
    "network": _Step(functions.network, ("task",), brief=True),
    "example": _Step(functions.example, ("network",), brief=True),
    "length": _Step(functions.length, ("task",), brief=True),
    "batch": _Step(functions.batch, ("task",), brief=True),
    "loss": _Step(functions.loss, ("network", "batch"), brief=True),
    "training": _Step(phases.training, ("length", "loss")),
    "fidelity": _Step(functions.fidelity, ("network",)),
    "screening": _Step(functions.screening, ("loss",)),
    "clusters": _Step(phases.clusters, ("network",)),
    "removable": _Step(phases.removable, ("example", "clusters")),
    "synthesis": _Step(phases.synthesis, ("removable",)),
    "stress": _Step(phases.stress, ("training", "removable")),
    "recovery": _Step(phases.recovery, ("stress",)),
    "file": _Step(phases.file, ("synthesis",)),
    "onnx": _Step(phases.onnx, ("file",), alone=True),
    "cost": _Step(phases.cost, ("plan", "fidelity", "recovery", "file")),
}


def examine(
    make_task: Callable[[], Task],
    make_plan: Callable[[], Plan],
    founder: str | Path | None = None,
    tell: Callable[[Finding], None] = lambda finding: None,
    brief: bool = False,
    started: Callable[[], float] = lambda: 0.0,
) -> CheckedTask:
    """Run the steps of a check.

    Parameters
    ----------
    make_task
        Makes the task.
    make_plan
        Makes the plan of the evolution that is to come; what it raises is a fault.
    founder
        The founder's file; None: it is trained.
    tell
        Called with each finding as it is made.
    brief
        Whether to run only steps that take little time.
    started
        Seconds since this process began, asked once the task is made; a trial takes as long.
    """
    findings: list[Finding] = []
    failed: dict[str, None] = {}
    left_out: list[str] = []

    def say(state: State, step: str, text: str) -> None:
        if state is State.FAULT:
            failed[step] = None
            if any(text == finding.text for finding in findings):
                return  # the same fault, met again
        findings.append(Finding(state, step, text))
        tell(findings[-1])

    work = Work(make_task, make_plan, None if founder is None else Path(founder), _unset)
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    # The findings have what parts of this package warn of.
    with torch.random.fork_rng(devices=devices), quieted("nni_stress", logging.ERROR):
        for name, step in _STEPS.items():
            if brief and not step.brief:
                continue
            if any(need in failed or need in left_out for need in step.needs) or (
                step.alone and failed
            ):
                left_out.append(name)
                continue
            work.tell = lambda state, text, name=name: say(state, name, text)  # type: ignore[misc]
            _run(step, work, name, failed)
            if name == "task":
                work.measured.start = started()
    if left_out:
        names = ", ".join(left_out) if len(left_out) < _MANY else "the other steps"
        say(State.SKIPPED, "", f"{names}: they need what has failed")
    return CheckedTask(tuple(findings), work.estimate)


def _run(step: _Step, work: Work, name: str, failed: Mapping[str, None]) -> None:
    try:
        text = step.run(work)
    except Exception as error:  # the user's own code may raise anything
        work.fault(one_line(error))
        return
    if name not in failed:
        work.tell(State.OK, text)


def _unset(state: State, text: str) -> None:
    raise AssertionError("no step is under way")
