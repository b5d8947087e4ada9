"""Names by which the modules of this package are run."""

from __future__ import annotations


def module_name(module: str) -> str:
    """Full name of a module of this package, to be run by ``python -m``.

    Parameters
    ----------
    module
        Name within the package, such as ``alexnet``.

    Returns
    -------
    str
        ``trials.alexnet`` in a checkout, ``nni_stress.trials.alexnet`` in an installed wheel.

    Examples
    --------
    >>> module_name("alexnet").endswith("trials.alexnet")
    True
    """
    return f"{__package__}.{module}"
