"""The search for the best architecture among candidates that are judged untrained."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

import torch
from torch import nn

from .allocator import Allocator
from .cluster_draw import ClusterDraw
from .functional.breeding import best_first, breed
from .screening import Judged, Screen
from .targets import Masks

# While candidates are bred, they are judged on one example of so many, but on at least so many.
SHARE = 16
LEAST = 32
# One candidate of so many is judged on all examples, but at least so many.
FINALISTS = 40
LEAST_FINALISTS = 3


class CandidateSearch:
    """Breeds architectures within the budget, each judged as a small network that is not trained.

    Parameters
    ----------
    allocator
        Knows the budget, and makes NNI's rules keep to an architecture.
    number
        Number of candidates.
    screen
        Judges a network.
    generator
        Generator of the breeding, on the CPU.

    Examples
    --------
    >>> from nni.compression.base.compressor import register_scalers
    >>> from nni_stress.pruning.budget import Budget
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> from nni_stress.graph.cluster_graph import ClusterGraph
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.Linear(6, 2))
    >>> graph = ClusterGraph(network, torch.rand(1, 4))
    >>> budget = Budget(network, graph, {"parameters": 0.5})
    >>> config = {"pruning": {"sparse_ratio": 0.0}}
    >>> wrappers = {n: ModuleWrapper(network.get_submodule(n), n, config) for n in ("0", "2")}
    >>> spaces = {name: wrapper.pruning_target_spaces for name, wrapper in wrappers.items()}
    >>> register_scalers(spaces, lambda space: "out_channel")
    >>> draw = ClusterDraw(budget.graph, network, spaces)
    >>> allocator = Allocator(budget, spaces, draw)
    >>> screen = Screen(torch.rand(9, 4), torch.rand(9, 2), nn.functional.mse_loss)
    >>> search = CandidateSearch(allocator, 5, screen, torch.Generator())
    >>> scores = {"0": {"weight": torch.rand(8, 1)}, "2": {"weight": torch.rand(6, 1)}}
    >>> search.choose([4, 3], scores, draw, graph.small_copies(network)).number
    5
    """

    def __init__(
        self, allocator: Allocator, number: int, screen: Screen, generator: torch.Generator
    ):
        self._allocator = allocator
        self._number = number
        self._screen = screen
        self._generator = generator

    def choose(
        self,
        shares: Sequence[int],
        scores: Masks,
        draw: ClusterDraw,
        small: Callable[[Set[int]], nn.Module],
    ) -> Judged:
        """Choose the best architecture. NNI's rules keep to it from then on.

        Parameters
        ----------
        shares
            How many clusters each group keeps by importance per cost.
        scores
            Scores by which the clusters of each group are ranked, whatever its number.
        draw
            Knows which clusters are lost then.
        small
            Makes a small network without some clusters.
        """

        def loss(keep: Sequence[int], examples: int) -> float:
            return self._screen(small(draw.lost(scores, keep)), examples)

        all_examples = self._screen.examples
        few = min(all_examples, max(LEAST, all_examples // SHARE))
        losses = breed(
            shares,
            self._allocator.space(),
            lambda keep: loss(keep, few),
            self._number,
            self._generator,
        )
        first = next(iter(losses))  # the shares
        count = max(LEAST_FINALISTS, len(losses) // FINALISTS)
        names = dict.fromkeys([first, *best_first(losses)[:count]])
        finalists = {keep: loss(keep, all_examples) for keep in names}
        best = best_first(finalists)[0]
        if best != first:  # which was fitted to what is measured before
            best = tuple(self._allocator.refitted(best))
        if best not in finalists:
            finalists[best] = loss(best, all_examples)
            best = best_first({keep: finalists[keep] for keep in (first, best)})[0]
        self._allocator.set_kept(best)
        return Judged(finalists[best], len(losses))
