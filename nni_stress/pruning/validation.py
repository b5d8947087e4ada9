"""What a pruner is given, checked before NNI sees it: its own checks speak of schemas and keys, or of nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nni.compression.utils.evaluator import Evaluator
from torch import nn

from ..hparams import check_value

_RATIOS = ("sparse_ratio", "max_sparse_ratio", "min_sparse_ratio")
_NUMBERS = (*_RATIOS, "sparse_threshold")


def check_whole(**numbers) -> None:
    """Every number given, if not None, must be a whole number of at least 1."""
    for name, value in numbers.items():
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value < 1
        ):
            raise ValueError(f"{name} must be a whole number of at least 1, but got {value!r}")


def check_worth(worth: Any) -> None:
    """Two positive numbers."""
    if not isinstance(worth, (tuple, list)) or len(worth) != 2:
        raise TypeError(
            f"worth must be a pair of numbers, of the first layers and of the last, but got {worth!r}"
        )
    for name, value in zip(("early_worth", "late_worth"), worth):
        check_value(name, value)


def check_kinds(model: Any, evaluator: Any, existed_wrappers: Any, seed: Any) -> None:
    """Model, evaluator, wrappers and seed must be what their names say."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, but got {model!r}")
    if evaluator is not None and not isinstance(evaluator, Evaluator):
        raise TypeError(f"evaluator must be one of NNI's evaluators or None, but got {evaluator!r}")
    if existed_wrappers is not None and not isinstance(existed_wrappers, Mapping):
        raise TypeError(
            f"existed_wrappers must be {{module name: wrapper}} or None, but got {existed_wrappers!r}"
        )
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be a whole number, but got {seed!r}")


def checked_config(config_list: Any, model: nn.Module) -> list[dict]:
    """NNI's config list with its numbers as floats, as NNI wants them.

    Raises
    ------
    ValueError
        If a ratio is not in [0, 1], a number is not finite, or a name is of no module of the model.
    TypeError
        If the list is not one of mappings, or a number is none.
    """
    if not isinstance(config_list, (list, tuple)) or not all(
        isinstance(config, Mapping) for config in config_list
    ):
        raise TypeError(f"config_list must be a list of mappings, but got {config_list!r}")
    modules = {name for name, _ in model.named_modules()}
    return [_checked(config, modules) for config in config_list]


def _checked(config: Mapping, modules: set) -> dict:
    config = dict(config)
    for settings in _all_settings(config):
        for name in _NUMBERS:
            if name in settings:
                settings[name] = _number(name, settings[name])
        low, high = settings.get("min_sparse_ratio"), settings.get("max_sparse_ratio")
        if low is not None and high is not None and low > high:
            raise ValueError(
                f"min_sparse_ratio must not exceed max_sparse_ratio, but got {low} and {high}"
            )
    names = config.get("op_names", [])
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"op_names must be a list of names, but got {names!r}")
    unknown = [name for name in names if name not in modules]
    if unknown:
        raise ValueError(f"op_names must name modules of the model, but got {unknown[0]!r}")
    return config


def _all_settings(config: dict):
    """The config's own settings, and those of its single targets."""
    yield config
    targets = config.get("target_settings")
    if isinstance(targets, Mapping):
        config["target_settings"] = {
            name: dict(settings) if isinstance(settings, Mapping) else settings
            for name, settings in targets.items()
        }
        yield from (
            settings
            for settings in config["target_settings"].values()
            if isinstance(settings, Mapping)
        )


def _number(name: str, value: Any) -> float | None:
    if value is None and name != "sparse_ratio":
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, but got {value!r}")
    if name in _RATIOS and not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], but got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, but got {value!r}")
    return float(value)
