"""The file of one generation: which offspring were planned, and which of them counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .trial_spec import TrialSpec
from .uid import generation_of


@dataclass(frozen=True)
class PlannedGeneration:
    """What a generation's offspring were to be.

    Parameters
    ----------
    space
        NNI's search space at that time.
    suggestions
        The hyperparameters of each offspring as NNI's tuner suggested them; None for the founder.
    offspring
        The spec of each offspring, in the same order.
    closed
        Names of the offspring that counted when the generation closed; None as long as it is open.
    kept
        Names of those that had a record when the generation closed.

    Examples
    --------
    >>> founder = TrialSpec("g000-00", 0, None, None, 0, {})
    >>> planned = PlannedGeneration({}, (None,), (founder,)).close(["g000-00"], ["g000-00"])
    >>> PlannedGeneration.from_json(planned.to_json()) == planned
    True
    """

    space: Mapping[str, Any] | None
    suggestions: tuple[dict[str, Any] | None, ...]
    offspring: tuple[TrialSpec, ...]
    closed: tuple[str, ...] | None = None
    kept: tuple[str, ...] = ()

    @property
    def matures(self) -> bool:
        """Whether it is a maturation, whose offspring are trained on as they are."""
        return all(spec.maturation for spec in self.offspring)

    def close(self, counted: Sequence[str], kept: Sequence[str]) -> PlannedGeneration:
        """The same generation, closed with the offspring that counted and those of them kept."""
        return replace(self, closed=tuple(counted), kept=tuple(kept))

    def to_json(self) -> dict[str, Any]:
        """The content of the generation's file."""
        content = {
            "space": self.space,
            "suggestions": list(self.suggestions),
            "offspring": [spec.to_message() for spec in self.offspring],
            "closed": None if self.closed is None else list(self.closed),
        }
        return content if self.closed is None else {**content, "kept": list(self.kept)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], number: int | None = None) -> PlannedGeneration:
        """Parse and check the content of a generation's file.

        Parameters
        ----------
        content
            The content.
        number
            Number of the generation whose file it must be; None: any.

        Raises
        ------
        ValueError
            If something is missing or not what it should be.
        """
        for name in ("offspring", "suggestions"):
            if not isinstance(content.get(name), list):
                raise ValueError(f"{name} must be a list, but got {content.get(name)!r}")
        closed = content.get("closed")
        offspring = tuple(map(TrialSpec.from_message, content["offspring"]))
        if not all(number in (None, spec.generation) for spec in offspring):
            raise ValueError(f"offspring must be of generation {number}, but one is of another")
        return cls(
            space=_mapping("space", content.get("space")),
            suggestions=tuple(_mapping("suggestion", one) for one in content["suggestions"]),
            offspring=offspring,
            closed=None if closed is None else _names("closed", closed, number),
            kept=_names("kept", content.get("kept", []), number),
        )


def _mapping(name: str, value: Any) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{name} must be a mapping, but got {value!r}")
    return value


def _names(name: str, value: Any, number: int | None) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list of offspring, but got {value!r}")
    if any(number not in (None, generation_of(uid)) for uid in value):
        raise ValueError(f"{name} must be of generation {number}, but got {value!r}")
    return tuple(value)
