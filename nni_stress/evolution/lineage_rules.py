"""The rules of an evolution as its lineage states them on disk. Imports neither torch nor NNI."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..exceptions import DamagedFileError
from ..utils.messages import one_line
from .rules import Rules
from .tuner_arguments import check_values

_WHOLE_NUMBERS = ("generation", "incarnation", "population_size")


def rules_in(state: Mapping[str, Any], path: Path) -> Rules:
    """The rules in a lineage's state, checked.

    Parameters
    ----------
    state
        Content of the lineage's ``state.json``.
    path
        That file, for errors.

    Raises
    ------
    DamagedFileError
        If a rule is missing or wrong, or another number of the state is; in one line.

    Examples
    --------
    >>> state = Rules(generations=3, tolerance=0.01)._asdict()
    >>> rules_in(state, Path("state.json")).generations
    3
    >>> rules_in({**state, "patience": -1}, Path("state.json"))
    Traceback (most recent call last):
        ...
    nni_stress.exceptions.DamagedFileError: state.json: patience must be a whole number of at least 0, but got -1
    """  # noqa: E501, the error is one line
    missing = [name for name in Rules._fields if name not in state]
    if missing:
        raise DamagedFileError(
            f"{path} must name the rules of an evolution, but lacks {', '.join(missing)}"
        )
    rules = Rules.of(state)
    try:
        check_values(rules._asdict())
        for name in _WHOLE_NUMBERS:
            if type(state.get(name, 0)) is not int:
                raise ValueError(f"{name} must be a whole number, but got {state[name]!r}")
    except (TypeError, ValueError) as error:
        raise DamagedFileError(f"{path}: {one_line(error)}") from None
    return rules._replace(constraints=rules.constraints or {})
