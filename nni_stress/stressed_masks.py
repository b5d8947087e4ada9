"""The masks by which a network feels stress, for as long as it does in the place of its own."""
from __future__ import annotations

import torch

from .sampling import Masks


class StressedMasks:
    """Lends a pruner's wrappers masks that need no memory of their own: one factor for a cluster, expanded.

    NNI copies every mask it is given, which for large layers takes as long as a good part of a training step.

    Parameters
    ----------
    pruner
        The StressPruner.
    """

    def __init__(self, pruner):
        self._pruner, self._own = pruner, {}  # {target space: the mask that was there}

    def put_on(self, masks: Masks) -> None:
        """Train with these from here on, less what earlier generations removed."""
        masks = self._pruner.keep_removed(masks)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return self._pruner.update_masks(masks)  # processes send each other their buffers, which must be whole
        for module_name, targets in masks.items():
            for target_name, mask in targets.items():
                space = self._pruner._target_spaces[module_name][target_name]
                self._own.setdefault(space, space.mask)
                space._set_wrapper_attr(space._mask_name, mask)

    def take_off(self) -> None:
        """Give every wrapper its own mask back."""
        for space, mask in self._own.items():
            space._set_wrapper_attr(space._mask_name, mask)
        self._own = {}
