"""The record of one offspring: what it is and what it achieved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..utils.messages import short
from .uid import check_uid, generation_of

_MAPPINGS = ("arguments", "architecture", "seconds")
_NUMBERS = ("validation", "test", "synapses", "macs", "efficiency")
_OPTIONAL_NUMBERS = ("untrained", "latency", "forecast", "clusters", "untrained_loss", "judged")
_CURVE = 10_000  # a recovery has 5 checks, a maturation one an epoch
_POSITIVE = (
    "synapses",
    "macs",
    "efficiency",
    "latency",
    "clusters",
)  # used as divisors and in logarithms


class Record(NamedTuple):
    """What one offspring is and what it achieved.

    Fidelity is in the unit of the task (accuracy: a share in [0, 1]).

    Parameters
    ----------
    uid, generation
        Name of the offspring and number of its generation.
    ancestor
        Name of its ancestor; None for the founder.
    arguments
        Its hyperparameters, as far as they differ from their defaults by choice of the tuner.
    validation, test
        Fidelity on the validation and the test data.
    synapses, macs
        Number of synapses (weights), and of multiply-accumulate operations for one example.
    efficiency
        Architecture efficiency: the founder's synapses / this network's synapses.
    untrained
        Validation fidelity right after synthesis; None for the founder.
    architecture
        Shape of each layer's weight, by layer.
    seconds
        Seconds that the trial took, by phase.
    other
        Name of the second ancestor, where there are two.
    latency
        Latency as a share of the founder's, measured beside it; None where it does not matter.
    digest
        Digest of the network's file, set when the record is added to a lineage.
    curve
        Validation fidelity before recovery and at evenly spaced checks during it. It is shorter
        where the recovery ended early.
    forecast
        Validation fidelity that was likely, had the recovery not ended early.
    clusters
        Number of clusters (output channels, neurons, units, heads); None in older records.
    untrained_loss
        Loss on the screening examples right after synthesis, for which it was chosen among several
        candidates; None where it was the only one, and in older records.
    judged
        Number of candidates that were judged.
    matured
        Whether it is its ancestor after a maturation: the same architecture, trained on. Its curve
        has the validation fidelity before, and after each epoch.

    Examples
    --------
    >>> record = Record("g000-00", 0, None, {}, 0.9, 0.9, 10, 20, 1.0, None, {"fc": [2, 5]}, {})
    >>> record._replace(validation=0.8).validation
    0.8
    """

    uid: str
    generation: int
    ancestor: str | None
    arguments: dict[str, Any]
    validation: float
    test: float
    synapses: int
    macs: int
    efficiency: float
    untrained: float | None
    architecture: dict[str, Any]
    seconds: dict[str, float]
    other: str | None = None
    latency: float | None = None
    digest: str | None = None
    curve: list[float] = []  # noqa: RUF012, a default of a named tuple; nothing appends to it
    forecast: float | None = None
    clusters: int | None = None
    untrained_loss: float | None = None
    judged: int | None = None
    matured: bool = False


def parse_record(data: Any, uid: str) -> Record:
    """Make a record from the content of a ``record.json``, and check it.

    Parameters
    ----------
    data
        The content, a mapping. Fields that older files lack take their defaults.
    uid
        Name of the offspring whose record it must be.

    Raises
    ------
    ValueError, TypeError
        If a field is missing, unknown, or not what it should be.

    Examples
    --------
    >>> record = Record("g000-00", 0, None, {}, 0.9, 0.9, 10, 20, 1.0, None, {"fc": [2, 5]}, {})
    >>> parse_record(record._asdict(), "g000-00") == record
    True
    >>> parse_record({**record._asdict(), "macs": 0}, "g000-00")
    Traceback (most recent call last):
        ...
    ValueError: macs must be above 0, but got 0
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"expected a mapping, but got {type(data).__name__}")
    record = Record(**data)
    _check_identity(record, uid)
    for name in _MAPPINGS:
        if not isinstance(getattr(record, name), dict):
            raise ValueError(f"{name} must be a mapping, but got {getattr(record, name)!r}")
    if not isinstance(record.curve, list) or len(record.curve) > _CURVE:
        raise ValueError(
            f"curve must be a list of at most {_CURVE:,} numbers, but got {short(record.curve)}"
        )
    if record.digest is not None and not isinstance(record.digest, str):
        raise ValueError(f"digest must be a text, but got {short(record.digest)}")
    if not isinstance(record.matured, bool):
        raise ValueError(f"matured must be true or false, but got {short(record.matured)}")
    for name in (*_NUMBERS, *_OPTIONAL_NUMBERS):
        value = getattr(record, name)
        if value is not None or name in _NUMBERS:
            _check_number(name, value)
    for value in record.curve:
        _check_number("curve", value)
    return record


def _check_identity(record: Record, uid: str) -> None:
    if record.uid != uid:
        raise ValueError(f"uid must be {uid}, but got {record.uid!r}")
    for ancestor in (record.ancestor, record.other):
        if ancestor is not None:
            check_uid(ancestor)
    if type(record.generation) is not int or record.generation != generation_of(uid):
        raise ValueError(f"generation must be that of {uid}, but got {record.generation!r}")


def _check_number(name: str, value: Any) -> None:
    if type(value) not in (int, float) or not -1e100 < value < 1e100:  # refuses NaN, too
        raise ValueError(f"{name} must be a finite number, but got {value!r}")
    if name in _POSITIVE and value < 1e-12:
        raise ValueError(f"{name} must be above 0, but got {value!r}")
