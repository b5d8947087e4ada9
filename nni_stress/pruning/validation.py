"""Checks of the arguments of a pruner, before NNI sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nni.compression.utils.evaluator import Evaluator
from torch import nn

from ..hparams import PrunerArguments, check_value
from .importances import IMPORTANCES
from .screening import Screen


def check_whole(**numbers: Any) -> None:
    """Check that every number given, if not None, is a whole number of at least 1.

    Raises
    ------
    ValueError
        Naming the first one that is not.

    Examples
    --------
    >>> check_whole(floor=3, training_steps=None)
    """
    for name, value in numbers.items():
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value < 1
        ):
            raise ValueError(f"{name} must be a whole number of at least 1, but got {value!r}")


def phase_length(
    max_steps: int | None,
    max_epochs: int | None,
    training_steps: int | None,
    steps_per_epoch: int | None,
) -> int:
    """Length of a stress phase in optimizer steps.

    Parameters
    ----------
    max_steps, max_epochs
        As ``compress`` takes them.
    training_steps, steps_per_epoch
        As :class:`nni_stress.StressPruner` takes them.

    Raises
    ------
    ValueError
        If the length is not given, or is no whole number of at least 1.

    Examples
    --------
    >>> phase_length(max_steps=None, max_epochs=2, training_steps=None, steps_per_epoch=50)
    100
    """
    check_whole(max_steps=max_steps, max_epochs=max_epochs)
    if max_epochs is not None and max_steps is None:
        if steps_per_epoch is None:
            raise ValueError(
                f"compress(max_epochs={max_epochs}) needs steps_per_epoch, but got none"
            )
        max_steps = max_epochs * steps_per_epoch
    steps = max_steps or training_steps
    if steps is None:
        raise ValueError(
            "the length of the stress phase must be given by compress(max_steps=...) or "
            "training_steps=..., but got neither"
        )
    return steps


def check_worth(worth: Any) -> None:
    """Check that `worth` is a pair of positive numbers within their bounds.

    Raises
    ------
    ValueError, TypeError
        If it is not.

    Examples
    --------
    >>> check_worth((2.0, 0.5))
    """
    if not isinstance(worth, (tuple, list)) or len(worth) != 2:
        raise TypeError(
            f"worth must be a pair of numbers, for the first and the last layers, but got {worth!r}"
        )
    for name, value in zip(("early_worth", "late_worth"), worth):
        check_value(name, value)


def check_kinds(model: Any, evaluator: Any, existed_wrappers: Any, seed: Any) -> None:
    """Check the types of a pruner's arguments.

    Raises
    ------
    TypeError
        Naming the first one of another type.

    Examples
    --------
    >>> check_kinds(nn.Linear(2, 2), evaluator=None, existed_wrappers=None, seed=0)
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, but got {model!r}")
    if evaluator is not None and not isinstance(evaluator, Evaluator):
        raise TypeError(f"evaluator must be one of NNI's evaluators or None, but got {evaluator!r}")
    if existed_wrappers is not None and not isinstance(existed_wrappers, Mapping):
        raise TypeError(
            f"existed_wrappers must be {{module name: wrapper}} or None, but got "
            f"{existed_wrappers!r}"
        )
    for name, wrapper in (existed_wrappers or {}).items():
        if any(buffer.is_meta for buffer in wrapper.buffers()):
            raise TypeError(
                f"wrappers must have masks with values, but those of {name} are on the meta device"
            )
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be a whole number, but got {seed!r}")


def check_combination(
    arguments: PrunerArguments,
    config_list: list[dict[str, Any]],
    evaluator: Evaluator | None,
    budget: Any,
    candidates: int,
    screen: Any,
) -> None:
    """Check that a pruner's arguments go together.

    Parameters
    ----------
    arguments
        Settings of stress and genetics.
    config_list
        The config list, checked.
    evaluator, budget, candidates, screen
        As :class:`nni_stress.StressPruner` takes them.

    Raises
    ------
    ValueError
        Naming the arguments that do not.

    Examples
    --------
    >>> check_combination(PrunerArguments(), [{"op_types": ["Linear"]}], None, None, 1, None)
    """
    if IMPORTANCES[arguments.strength].needs_training and evaluator is None:
        raise ValueError(
            f"strength={arguments.strength!r} is gathered while training: it needs an evaluator, "
            f"but got none"
        )
    if candidates > 1 and (budget is None or not isinstance(screen, Screen)):
        raise ValueError(
            f"candidates={candidates} needs a budget to draw around and a Screen to judge on, but "
            f"got budget={budget!r} and a screen of {type(screen).__name__}"
        )
    with_ratios = any("sparse_ratio" in config for config in config_list)
    if budget is not None and (arguments.encoding != "cluster" or with_ratios):
        raise ValueError(
            f"a budget needs encoding='cluster' and a config list without sparse_ratio, but got "
            f"encoding={arguments.encoding!r} and {config_list!r}"
        )
