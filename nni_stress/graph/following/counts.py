"""Numbers of labels that survive, and equations between them and the sizes of a program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .relations import Reason
from .sizes import Computed


class Count(NamedTuple):
    """The number of labels that survive, in an expression.

    Parameters
    ----------
    labels
        What is counted, one row for each: it survives if any of its labels does. Shape (number,
        labels of each).
    """

    labels: NDArray[np.int64]


class Demand(NamedTuple):
    """An equation between sizes that must hold for the small network, too.

    Parameters
    ----------
    expression
        A size, or a number computed from sizes, of attributes and counts.
    wanted
        What it must be: the number of labels that survive, or a value that must not change.
    reason
        Where the program uses it.
    """

    expression: Any
    wanted: Count | float
    reason: Reason

    def labels(self) -> NDArray[np.int64]:
        """All labels that it depends on."""
        found = [count.labels.reshape(-1) for count in counts_in(self.expression)]
        if isinstance(self.wanted, Count):
            found.append(self.wanted.labels.reshape(-1))
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))


def counts_in(expression: Any) -> Iterator[Count]:
    """All counts in an expression."""
    if isinstance(expression, Count):
        yield expression
    elif isinstance(expression, Computed):
        for operand in expression.operands:
            yield from counts_in(operand)
