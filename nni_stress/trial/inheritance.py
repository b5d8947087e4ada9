"""What an offspring is synthesized from: its ancestor, or the union of two ancestors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from ..exceptions import DamagedFileError
from ..graph import serialization
from ..hparams import Arguments
from ..lineage.store import FOUNDER, Lineage
from ..lineage.trial_spec import TrialSpec
from ..utils.atomic_files import read_json
from ..utils.messages import short
from .measurement import resource_share
from .task import Task

# Where each cluster of a network comes from, as nni_stress.graph.crossover has it.
Origins = dict[str, list[int]]


@dataclass(frozen=True)
class Inheritance:
    """What an offspring is synthesized from.

    Parameters
    ----------
    network
        The ancestor, or the union of both ancestors.
    origins
        Origin of each of its clusters; None if origins are not recorded.
    budget
        {resource: share of the network's} that the offspring may use.

    Examples
    --------
    >>> Inheritance(nn.Linear(4, 2), origins=None, budget={"parameters": 0.5}).network
    Linear(in_features=4, out_features=2, bias=True)
    """

    network: nn.Module
    origins: Origins | None
    budget: dict[str, float]


# A network and the origins of its clusters, which are None if they are not needed.
Parent = tuple[nn.Module, Origins | None]


def load_parents(task: Task, spec: TrialSpec, lineage: Lineage) -> list[Parent]:
    """Read the ancestors of an offspring from their files.

    Raises
    ------
    ValueError, OSError
        If a file is missing, damaged, or of another network.

    Examples
    --------
    >>> import tempfile
    >>> from types import SimpleNamespace
    >>> task = SimpleNamespace(network=lambda: nn.Linear(4, 2))  # in place of a Task
    >>> lineage = Lineage(tempfile.mkdtemp())
    >>> serialization.save(nn.Linear(3, 2), lineage.network_path("g000-00"))
    >>> load_parents(task, TrialSpec("g001-00", 1, "g000-00", None, 0, {}), lineage)
    [(Linear(in_features=3, out_features=2, bias=True), None)]
    """
    with_origins = spec.origins or spec.other is not None
    return [_load(uid, task, lineage, with_origins) for uid in spec.ancestors]


def _load(uid: str, task: Task, lineage: Lineage, with_origins: bool) -> Parent:
    path = lineage.network_path(uid)
    network = serialization.load(path, task.network)
    return network, parse_origins(path.with_name("origins.json")) if with_origins else None


def parse_origins(path: Path) -> Origins:
    """Read and check the file of the origins of a network's clusters.

    Raises
    ------
    DamagedFileError
        If it holds anything but {layer: whole numbers of at least 0}.
    OSError
        If it cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "origins.json"
    >>> _ = file.write_text('{"fc": [0, 2]}')
    >>> parse_origins(file)
    {'fc': [0, 2]}
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise DamagedFileError(f"{path} must hold a mapping of layers, but has {short(found)}")
    for layer, indices in found.items():
        if not isinstance(indices, list) or not all(map(_is_index, indices)):
            raise DamagedFileError(
                f"{path} must hold whole numbers for {short(layer)}, but has {short(indices)}"
            )
    return found


def _is_index(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**31


def inherit(
    parents: Sequence[Parent],
    task: Task,
    spec: TrialSpec,
    arguments: Arguments,
    lineage: Lineage,
) -> Inheritance:
    """What an offspring is synthesized from.

    That is the network of its ancestor, or the union of both ancestors. Budgets are shares of the
    ancestors' mean, so they are converted to shares of the union.

    Parameters
    ----------
    parents
        What `load_parents` returned.
    task
        What is evolved.
    spec
        What the trial is told.
    arguments
        Hyperparameters of the offspring.
    lineage
        Holds the founder, to whose clusters origins refer.

    Raises
    ------
    ValueError
        If an origin of two ancestors is missing.

    Examples
    --------
    With one ancestor neither the task nor the lineage is needed:

    >>> spec = TrialSpec("g001-00", 1, "g000-00", None, 0, {}, resource="macs")
    >>> arguments = Arguments(environmental_factor=0.25)
    >>> inherit([(nn.Linear(4, 2), None)], None, spec, arguments, None).budget
    {'macs': 0.25}
    """
    budget = {spec.resource: arguments.environmental_factor, **spec.constrained}
    if len(parents) == 1:
        network, origins = parents[0]
        return Inheritance(network, origins, budget)
    from ..graph import crossover

    founder = serialization.load(lineage.network_path(FOUNDER), task.network)
    (first, first_origins), (second, second_origins) = parents
    if first_origins is None or second_origins is None:
        raise ValueError(f"{spec.uid} has two parents, whose clusters need origins, but got none")
    union, origins = crossover.union(
        founder, task.example_input, first, first_origins, second, second_origins
    )
    return Inheritance(
        union,
        origins,
        {
            resource: min(
                1.0,
                share
                * sum(resource_share(one, union, task, resource) for one in (first, second))
                / 2,
            )
            for resource, share in budget.items()
        },
    )
