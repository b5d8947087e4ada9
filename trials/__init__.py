"""Ready-made tasks (LeNet-5, AlexNet, YOLOv2), each a script that ``trialCommand`` can run.

In a checkout of the repository this package is called ``trials``; an installed wheel has it as
``nni_stress.trials``. Imports within it are therefore relative, and :func:`module_name` gives the
name of a module where a command has to spell it out.
"""

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
    return f"{__name__}.{module}"
