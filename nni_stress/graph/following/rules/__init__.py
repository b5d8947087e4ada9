"""What operators do to labels: one file for each kind of operator.

A rule is a function of the context and the call. To add one, write it into the file of its kind and
enter it in that file's ``RULES``. Operators without a rule fix all labels that they meet.
"""

from __future__ import annotations

from ..context import Rule
from . import (
    cells,
    convolutions,
    creation,
    elementwise,
    indexing,
    joins,
    moves,
    norms,
    products,
    reductions,
    splits,
    windows,
    writes,
)

RULES: dict[str, Rule] = {
    **creation.RULES,
    **elementwise.RULES,
    **products.RULES,
    **convolutions.RULES,
    **norms.RULES,
    **reductions.RULES,
    **windows.RULES,
    **joins.RULES,
    **moves.RULES,
    **splits.RULES,
    **indexing.RULES,
    **writes.RULES,
    **cells.RULES,
}
