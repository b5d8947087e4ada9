"""Checks of NNI's config list, as NNI's own errors are cryptic or missing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from nni.compression.base.config import select_modules_by_config
from nni.compression.base.setting import PruningSetting
from schema import SchemaError
from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd

from ..graph.following.own import rule_of
from ..graph.grouping import output_dim
from ..hparams import PrunerArguments
from ..utils.messages import one_line
from .targets import TargetSpaces, is_active

_RATIOS = ("sparse_ratio", "max_sparse_ratio", "min_sparse_ratio")
# NNI has no settings for these, or such as do not fit.
_WHOLE = (nn.RNNBase, nn.MultiheadAttention, nn.Bilinear, nn.Embedding, nn.EmbeddingBag)
_NUMBERS = (*_RATIOS, "sparse_threshold")


def checked_config(config_list: Any, model: nn.Module) -> list[dict[str, Any]]:
    """Check NNI's config list.

    Returns
    -------
    list
        A copy with all numbers as floats, as NNI expects them.

    Raises
    ------
    ValueError
        If a ratio is not in [0, 1], a number is not finite, or the model has no module of a name.
    TypeError
        If the list is not one of mappings, or a value is not a number where one is expected.

    Examples
    --------
    >>> checked_config([{"op_types": ["Linear"], "sparse_ratio": 1}], nn.Linear(2, 2))
    [{'op_types': ['Linear'], 'sparse_ratio': 1.0}]
    """
    if not isinstance(config_list, (list, tuple)) or not all(
        isinstance(config, Mapping) for config in config_list
    ):
        raise TypeError(f"config_list must be a list of mappings, but got {config_list!r}")
    modules = {name for name, _ in model.named_modules()}
    checked = [_checked(config, modules) for config in config_list]
    for config in checked:
        if isinstance(config.get("op_types"), (list, tuple)):
            config["op_types"] = _with_subclasses(config["op_types"], model)
    return checked


def _with_subclasses(kinds: Sequence[str], model: nn.Module) -> list[str]:
    """Names of types, and of those types in a model that are subclasses of torch's types of these.

    NNI looks up the settings of a type by its name, so that a subclass gets those of its base.
    """
    found = list(kinds)
    for module in model.modules():
        name = type(module).__name__
        bases = {base.__name__ for base in type(module).__mro__[1:] if _is_torch(base)}
        if name in _LINEAR:
            bases.add("Linear")
        for base in sorted(bases.intersection(kinds)):
            if name not in found:
                found.append(name)
            if name not in PruningSetting.registry and base in PruningSetting.registry:
                PruningSetting.register(name, PruningSetting.registry[base])
    return found


# Linear layers by other names: that of the library transformers.
_LINEAR = {"Conv1D"}


def _is_torch(kind: type) -> bool:
    return kind.__module__.startswith("torch.nn.")


def without_whole_modules(
    config_list: Sequence[dict[str, Any]], model: nn.Module
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Take recurrent layers and attentions out of a config list, as NNI has no settings for them.

    Their clusters, units and heads, are the outputs of no single weight. Of a module that the model
    has in several places, one name is left.

    Returns
    -------
    config_list : list
        The config list without them.
    ratios : dict
        {name of such a module: its sparse ratio}

    Examples
    --------
    >>> config = {"op_types": ["LSTM", "Linear"], "sparse_ratio": 0.5}
    >>> model = nn.ModuleDict({"rnn": nn.LSTM(2, 4), "head": nn.Linear(4, 1)})
    >>> without_whole_modules([config], model)[1]
    {'rnn': 0.5}
    """
    kept = []
    ratios: dict[str, float] = {}
    first_names = {module: name for name, module in model.named_modules()}
    for config in config_list:
        selected = {} if "exclude" in config else select_modules_by_config(model, config)[0]
        further = {  # a module in several places, which NNI would wrap twice
            name
            for name, module in selected.items()
            if first_names[module] != name and first_names[module] in selected
        }
        whole = {name for name, module in selected.items() if _is_whole(module)}
        ratios.update(dict.fromkeys(whole - further, config.get("sparse_ratio") or 0.0))
        namesakes = {name for name, module in selected.items() if _has_no_weight(module)} - whole
        without = sorted(whole | further | namesakes)
        if without:
            config = {**config, "exclude_op_names": [*config.get("exclude_op_names", ()), *without]}
        if not without or len(without) < len(selected):
            kept.append(config)
    return kept, ratios


