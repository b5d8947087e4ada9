"""What a check found, line by line. This module imports neither torch nor NNI."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .estimate import Estimate


class State(str, Enum):
    """How a step of a check ended.

    Examples
    --------
    >>> State("fault") is State.FAULT
    True
    """

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One line of a check.

    Parameters
    ----------
    state
        Whether it is a fault.
    step
        What was checked.
    text
        What was found.

    Examples
    --------
    >>> print(Finding(State.OK, "loss", "2.3 for the first batch"))
    ok       loss        2.3 for the first batch
    """

    state: State
    step: str
    text: str

    def __str__(self) -> str:
        return f"{self.state.value:<9}{self.step:<12}{self.text}".rstrip()


@dataclass(frozen=True, repr=False)
class CheckedTask:
    """What :func:`nni_stress.check` found; ``print`` shows it line by line.

    Parameters
    ----------
    findings
        All lines, in the order of the steps.
    estimate
        What an evolution will cost; None where a step that is needed to tell has failed.

    Examples
    --------
    >>> CheckedTask((Finding(State.FAULT, "loss", "Task.loss must ..., but is nan"),), None)
    fault    loss        Task.loss must ..., but is nan
    """

    findings: tuple[Finding, ...]
    estimate: Estimate | None

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    @property
    def faults(self) -> list[str]:
        """What must be put right before an evolution starts, a line each."""
        return self._texts(State.FAULT)

    @property
    def warnings(self) -> list[str]:
        """What may not be meant so, a line each."""
        return self._texts(State.WARNING)

    def _texts(self, state: State) -> list[str]:
        return [finding.text for finding in self.findings if finding.state is state]

    def __repr__(self) -> str:
        return "\n".join(map(str, self.findings))
