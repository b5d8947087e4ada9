"""What earlier generations and other pruners removed from a network stays removed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from nni.compression.base.wrapper import ModuleWrapper
from torch import Tensor

from .targets import Masks


class Inheritance:
    """The masks that a network had when they were last looked at.

    Parameters
    ----------
    wrappers
        {module name: NNI's wrapper} of all wrapped modules.

    Attributes
    ----------
    removed : set
        (module name, target name) of all targets that have lost something.

    Examples
    --------
    >>> from torch import nn
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> wrapper.pruning_target_spaces["bias"].mask = torch.tensor([1.0, 0.0, 1.0, 1.0])
    >>> inheritance = Inheritance({"layer": wrapper})
    >>> inheritance.keep_removed({"layer": {"bias": torch.ones(4)}})
    {'layer': {'bias': tensor([1., 0., 1., 1.])}}
    """

    def __init__(self, wrappers: Mapping[str, ModuleWrapper]):
        self._wrappers = wrappers
        self._masks: dict[str, dict[str, Tensor | None]] = {}
        self._before = self._masks
        self.removed: set[tuple[str, str]] = set()
        self.update()

    def update(self) -> None:
        """Take the masks as they are now for what earlier generations removed."""
        self._before = self._masks
        self._use(
            {
                module_name: {
                    name: None if mask is None else compact(mask) for name, mask in targets.items()
                }
                for module_name, targets in current_masks(self._wrappers).items()
            }
        )

    def undo(self) -> None:
        """Go back to what earlier generations had removed before the last update."""
        self._use(self._before)

    def _use(self, masks: dict[str, dict[str, Tensor | None]]) -> None:
        self._masks = masks
        self.removed = {
            (module_name, target_name)
            for module_name, targets in self._masks.items()
            for target_name, mask in targets.items()
            if mask is not None and not mask.all()
        }

    def mask(self, module_name: str, target_name: str) -> Tensor:
        """Inherited mask of a target that has one."""
        mask = self._masks[module_name][target_name]
        if mask is None:
            raise ValueError(f"{module_name}.{target_name} must have a mask, but got none")
        return mask

    def lacks_part_of(self, module_name: str) -> bool:
        """Whether earlier generations removed some of a module."""
        return any(module_name == module for module, _ in self.removed)

    def keep_removed(self, masks: Masks) -> Masks:
        """Remove from masks, in place, what earlier generations removed.

        Parameters
        ----------
        masks
            Masks or stress factors of any targets.

        Returns
        -------
        dict
            The same mapping. Targets of which nothing was removed are not multiplied.
        """
        for module_name, targets in masks.items():
            for target_name in targets:
                if (module_name, target_name) in self.removed:
                    inherited = self.mask(module_name, target_name)
                    targets[target_name] = targets[target_name] * inherited
        return masks


def current_masks(wrappers: Mapping[str, ModuleWrapper]) -> dict[str, dict[str, Tensor | None]]:
    """Masks of all targets, as NNI's ``get_masks``, but not copied.

    Examples
    --------
    >>> from torch import nn
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> list(current_masks({"layer": wrapper})["layer"])
    ['weight', 'bias']
    """
    return {
        module_name: {
            target_name: space.mask for target_name, space in wrapper.pruning_target_spaces.items()
        }
        for module_name, wrapper in wrappers.items()
    }


def compact(mask: Tensor) -> Tensor:
    """Copy a mask, without memory for single synapses if each cluster is masked as a whole.

    Examples
    --------
    >>> compact(torch.tensor([[1.0, 1.0], [0.0, 0.0]])).stride()
    (1, 0)
    """
    if mask.dim() < 2:
        return mask.clone()
    index = (slice(None),) + (slice(1),) * (mask.dim() - 1)
    clusters = mask[index]
    if torch.equal(clusters.expand_as(mask), mask):
        return clusters.clone().expand_as(mask)
    return mask.clone()
