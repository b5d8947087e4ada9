"""The choice of the best of many candidate offspring by screening."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from .allocator import Allocator
from .screening import Screen, fittest
from .targets import Masks


class CandidateScreening:
    """Draws candidates around an architecture, and judges each by its masks alone.

    Parameters
    ----------
    masks
        Makes masks of scores.
    allocator
        Draws architectures, and makes NNI's rules keep to one of them.
    number
        Number of candidates.
    screen
        Judges a network.
    generator
        Generator of the architectures, on the CPU.

    Examples
    --------
    >>> from nni.compression.base.compressor import register_scalers
    >>> from nni_stress.pruning.budget import Budget
    >>> from nni_stress.pruning.cluster_draw import ClusterDraw
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> from torch import nn
    >>> from nni_stress.graph.cluster_graph import ClusterGraph
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> graph = ClusterGraph(network, torch.rand(1, 4))
    >>> budget = Budget(network, graph, {"parameters": 0.5})
    >>> wrapper = ModuleWrapper(network[0], "0", {"pruning": {"sparse_ratio": 0.0}})
    >>> spaces = {"0": wrapper.pruning_target_spaces}
    >>> register_scalers(spaces, lambda space: "out_channel")
    >>> draw = ClusterDraw(budget.graph, network, spaces)
    >>> allocator = Allocator(budget, spaces, draw)
    >>> screen = Screen(torch.zeros(4, 4), torch.zeros(4, 2), nn.functional.mse_loss)
    >>> generator = torch.Generator()
    >>> masks = lambda scores: draw.masks(scores, allocator.kept, {})
    >>> screening = CandidateScreening(masks, allocator, 5, screen, generator)
    >>> scores = {"0": {"weight": torch.rand(8, 1)}}
    >>> best = screening.best([3], lambda: scores, lambda masks: network)
    >>> best is scores
    True
    """

    def __init__(
        self,
        masks: Callable[[Masks], Masks],
        allocator: Allocator,
        number: int,
        screen: Screen,
        generator: torch.Generator,
    ):
        self._masks = masks
        self._allocator = allocator
        self._number = number
        self._screen = screen
        self._generator = generator

    def best(
        self, keep: Sequence[int], draw: Callable[[], Masks], show: Callable[[Masks], nn.Module]
    ) -> Masks:
        """Choose the best candidate. NNI's rules keep to its architecture from then on.

        Parameters
        ----------
        keep
            How many clusters each group keeps in the architecture to draw around.
        draw
            Draws the scores by which NNI's rules rank clusters; called once for each candidate.
        show
            Puts masks on the network, and returns it.

        Returns
        -------
        dict
            The scores of the best candidate.
        """
        options = self._allocator.candidates(keep, self._number, self._generator)
        scores = [draw() for _ in options]

        def loss(option: int, examples: int) -> float:
            self._allocator.set_kept(options[option])
            return self._screen(show(self._masks(scores[option])), examples)

        best = fittest(len(options), loss, self._screen.examples)
        self._allocator.set_kept(options[best])
        return scores[best]