def _is_whole(module: nn.Module) -> bool:
    """Whether a module loses clusters without masks of NNI's."""
    return (
        isinstance(module, _WHOLE)
        or (isinstance(module, _ConvTransposeNd) and module.groups > 1)
        or (rule_of(module) is not None and output_dim(module) is None)
    )


def _has_no_weight(module: nn.Module) -> bool:
    """Whether a module is no layer, though its class may have a layer's name."""
    return not hasattr(module, "weight") and any(module.children())


def _checked(config: Mapping[str, Any], modules: set[str]) -> dict[str, Any]:
    config = dict(config)
    for settings in _all_settings(config):
        for name in _NUMBERS:
            if name in settings:
                settings[name] = _number(name, settings[name])
        low = settings.get("min_sparse_ratio")
        high = settings.get("max_sparse_ratio")
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


def _all_settings(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Settings of a config, and those of its single targets, as copies that stand in the config."""
    yield config
    targets = config.get("target_settings")
    if isinstance(targets, Mapping):
        config["target_settings"] = {
            name: dict(settings) if isinstance(settings, Mapping) else settings
            for name, settings in targets.items()
        }
        for settings in config["target_settings"].values():
            if isinstance(settings, dict):
                yield settings


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


@contextmanager
def clear_nni_errors() -> Iterator[None]:
    """Raise what NNI finds wrong with a config list as one clear line.

    Raises
    ------
    ValueError
        If NNI refuses the config list.

    Examples
    --------
    >>> with clear_nni_errors():
    ...     raise KeyError("gain")
    Traceback (most recent call last):
    ValueError: the config list names 'gain', which a module it matches does not have
    """
    try:
        yield
    except SchemaError as error:
        raise ValueError(f"NNI refuses the config list: {one_line(error)}") from None
    except KeyError as error:
        raise ValueError(
            f"the config list names {error.args[0]!r}, which a module it matches does not have"
        ) from None


def check_targets(
    spaces: TargetSpaces,
    config_list: list[dict[str, Any]],
    ratios: Mapping[str, float] | None = None,
) -> None:
    """Check that a config list selects something.

    Raises
    ------
    ValueError
        If no module has a sparsity to reach.

    Examples
    --------
    >>> check_targets({}, [])
    Traceback (most recent call last):
    ValueError: no module of the model has a sparsity to reach under the config list []
    """
    active = [
        space for targets in spaces.values() for space in targets.values() if is_active(space)
    ]
    if not active and not any((ratios or {}).values()):
        raise ValueError(
            f"no module of the model has a sparsity to reach under the config list {config_list!r}"
        )


def check_blocks(spaces: TargetSpaces, arguments: PrunerArguments) -> None:
    """Check that the draws can keep blocks of clusters alike, where the config list asks for it.

    Raises
    ------
    ValueError
        If they are independent.

    Examples
    --------
    >>> check_blocks({}, PrunerArguments(sampling="bernoulli"))
    """
    active = [
        space for targets in spaces.values() for space in targets.values() if is_active(space)
    ]
    blocks = {space.internal_metric_block for space in active} - {None, 1}
    if blocks and arguments.sampling == "bernoulli":
        raise ValueError(
            f"sampling='bernoulli' draws every cluster independently, and cannot keep blocks "
            f"alike, but got internal_metric_block={blocks.pop()}"
        )
