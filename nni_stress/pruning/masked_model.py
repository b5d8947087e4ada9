"""A wrapped model under masks, which computes what the small one will."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Set
from contextlib import nullcontext
from typing import Any

import torch
from nni.compression.base.wrapper import ModuleWrapper
from torch import Tensor, nn

from ..graph.cluster_factors import ClusterFactors
from ..graph.cluster_graph import ClusterGraph
from ..graph.following.attention import masked_attentions
from ..graph.patched_forward import PatchedForward
from ..graph.slicing import removed_by
from ..nni_compat.uncalled import UncalledWrappers
from ..utils.batches import few_examples
from ..utils.messages import one_line
from ..utils.module_modes import forget_caches
from .cluster_draw import ClusterDraw
from .inheritance import Inheritance
from .targets import Masks, TargetSpaces, unwrapped_copy

_log = logging.getLogger(__name__)

_EXAMPLES = 2  # of a batch, by which the structure is learned where none is given


class MaskedModel:
    """Shows masks on a model: by NNI's wrappers, and wherever else clusters have to go.

    Where its structure is not known, it is learned from the first batch that the model runs on.

    Parameters
    ----------
    model
        The model. NNI wraps its layers after this.
    wrappers
        {module name: NNI's wrapper}
    spaces
        All targets of the pruner.
    ratios
        {name: sparse ratio} of modules that the config list names and NNI does not wrap.
    inheritance
        What earlier generations removed.
    attention
        What attentions lose: whole ``"heads"``, or ``"width"`` in all their heads.
    copy_masks
        Copies masks into the wrappers, as NNI's ``update_masks``.
    learned
        Called once the structure has been learned where the model ran.

    Attributes
    ----------
    draw : ClusterDraw or None
        Draws the clusters of the structure; None as long as that is not known.
    """

    def __init__(
        self,
        model: nn.Module,
        wrappers: Mapping[str, ModuleWrapper],
        spaces: TargetSpaces,
        ratios: Mapping[str, float],
        inheritance: Inheritance,
        attention: str,
        copy_masks: Callable[[Masks], None],
        learned: Callable[[], None],
    ):
        self.draw: ClusterDraw | None = None
        self._model = model
        self._wrappers = wrappers
        self._spaces = spaces
        self._ratios = ratios
        self._inheritance = inheritance
        self._attention = attention
        self._copy_masks = copy_masks
        self._learned = learned
        self._factors: ClusterFactors | None = None
        self._uncalled: UncalledWrappers | None = None
        self._first_run: PatchedForward | None = None
        self._attentions: list[Callable[[], None]] = []
        self._wrap_attentions()

    def wrap_again(self) -> None:
        """Let the model compute with NNI's wrappers after `take_off`; nothing is masked."""
        self._wrap_attentions()
        if self.draw is not None:
            self._show_uncalled(self.draw.graph)

    def _wrap_attentions(self) -> None:
        """Let attentions call their layers, which NNI has wrapped."""
        self._attentions += masked_attentions(self._model)

    def _show_uncalled(self, graph: ClusterGraph) -> None:
        called = graph.structure.input_shapes
        self._uncalled = UncalledWrappers(self._model, self._wrappers, called)

    def know(self, graph: ClusterGraph) -> None:
        """Draw and mask the clusters of a graph from now on."""
        self._show_uncalled(graph)
        self._factors = ClusterFactors(self._model, graph.structure)
        self.draw = ClusterDraw(graph, self._model, self._spaces, self._ratios)

    def learn(self, example_input: Any) -> None:
        """Learn the structure by a batch of inputs.

        Raises
        ------
        ValueError
            If the model cannot be followed.
        """
        self._forget_first_run()
        forget_caches(self._model)
        model = unwrapped_copy(self._model)
        self.know(ClusterGraph(model, example_input, self._attention))
        self._learned()

    def learn_when_run(self) -> None:
        """Learn the structure where the model first runs, unless it is known."""
        if self.draw is None and self._first_run is None:
            on_first_run = self._on_first_run
            if "torch._dynamo" in sys.modules:  # torch.compile cannot trace what follows a network
                on_first_run = torch.compiler.disable(on_first_run)
            self._first_run = PatchedForward(self._model, on_first_run)

    def _on_first_run(self, plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if kwargs and args:
            return plain(*args, **kwargs)  # not a batch that it could be run on again
        try:
            self.learn(few_examples(kwargs or args, _EXAMPLES))
        except ValueError as error:
            _log.warning("layers lose clusters each by itself: %s", one_line(error))
        with nullcontext() if self._uncalled is None else self._uncalled.shown():
            return self._model.forward(*args, **kwargs)

    def _forget_first_run(self) -> None:
        if self._first_run is not None:
            self._first_run.undo()
            self._first_run = None

    def show(self, masks: Masks, drawn: bool) -> nn.Module:
        """Put masks on, less what earlier generations removed.

        Parameters
        ----------
        masks
            The masks.
        drawn
            Whether they are those that `draw` made last.

        Returns
        -------
        torch.nn.Module
            The model.
        """
        masks = self._inheritance.keep_removed(masks)
        self._copy_masks(masks)
        self._inheritance.know(masks)
        if self._factors is not None:
            self._factors.mask(self.removed(self._inheritance.current(), drawn))
        return self._model

    def removed(self, masks: Mapping[str, Mapping[str, Tensor | None]], drawn: bool) -> Set[int]:
        """The clusters that masks remove, those of earlier generations among them.

        Parameters
        ----------
        masks
            Masks that `draw` made last, or others.
        drawn
            Whether `draw` made them.
        """
        if self.draw is None:
            return set()
        if self._inheritance.removed or not drawn:
            return removed_by(self.draw.graph, self._model, masks, self.draw.removed)
        return self.draw.removed

    def small_copies(self) -> Callable[[Set[int]], nn.Module]:
        """Return a function that copies the model as it is now, without some clusters.

        What earlier generations removed is missing or zero in the copies.
        """
        assert self.draw is not None
        graph = self.draw.graph
        network = unwrapped_copy(self._model)
        inherited: dict[str, dict[str, Tensor | None]] = {}
        for name, target in self._inheritance.removed:
            mask = self._inheritance.mask(name, target)
            inherited.setdefault(name, {})[target] = mask
            module = network.get_submodule(name)
            tensor = getattr(module, target).detach()
            setattr(module, target, nn.Parameter(tensor * mask.to(tensor)))
        small = graph.small_copies(network)
        if not inherited:
            return small
        return lambda lost: small(removed_by(graph, network, inherited, lost))

    def take_off(self) -> None:
        """Let the model compute as NNI's wrappers leave it."""
        self._forget_first_run()
        if self._factors is not None:
            self._factors.take_off()
        if self._uncalled is not None:
            self._uncalled.take_off()
        for restore in self._attentions:
            restore()
        self._attentions = []
