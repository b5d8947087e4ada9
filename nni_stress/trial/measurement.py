"""What is measured of an offspring, and the record made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..evolution.contender import Candidate
from ..graph import cost, serialization
from ..lineage.record import Record
from ..lineage.store import FOUNDER, Lineage
from ..lineage.trial_spec import TrialSpec
from ..pruning.screening import Judged
from ..resources import RESOURCES
from .task import Task


@dataclass(frozen=True)
class Size:
    """What a network costs.

    Parameters
    ----------
    synapses, macs
        Number of synapses (weights), and of multiply-accumulate operations for one example.
    efficiency
        Architecture efficiency: the founder's synapses / this network's synapses.
    architecture
        Shape of each layer's weight, by layer.
    latency
        Latency as a share of the founder's; None if it does not matter.
    clusters
        Number of clusters (output channels, neurons, units, heads); None of an older record.

    Examples
    --------
    >>> size = Size(250, 2500, 4.0, {"fc": [5, 50]}, None, 5)
    >>> size.candidate(TrialSpec("g001-00", 1, "g000-00", None, 0, {}), share=0.5).synapses
    125.0
    """

    synapses: int
    macs: int
    efficiency: float
    architecture: dict[str, Any]
    latency: float | None
    clusters: int | None

    def candidate(self, spec: TrialSpec, share: float = 1.0) -> Candidate:
        """An offspring of this size, or of a share of it, whose fidelity is not known yet."""
        return Candidate(
            spec.uid,
            spec.generation,
            spec.ancestor,
            validation=-math.inf,
            synapses=self.synapses * share,
            macs=self.macs * share,
            latency=self.latency,
        )


@dataclass(frozen=True)
class Validation:
    """Validation fidelity (accuracy or mAP) of an offspring.

    Parameters
    ----------
    final
        At the end.
    untrained
        Right after synthesis; None for the founder.
    curve
        Before recovery and at the checks during it; empty for the founder.
    forecast
        What was likely, had the recovery not ended early.

    Examples
    --------
    >>> Validation(0.9).curve
    ()
    """

    final: float
    untrained: float | None = None
    curve: tuple[float, ...] = ()
    forecast: float | None = None


def measure_size(
    network: nn.Module, task: Task, lineage: Lineage, with_latency: bool = False
) -> Size:
    """Measure what a network costs beside the founder of its lineage.

    Parameters
    ----------
    network
        The network.
    task
        Its example input is what costs are for.
    lineage
        Its founder may not be there yet.
    with_latency
        Whether latency is measured, too, which takes seconds.

    Examples
    --------
    >>> import torch
    >>> from types import SimpleNamespace
    >>> task = SimpleNamespace(example_input=torch.rand(1, 4))  # in place of a Task
    >>> size = measure_size(nn.Linear(4, 2), task, Lineage("/nonexistent"))
    >>> size.synapses, size.macs, size.architecture
    (10, 8, {'': [2, 4]})
    """
    synapses = cost.synapses(network)
    founder = lineage.record(FOUNDER)
    latency = None
    if with_latency and founder is not None:
        whole = serialization.load(lineage.network_path(FOUNDER), task.network)
        latency = resource_share(network, whole, task, "latency")
    return Size(
        synapses=synapses,
        macs=cost.macs(network, task.example_input),
        efficiency=founder.synapses / synapses if founder else 1.0,
        architecture=cost.architecture(network),
        latency=latency,
        clusters=cost.clusters(network),
    )


def resource_share(network: nn.Module, whole: nn.Module, task: Task, resource: str) -> float:
    """Share of another network's resource that a network uses.

    Parameters
    ----------
    network, whole
        The network, and the one it is compared with.
    task
        Its example input is what costs are for.
    resource
        "parameters", "macs" or "latency".

    Examples
    --------
    >>> import torch
    >>> from types import SimpleNamespace
    >>> task = SimpleNamespace(example_input=torch.rand(1, 4))  # in place of a Task
    >>> resource_share(nn.Linear(4, 1), nn.Linear(4, 2), task, "parameters")
    0.5
    """
    return RESOURCES[resource].measure(network, whole, task.example_input)


def make_record(
    spec: TrialSpec,
    size: Size,
    validation: Validation,
    test: float,
    seconds: dict[str, float],
    judged: Judged | None = None,
) -> Record:
    """The record of an offspring, from all that was measured.

    Parameters
    ----------
    spec
        What the trial was told.
    size, validation
        What was measured.
    test
        Fidelity on the test data.
    seconds
        Seconds that the trial took, by phase.
    judged
        How the offspring was chosen among candidates; None where it was the only one.

    Raises
    ------
    FloatingPointError
        If a fidelity is not finite.

    Examples
    --------
    >>> spec = TrialSpec("g000-00", 0, None, None, 0, {})
    >>> make_record(spec, Size(10, 20, 1.0, {}, None, 5), Validation(0.9), 0.8, {}).test
    0.8
    """
    if not (math.isfinite(validation.final) and math.isfinite(test)):
        raise FloatingPointError(
            f"fidelity must be finite, but got {validation.final} (validation) and {test} (test)"
        )
    return Record(
        uid=spec.uid,
        generation=spec.generation,
        ancestor=spec.ancestor,
        arguments=dict(spec.arguments),
        validation=validation.final,
        test=test,
        synapses=size.synapses,
        macs=size.macs,
        efficiency=size.efficiency,
        untrained=validation.untrained,
        architecture=size.architecture,
        seconds=seconds,
        other=spec.other,
        latency=size.latency,
        curve=list(validation.curve),
        forecast=validation.forecast,
        clusters=size.clusters,
        untrained_loss=None if judged is None or not math.isfinite(judged.loss) else judged.loss,
        judged=None if judged is None else judged.number,
        matured=spec.maturation,
    )
