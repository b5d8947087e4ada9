"""What one trial is told: which offspring to make, and how. Parsed and checked once at each end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..hparams import Arguments
from .uid import check_uid, generation_of


@dataclass(frozen=True)
class Delivery:
    """What is added to a spec when a tuner sends it to a trial.

    Parameters
    ----------
    incarnation
        How often a tuner had started on this lineage before this one.
    attempt
        Name of the attempt, "incarnation.number of the try", as a trial claims it.
    lineage
        Absolute path of the lineage's folder.
    time_limit
        Seconds that the trial may take; None: any time.

    Examples
    --------
    >>> Delivery(0, "0.0", "/runs/lineage").time_limit is None
    True
    """

    incarnation: int
    attempt: str
    lineage: str
    time_limit: float | None = None


@dataclass(frozen=True)
class TrialSpec:
    """One offspring to be made.

    Parameters
    ----------
    uid, generation
        Name of the offspring and number of its generation.
    ancestor, other
        Names of its ancestor and, where there are two, of the second one; None for the founder.
    seed
        Seed of the whole evolution.
    arguments
        Hyperparameters that the search chose; the others keep their defaults.
    resource
        The resource that the evolution saves: "parameters", "macs" or "latency".
    latency
        Whether the network's latency is measured.
    origins
        Whether the origin of each cluster is recorded, which an offspring of two parents needs.
    early_ending
        Whether the training may end early.
    constrained
        {resource: share of the ancestors'} that the offspring may use for the sake of constraints.
    maturation
        Whether the ancestor itself is trained on, for `recovery_epochs`, and nothing is removed.
    delivery
        How the spec reached the trial; None as long as it was not sent.

    Examples
    --------
    >>> spec = TrialSpec("g001-00", 1, "g000-00", None, 0, {"floor": 2})
    >>> TrialSpec.from_message(spec.to_message()) == spec
    True
    >>> spec.hyperparameters().floor
    2
    """

    uid: str
    generation: int
    ancestor: str | None
    other: str | None
    seed: int
    arguments: Mapping[str, Any]
    resource: str = "parameters"
    latency: bool = False
    origins: bool = False
    early_ending: bool = False
    constrained: Mapping[str, float] = field(default_factory=dict)
    maturation: bool = False
    delivery: Delivery | None = None

    @property
    def ancestors(self) -> list[str]:
        """Names of all ancestors: none for the founder, else one or two."""
        return [uid for uid in (self.ancestor, self.other) if uid is not None]

    def hyperparameters(self) -> Arguments:
        """The hyperparameters, defaults included.

        Raises
        ------
        ValueError, TypeError
            If one is unknown, or out of its bounds.
        """
        return Arguments.from_mapping(self.arguments)

    def addressed(self, delivery: Delivery) -> TrialSpec:
        """The same spec, to be sent."""
        return replace(self, delivery=delivery)

    def to_message(self) -> dict[str, Any]:
        """The spec as plain data, as a trial receives it and a generation's file holds it."""
        message: dict[str, Any] = {
            "uid": self.uid,
            "generation": self.generation,
            "ancestor": self.ancestor,
            "other": self.other,
            "seed": self.seed,
            "arguments": dict(self.arguments),
            "resource": self.resource,
            "latency": self.latency,
            "origins": self.origins,
            "early_ending": self.early_ending,
        }
        if self.maturation:
            message["maturation"] = True
        if self.ancestor is not None:
            message["constrained"] = dict(self.constrained)
        if self.delivery is not None:
            message.update(asdict(self.delivery))
        return message

    @classmethod
    def from_message(cls, message: Any) -> TrialSpec:
        """Parse and check plain data.

        Keys that older lineages do not have take their defaults; further keys are ignored.

        Parameters
        ----------
        message
            What `to_message` makes.

        Raises
        ------
        ValueError
            If it is not a mapping, or a value is missing or not what it should be.

        Examples
        --------
        >>> TrialSpec.from_message({"uid": "g001-00"})
        Traceback (most recent call last):
            ...
        ValueError: a trial's message needs generation, ancestor, seed and arguments, but got uid
        """
        if not isinstance(message, Mapping):
            raise ValueError(f"a trial's message must be a mapping, but got {message!r}")
        if not {"uid", "generation", "ancestor", "seed", "arguments"} <= set(message):
            raise ValueError(
                "a trial's message needs generation, ancestor, seed and arguments, but got "
                f"{', '.join(map(str, message))}"
            )
        spec = cls(
            uid=check_uid(message["uid"]),
            generation=message["generation"],
            ancestor=message["ancestor"],
            other=message.get("other"),
            seed=message["seed"],
            arguments=message["arguments"],
            resource=message.get("resource", "parameters"),
            latency=message.get("latency", False),
            origins=message.get("origins", False),
            early_ending=message.get("early_ending", False),
            constrained=message.get("constrained") or {},
            maturation=message.get("maturation", False),
            delivery=_parse_delivery(message) if "lineage" in message else None,
        )
        _check(spec)
        return spec


def _parse_delivery(message: Mapping[str, Any]) -> Delivery:
    delivery = Delivery(
        incarnation=_typed(message, "incarnation", int),
        attempt=_typed(message, "attempt", str),
        lineage=_typed(message, "lineage", str),
        time_limit=message.get("time_limit"),
    )
    limit = delivery.time_limit
    if limit is not None and (type(limit) not in (int, float) or not 0 < limit < math.inf):
        raise ValueError(f"time_limit must be a number of seconds, but got {limit!r}")
    return delivery


def _typed(message: Mapping[str, Any], name: str, kind: type) -> Any:
    value = message.get(name)
    if type(value) is not kind:
        raise ValueError(f"{name} must be of type {kind.__name__}, but got {value!r}")
    return value


def _check(spec: TrialSpec) -> None:
    for ancestor in spec.ancestors:
        check_uid(ancestor)
    if type(spec.generation) is not int or spec.generation != generation_of(spec.uid):
        raise ValueError(f"generation must be that of {spec.uid}, but got {spec.generation!r}")
    if type(spec.seed) is not int:
        raise ValueError(f"seed must be a whole number, but got {spec.seed!r}")
    for name in ("arguments", "constrained"):
        if not isinstance(getattr(spec, name), Mapping):
            raise ValueError(f"{name} must be a mapping, but got {getattr(spec, name)!r}")
    if not isinstance(spec.resource, str):
        raise ValueError(f"resource must be a name, but got {spec.resource!r}")
    for name in ("latency", "origins", "early_ending", "maturation"):
        if not isinstance(getattr(spec, name), bool):
            raise ValueError(f"{name} must be true or false, but got {getattr(spec, name)!r}")
