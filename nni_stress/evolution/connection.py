"""The tuner's connection to NNI's manager: requests for parameters, parameters sent, an error."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from ..lineage.trial_spec import TrialSpec
from ..nni_runtime.manager import say


class Connection:
    """Sends what NNI's manager asked for.

    NNI forgets a request that is not answered at once, so each request is kept as a credit. NNI's
    ``st_callback`` is the only way to send parameters without their being confused.

    Examples
    --------
    >>> connection = Connection()
    >>> connection.request([0, 1])
    >>> connection.is_open, connection.can_send
    (False, False)
    """

    def __init__(self) -> None:
        self._callback: Any = None
        self._credits: deque[int] = deque()

    @property
    def is_open(self) -> bool:
        """Whether NNI's callback is known."""
        return self._callback is not None

    @property
    def can_send(self) -> bool:
        """Whether a request is not answered yet."""
        return self.is_open and bool(self._credits)

    def open(self, callback: Any) -> None:
        """Store NNI's callback, a bound method of the object to which errors are reported."""
        self._callback = callback

    def request(self, ids: Iterable[int]) -> None:
        """Keep requests, named by NNI's parameter ids."""
        self._credits.extend(ids)

    def send(self, spec: TrialSpec) -> None:
        """Answer the oldest request."""
        self._callback(self._credits.popleft(), spec.to_message())

    def report_error(self, reason: str) -> None:
        """End the experiment in ERROR with this reason, once NNI's callback is known."""
        if self._callback is not None:
            say(reason)
            self._callback.__self__.report_error(reason)
