"""Names of users in a search space, checked where their code has run: in a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..evolution.search_space import own_names_in


def check_own_names(space: Mapping[str, Any]) -> None:
    """Check that all names of the user's in a search space are registered in this process.

    Parameters
    ----------
    space
        A valid search space.

    Raises
    ------
    ValueError
        Naming the first that is not.

    Examples
    --------
    >>> check_own_names({"stressor": {"_type": "choice", "_value": ["weaken"]}})
    >>> unknown = {"strength": {"_type": "choice", "_value": ["my::size"]}}
    >>> check_own_names(unknown)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: strength must be one of magnitude, ..., but got 'my::size'
    """
    named = own_names_in(space)
    if not named:
        return
    from ..pruning.importances import IMPORTANCES  # takes a second, which other trials save
    from ..pruning.stressors import STRESSORS

    registries: Mapping[str, Any] = {"strength": IMPORTANCES, "stressor": STRESSORS}
    for parameter, names in named.items():
        for name in names:
            registries[parameter][name]
