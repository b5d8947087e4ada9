"""The ancestor: a network that trains under stress, and from which an offspring is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

import torch
from nni.compression.base.wrapper import ModuleWrapper
from torch import Tensor, nn

from ..graph.cluster_graph import ClusterGraph
from ..graph.direct_readings import read_directly
from ..hparams import PrunerArguments
from .allocator import Allocator
from .budget import Budget
from .candidates import CandidateSearch
from .cluster_draw import ClusterDraw
from .inheritance import Inheritance
from .kept_layers import asked_outputs, check_removable, warn_of_outputs
from .layer_settings import LayerSettings
from .masked_model import MaskedModel
from .parameters import parameters_of
from .sampler import Offspring, Sampler
from .screening import Judged, Screen
from .stress_phase import StressPhase
from .stressed import Stressed
from .stressed_clusters import StressedClusters
from .stressed_targets import StressedTargets
from .targets import Masks, TargetSpaces, trained_tensors, unwrapped_copy


class Ancestor:
    """A network in NNI's wrappers: its training under stress, and the draw of its offspring.

    Whoever trains it calls `begin`, then `before_step` and `after_step` around every optimizer
    step, and `end`.

    Parameters
    ----------
    network
        The wrapped network.
    wrappers, spaces
        NNI's wrappers and targets.
    ratios
        Ratios of 1 that were taken out of the config list, by module.
    inheritance
        What earlier generations removed.
    arguments
        Settings of stress and genetics.
    settings
        Settings of stress for each layer.
    graph
        The structure of the network; None: it is learned where the network first runs.
    budget
        For the whole network; None: ratios.
    generator
        Generator of every random choice, on the CPU.
    candidates, screen
        As of :class:`nni_stress.StressPruner`.
    copy_masks
        Copies masks into the wrappers, as NNI's ``update_masks``.
    redrawn
        Called when masks have changed because the structure was learned.

    Attributes
    ----------
    phase : StressPhase
        The training under stress, the last one that began.
    drawn : bool
        Whether an offspring has been drawn since.
    judged : Judged or None
        With several candidates, how they were judged.
    """

    _interrupted: Mapping[str, Any] | None = None

    def __init__(
        self,
        network: nn.Module,
        wrappers: Mapping[str, ModuleWrapper],
        spaces: TargetSpaces,
        ratios: Mapping[str, float],
        inheritance: Inheritance,
        arguments: PrunerArguments,
        settings: LayerSettings,
        graph: ClusterGraph | None,
        budget: Budget | None,
        generator: torch.Generator,
        candidates: int,
        screen: Screen | None,
        copy_masks: Callable[[Masks], None],
        redrawn: Callable[[], None],
    ):
        self._network = network
        self._wrappers = wrappers
        self._spaces = spaces
        self._inheritance = inheritance
        self._settings = settings
        self._has_budget = budget is not None
        self._generator = generator
        self._copy_masks = copy_masks
        self._redrawn = redrawn
        self._scores: Masks | None = None
        self.drawn = False
        self.masked = MaskedModel(
            network,
            wrappers,
            spaces,
            ratios,
            inheritance,
            arguments.attention,
            copy_masks,
            self._learned,
        )
        try:
            self._assemble(arguments, graph, budget, candidates, screen)
        except ValueError:
            self.masked.take_off()
            raise

    def _assemble(
        self,
        arguments: PrunerArguments,
        graph: ClusterGraph | None,
        budget: Budget | None,
        candidates: int,
        screen: Screen | None,
    ) -> None:
        """Make the parts that know the structure."""
        if graph is not None:
            self.masked.know(graph)
        draw = self.masked.draw
        self._allocator = None
        if budget is not None and draw is not None:
            self._allocator = Allocator(budget, self._spaces, draw)
        self.judged: Judged | None = None
        self._search = None
        if self._allocator is not None and screen is not None and candidates > 1:
            self._search = CandidateSearch(self._allocator, candidates, screen, self._generator)
        self._sampler = Sampler(
            arguments,
            self._spaces,
            self._inheritance,
            self._generator,
            draw,
            self._allocator,
            lambda: parameters_of(self._network),
        )
        self.check_removable()
        self.phase = self._new_phase(0)

    def check_removable(self) -> None:
        """Check that something can be removed, where the structure is known and clusters are.

        Raises
        ------
        ValueError
            If nothing can.
        """
        draw = self.masked.draw
        if draw is None or not self._sampler.draws_clusters() or draw.others_active:
            return
        frozen = [group.frozen for group in draw.groups]
        check_removable(self._network, draw.graph, self._spaces, frozen)

    @property
    def missed(self) -> str | None:
        """With a budget, once it is divided: why it is exceeded, or not fully used."""
        return None if self._allocator is None else self._allocator.missed

    # Training under stress

    def begin(self, steps: int) -> None:
        """Begin a training under stress of that many optimizer steps."""
        self.drawn = False
        self._begin(steps)
        self._learn_when_run()

    def before_step(self, steps: Callable[[Tensor], bool] | None = None) -> None:
        """Look at the gradients of the coming step, see :meth:`StressPhase.before_step`."""
        self.phase.before_step(steps)

    def after_step(self, interval: int | None = None) -> None:
        """Count an optimizer step; draw the offspring if it was the last one.

        Parameters
        ----------
        interval
            An offspring is drawn after every so many steps, too.
        """
        self.phase.after_step()
        step, steps = self.phase.step, self.phase.total_steps
        due = interval is not None and step < steps and step % interval == 0
        if step == steps or due:
            self.draw_offspring()

    def end(self) -> None:
        """Draw the offspring, unless the training was long enough that it has been drawn."""
        if not self.drawn:
            self.draw_offspring()

    def take_off(self) -> None:
        """Let the network compute without stress."""
        self.phase.take_off()

    def _begin(self, steps: int) -> None:
        self.phase.take_off()
        self.phase = self._new_phase(steps)
        self.phase.start()
        if self._interrupted is not None and self.masked.draw is not None:
            self.phase.restore(self._interrupted)
            self._interrupted = None

    def _new_phase(self, steps: int) -> StressPhase:
        return StressPhase(
            self._spaces,
            self._sampler,
            self._stressed() if steps else [],
            self._settings,
            self._generator,
            steps,
        )

    def _stressed(self) -> list[Stressed]:
        """What feels stress: clusters, where the structure is known, and NNI's targets."""
        draw = self.masked.draw
        if draw is None or not self._sampler.clusters_are_whole():
            return [self._stressed_targets(self._spaces)]
        wrappers = [
            wrapper
            for name, wrapper in self._wrappers.items()
            if name in draw.graph.structure.input_shapes
            and not self._inheritance.lacks_part_of(name)
        ]
        clusters = StressedClusters(
            self._network,
            wrappers,
            draw,
            self._sampler,
            lambda offspring: self._removed_by(draw, offspring),
            read_directly(unwrapped_copy(self._network), draw.graph),
        )
        if self._has_budget or not draw.others_active:
            return [clusters]
        return [clusters, self._stressed_targets(draw.others)]

    def _stressed_targets(self, spaces: TargetSpaces) -> StressedTargets:
        return StressedTargets(spaces, self._inheritance, self._sampler, self._copy_masks)

    # The draw of an offspring

    def draw_offspring(self) -> None:
        """Draw an offspring, and put its masks on."""
        self.phase.take_off()
        self._show(self.masks_of_a_draw(self.strengths()))
        self.drawn = True
        self._inheritance.update()

    def strengths(self) -> Masks:
        """Strength of each cluster.

        Raises
        ------
        ValueError
            If a weight is NaN or infinite.
        """
        return self._sampler.finite_strengths(self.phase.observed)

    def masks_of_a_draw(self, strengths: Masks) -> Masks:
        """Masks of the offspring that the training prepared for, or of one that is drawn now."""
        keep, scores = self.phase.coming or self._sampler.draw(strengths, self.phase.observed)
        draw = self.masked.draw
        if self._search is not None and keep is not None and draw is not None:
            small = self.masked.small_copies()
            self.judged = self._search.choose(keep, scores, draw, small)
        self.phase.forget_coming()
        self._scores = scores
        return self._sampler.masks(scores)

    def _show(self, masks: Masks) -> None:
        """Put masks on the model, less what earlier generations removed."""
        self.masked.show(masks, self._sampler.draws_clusters())
        self._learn_when_run()

    def _learn_when_run(self) -> None:
        if self._sampler.clusters_are_whole():
            self.masked.learn_when_run()

    def _removed_by(self, draw: ClusterDraw, offspring: Offspring) -> Set[int]:
        """The clusters that an offspring lacks which is drawn, but not shown yet."""
        before = draw.removed
        masks = self._sampler.masks(offspring.scores)
        removed = self.masked.removed(masks, self._sampler.draws_clusters())
        draw.removed = before
        return removed

    def _learned(self) -> None:
        """Let layers that must agree lose the same clusters, now that they are known."""
        draw = self.masked.draw
        assert draw is not None
        warn_of_outputs(asked_outputs(self._spaces, draw.graph.output_layers))
        self._sampler.learn(draw, self._scores)
        if self.drawn and self._scores is not None:
            self._inheritance.undo()
            self._show(self._sampler.masks(self._scores))
            self._inheritance.update()
            self._redrawn()
        elif self.phase.total_steps and self.phase.step == 0:
            self._begin(self.phase.total_steps)

    # Snapshots

    def state(self) -> dict[str, Any]:
        """A snapshot, as :meth:`nni_stress.StressPruner.stress_state` returns it."""
        return {
            "network": {name: tensor.detach() for name, tensor in self._trained().items()},
            "phase": self.phase.state(),
            "learned": self.masked.draw is not None,
            "allocator": None if self._allocator is None else self._allocator.state(),
            "generator": self._generator.get_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from what `state` returned.

        Raises
        ------
        ValueError, KeyError, RuntimeError
            If it is the state of another network.
        """
        trained = self._trained()
        if list(trained) != list(state["network"]):
            raise ValueError("the state of the stress phase is of another network")
        with torch.no_grad():
            for name, tensor in trained.items():
                tensor.copy_(state["network"][name])
        if self._allocator is not None:
            self._allocator.restore(state["allocator"])
        if self.masked.draw is None and state["learned"]:
            self._interrupted = state["phase"]  # until the structure is learned again
        else:
            self.phase.restore(state["phase"])
        self._generator.set_state(state["generator"])

    def _trained(self) -> dict[str, Tensor]:
        """Parameters and buffers of the wrapped model, without masks and what is made of them."""
        return trained_tensors(self._network, self._spaces)
