"""Stress settings of single layers."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from ..hparams import PrunerArguments
from .functional.stress import Schedule
from .stressors import STRESSORS

_OF_THE_NETWORK = {"stress_renewals"}  # there is one coming offspring


class LayerSettings:
    """Settings of stress for each layer.

    Parameters
    ----------
    arguments
        Settings of all layers.
    overrides
        {regular expression of the module's name: {setting: value}}. The last one that matches
        applies.
    steps_per_epoch
        Optimizer steps per epoch; required where times are given in epochs.

    Raises
    ------
    ValueError, TypeError
        If an override is no such mapping, sets anything but stress, or is out of its bounds; or if
        nothing is registered under the name of a stressor.

    Examples
    --------
    >>> settings = LayerSettings(PrunerArguments(), {"conv.*": {"stress_peak": 0.5}}, None)
    >>> settings.of("conv1").stress_peak, settings.of("fc1").stress_peak
    (0.5, 1.0)
    """

    def __init__(
        self,
        arguments: PrunerArguments,
        overrides: Mapping[str, Mapping[str, Any]],
        steps_per_epoch: int | None,
    ):
        if not isinstance(overrides, Mapping):
            raise TypeError(
                f"stress_overrides must be {{pattern: {{setting: value}}}}, but got {overrides!r}"
            )
        self._arguments = arguments
        self._steps_per_epoch = steps_per_epoch
        self._overrides = [
            (_compiled(pattern), _overridden(arguments, pattern, settings))
            for pattern, settings in overrides.items()
        ]
        for settings in (arguments, *(settings for _, settings in self._overrides)):
            STRESSORS[settings.stressor]  # one of the user's must be registered by now
            if settings.stress_unit == "epochs" and steps_per_epoch is None:
                raise ValueError("stress_unit='epochs' needs steps_per_epoch, but got none")

    @property
    def renewals(self) -> int:
        """How often the coming offspring is drawn anew, which is one for all layers."""
        return int(self._arguments.stress_renewals)

    def check_modules(self, modules: Collection[str]) -> None:
        """Check that every pattern of the overrides matches a module.

        Raises
        ------
        ValueError
            If one matches none.
        """
        for pattern, _ in self._overrides:
            if not any(pattern.fullmatch(module) for module in modules):
                raise ValueError(
                    f"stress_overrides must match modules of the config list, but "
                    f"{pattern.pattern!r} matches none of {', '.join(sorted(modules))}"
                )

    def of(self, *modules: str) -> PrunerArguments:
        """Settings of a module, or of several that feel the same stress."""
        found = [
            settings
            for pattern, settings in self._overrides
            if any(map(pattern.fullmatch, modules))
        ]
        return found[-1] if found else self._arguments

    def schedule(self, settings: PrunerArguments, total_steps: int) -> Schedule:
        """Schedule of stress by some settings, in a phase of that many optimizer steps."""
        units = {"share": total_steps, "steps": 1, "epochs": self._steps_per_epoch or 0}
        unit = units[settings.stress_unit]
        return Schedule(
            settings.stress_peak,
            settings.stress_onset * unit,
            settings.stress_ramp * unit,
            settings.stress_plateau * unit,
            settings.stress_shape,
        )


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"stress_overrides: {pattern!r} is not a valid regular expression: {error}"
        ) from None


def _overridden(
    arguments: PrunerArguments, pattern: str, settings: Mapping[str, Any]
) -> PrunerArguments:
    if not isinstance(settings, Mapping):
        raise TypeError(
            f"stress_overrides of {pattern!r} must be {{setting: value}}, but got {settings!r}"
        )
    for name in settings:
        if not name.startswith("stress") or name in _OF_THE_NETWORK:
            raise ValueError(
                f"stress_overrides of {pattern!r}: only stress settings of layers may differ "
                f"between them, but got {name!r}"
            )
    return PrunerArguments.from_mapping({**asdict(arguments), **settings})
