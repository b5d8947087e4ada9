"""From the ancestors of an offspring to the offspring, trained; resumed if it was interrupted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import nn

from ..evolution.early_stopping import SLACK
from ..graph import serialization
from ..hparams import Arguments
from ..lineage.store import Lineage
from ..lineage.trial_spec import TrialSpec
from ..pruning.screening import Judged
from ..utils.seeding import seed_of
from .compression import compress
from .errors import fatal
from .inheritance import Inheritance, Origins, inherit, load_parents
from .measurement import Size, Validation, measure_size
from .norms import estimate_norms
from .recovery import EarlyEnding, recover, skip_recovery
from .snapshots import Snapshot, Snapshots, restoring
from .stress_training import StressSnapshots
from .task import Task
from .timing import Stopwatch
from .training import Training


@dataclass(frozen=True)
class Synthesized:
    """An offspring as it was synthesized.

    Parameters
    ----------
    network
        Its network.
    origins
        Origin of each of its clusters; None if origins are not recorded.
    size
        What the network costs.
    judged
        Its untrained loss, and how many candidates were judged; None where it was the only one.

    Examples
    --------
    >>> network = nn.Linear(5, 2)
    >>> whole = Synthesized(network, None, Size(10, 10, 2.0, {}, None, 5))
    >>> state = {"network": network.state_dict(), **whole.state()}
    >>> Synthesized.restored(state, nn.Linear(8, 2)).network
    Linear(in_features=5, out_features=2, bias=True)
    """

    network: nn.Module
    origins: Origins | None
    size: Size
    judged: Judged | None = None

    def state(self) -> dict[str, Any]:
        """All but the tensors of the network, as plain data."""
        described = {
            "shapes": serialization.layer_shapes(self.network),
            "origins": self.origins,
            "size": asdict(self.size),
            "judged": self.judged,
        }
        return {"offspring": json.dumps(described)}  # numbers may be of numpy's types

    @classmethod
    def restored(cls, state: Mapping[str, Any], network: nn.Module) -> Synthesized:
        """What `state` returned, with the tensors under "network".

        Parameters
        ----------
        state
            The state.
        network
            A network of the same structure, which becomes the offspring's.
        """
        described = json.loads(state["offspring"])
        serialization.fill(network, state["network"], described["shapes"], "the snapshot")
        judged = described.get("judged")  # snapshots of earlier releases lack it
        return cls(
            network,
            described["origins"],
            Size(**described["size"]),
            None if judged is None else Judged(*judged),
        )


class Making:
    """Makes one offspring.

    Parameters
    ----------
    task
        What is evolved; its evaluations are measured.
    spec
        What the trial is told.
    lineage
        Holds the ancestors.
    watch
        Measures the trial.
    snapshots
        Where snapshots of the training are written.
    saved
        The snapshot from which the making resumes; None: it begins.
    """

    def __init__(
        self,
        task: Task,
        spec: TrialSpec,
        lineage: Lineage,
        watch: Stopwatch,
        snapshots: Snapshots,
        saved: Snapshot | None,
    ):
        self._task = task
        self._spec = spec
        self._lineage = lineage
        self._watch = watch
        self._snapshots = snapshots
        self._saved = saved
        self._arguments = spec.hyperparameters()
        self._seed = seed_of(spec.seed, spec.uid)
        self._early_ending = EarlyEnding(lineage) if spec.early_ending else None

    def make(self) -> tuple[Synthesized, Validation]:
        """Synthesize the offspring and train it, or as much of that as is left to do.

        Raises
        ------
        SnapshotError
            If the snapshot does not fit.
        InputError
            If an ancestor cannot be read.
        FloatingPointError
            If the loss is not finite.
        """
        saved = self._saved
        self._watch.resume({} if saved is None else saved.seconds)
        if saved is not None and saved.phase == "recovery":
            with restoring():
                state = {**saved.state, "network": saved.state["training"]["network"]}
                offspring = Synthesized.restored(state, self._task.network())
            return offspring, self._recover(offspring, saved.state)
        with fatal():
            parents = load_parents(self._task, self._spec, self._lineage)
        with self._watch("synthesis"):
            inherited = inherit(parents, self._task, self._spec, self._arguments, self._lineage)
            forecast = None if saved is not None else self._forecast_if_superseded(inherited)
            network, origins, judged = self._synthesize(inherited, forecast is None)
        size = measure_size(network, self._task, self._lineage, self._spec.latency)
        offspring = Synthesized(network, origins, size, judged)
        if forecast is not None:
            return offspring, skip_recovery(network, self._task, forecast)
        return offspring, self._recover(offspring, None)

    def _forecast_if_superseded(self, inherited: Inheritance) -> float | None:
        if self._early_ending is None:
            return None
        share = SLACK * inherited.budget[self._spec.resource]
        ancestor_size = measure_size(inherited.network, self._task, self._lineage)
        return self._early_ending.forecast_if_superseded(ancestor_size.candidate(self._spec, share))

    def _synthesize(
        self, inherited: Inheritance, with_training: bool
    ) -> tuple[nn.Module, Origins | None, Judged | None]:
        arguments = self._arguments if with_training else _untrained(self._arguments)
        saved = self._saved
        pruner = compress(
            inherited.network,
            self._task,
            arguments,
            seed_of(self._seed, "stress"),
            inherited.budget,
            lambda: self._watch("stress"),
            StressSnapshots(self._snapshots, None if saved is None else saved.state),
        )
        origins = None
        if inherited.origins is None:
            network = pruner.synthesize(self._task.example_input)
        else:
            from ..graph import crossover

            network, origins = crossover.synthesize(
                pruner, self._task.example_input, inherited.origins
            )
        estimate_norms(network, self._task, seed_of(self._seed, "norms"))
        return network, origins, pruner.judged

    def _recover(self, offspring: Synthesized, saved: Mapping[str, Any] | None) -> Validation:
        """Train the offspring after synthesis, from the beginning or from a saved state."""
        with self._watch("recovery"):
            training = Training(
                offspring.network,
                self._task,
                self._arguments.recovery_epochs,
                self._arguments.learning_rate,
                seed_of(self._seed, "recovery"),
            )
            curve: list[float] = []
            if saved is not None:
                with restoring():
                    training.restore(saved["training"])
                    curve = list(saved["curve"])
            return recover(
                offspring.network,
                self._task,
                training,
                offspring.size.candidate(self._spec),
                self._early_ending,
                curve,
                lambda curve: self._snapshots.write(
                    "recovery",
                    lambda: {
                        **offspring.state(),
                        "training": training.state(),
                        "curve": [float(fidelity) for fidelity in curve],
                    },
                ),
            )


def _untrained(arguments: Arguments) -> Arguments:
    """What cannot survive is synthesized without any training."""
    return replace(arguments, stress_epochs=0.0, strength="magnitude", candidates=1)
