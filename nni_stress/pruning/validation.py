"""Checks of the arguments of a pruner, before NNI sees them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from nni.compression.base.compressor import Compressor, Pruner
from nni.compression.utils.evaluator import Evaluator
from torch import nn

from ..hparams import PrunerArguments, check_value
from .importances import IMPORTANCES
from .screening import Screen

_log = logging.getLogger(__name__)


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
            "the length of the stress phase must be given by compress(max_steps=...), "
            "stress(steps=...) or training_steps=..., but got none of them"
        )
    return steps


def check_untrained(
    arguments: PrunerArguments, max_steps: int | None, max_epochs: int | None
) -> None:
    """Check that an offspring can be drawn without training, as there is no evaluator.

    Parameters
    ----------
    arguments
        Settings of stress and genetics.
    max_steps, max_epochs
        As ``compress`` takes them.

    Raises
    ------
    ValueError
        If it cannot.

    Examples
    --------
    >>> check_untrained(PrunerArguments(), max_steps=None, max_epochs=None)
    """
    if max_steps is not None or max_epochs is not None:
        raise ValueError(
            f"training under stress needs an evaluator, but got max_steps={max_steps}, "
            f"max_epochs={max_epochs} and evaluator=None; a loop of your own goes in a block of "
            f"StressPruner.stress"
        )
    if IMPORTANCES[arguments.strength].needs_training:
        raise ValueError(
            f"strength={arguments.strength!r} is gathered while training: compress() needs an "
            f"evaluator, but got none; a loop of your own goes in a block of StressPruner.stress"
        )


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
    if isinstance(vars(model).get("_modules", {}).get("_orig_mod"), nn.Module):
        raise TypeError(
            "model must be the network itself, but got what torch.compile made of it; give the "
            "network to the pruner, and train what torch.compile makes of it"
        )
    if evaluator is None and isinstance(model, nn.parallel.DistributedDataParallel):
        raise TypeError(
            "model must be the network itself, but got what DistributedDataParallel made of it; "
            "give its module to the pruner, and train what DistributedDataParallel makes of it"
        )
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
    budget, candidates, screen
        As :class:`nni_stress.StressPruner` takes them.

    Raises
    ------
    ValueError
        Naming the arguments that do not.

    Examples
    --------
    >>> check_combination(PrunerArguments(), [{"op_types": ["Linear"]}], None, 1, None)
    """
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


def check_ready(compressors: Sequence[Compressor], made_small: bool, under_stress: bool) -> None:
    """Check that a pruner can put its network under stress in a loop of the user's own.

    Parameters
    ----------
    compressors
        The pruner and those that it goes on from.
    made_small
        Whether it has synthesized the offspring.
    under_stress
        Whether it does so already.

    Raises
    ------
    ValueError
        If it cannot.

    Examples
    --------
    >>> check_ready([], made_small=False, under_stress=False)
    """
    if made_small:
        raise ValueError(
            "stress needs a pruner that has not synthesized its offspring yet; make another one, "
            "with the small network"
        )
    if under_stress:
        raise ValueError(
            "stress must begin outside any other block of stress of the same pruner; leave that "
            "block, or call unwrap_model()"
        )
    for other in compressors:
        if not isinstance(other, Pruner):
            raise ValueError(
                f"stress in a loop of your own goes without other compressors, but this pruner "
                f"goes on from a {type(other).__name__}; train with an evaluator"
            )


def check_taken(steps: int, planned: int) -> None:
    """Check, when a training under stress ends, how many steps were taken; warn of too few.

    Raises
    ------
    ValueError
        If there was none.

    Examples
    --------
    >>> check_taken(steps=20, planned=20)
    """
    if not steps:
        raise ValueError(
            f"stress was to last {planned} optimizer steps, but none was taken in its block; does "
            f"it call step() of the optimizer that stress was given?"
        )
    if steps < planned:
        _log.warning(
            "stress ended after %d of %d optimizer steps, before its schedule did: the offspring "
            "is drawn as strengths are now",
            steps,
            planned,
        )


def check_drawn(wrapped: bool, under_stress: bool) -> None:
    """Check that a pruner can synthesize its offspring.

    Raises
    ------
    ValueError
        If it cannot.

    Examples
    --------
    >>> check_drawn(wrapped=True, under_stress=False)
    """
    if under_stress:
        raise ValueError(
            "synthesize must be called after the block of stress, as its end draws the offspring"
        )
    if not wrapped:
        raise ValueError(
            "synthesize needs the wrapped model, but it is unwrapped: by unwrap_model, by an "
            "earlier synthesize, or because its training under stress was interrupted"
        )
