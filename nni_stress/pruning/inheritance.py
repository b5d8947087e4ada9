"""What earlier generations and other pruners removed from a network stays removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nni.compression.base.wrapper import ModuleWrapper
from torch import Tensor

from ..graph.compact_masks import compact, removes_nothing
from .targets import Masks

Target = tuple[str, str]  # (module name, target name)


class _Read(NamedTuple):
    """A mask as it was when it was read, and its compact copy."""

    mask: Tensor
    version: int
    compact: Tensor


class Inheritance:
    """The masks that a network had when they were last looked at.

    Parameters
    ----------
    wrappers
        {module name: NNI's wrapper} of all wrapped modules.
    new
        Names of those that NNI has just made: their masks remove nothing, and are not read.

    Attributes
    ----------
    removed : set
        (module name, target name) of all targets that have lost something.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> wrapper.pruning_target_spaces["bias"].mask = torch.tensor([1.0, 0.0, 1.0, 1.0])
    >>> inheritance = Inheritance({"layer": wrapper})
    >>> inheritance.keep_removed({"layer": {"bias": torch.ones(4)}})
    {'layer': {'bias': tensor([1., 0., 1., 1.])}}
    """

    def __init__(self, wrappers: Mapping[str, ModuleWrapper], new: Iterable[str] = ()):
        self._wrappers = wrappers
        self._read: dict[Target, _Read] = {}
        self._masks: dict[str, dict[str, Tensor | None]] = {}
        self._before = self._masks
        self.removed: set[tuple[str, str]] = set()
        self.know({name: _ones_for(wrappers[name]) for name in new})
        self.update()

    def update(self) -> None:
        """Take the masks as they are now for what earlier generations removed."""
        self._before = self._masks
        self._use(self.current())

    def current(self) -> dict[str, dict[str, Tensor | None]]:
        """The masks as they are now, see :func:`nni_stress.graph.compact_masks.compact`.

        As NNI's ``get_masks``, but a mask is read again only where it has changed.
        """
        return {
            module_name: {
                name: self._compact((module_name, name), space.mask)
                for name, space in wrapper.pruning_target_spaces.items()
            }
            for module_name, wrapper in self._wrappers.items()
        }

    def _compact(self, target: Target, mask: Tensor | None) -> Tensor | None:
        if mask is None:
            return None
        known = self._read.get(target)
        if known is None or known.mask is not mask or known.version != _version_of(mask):
            known = _Read(mask, _version_of(mask), compact(mask))
            self._read[target] = known
        return known.compact

    def know(self, masks: Masks) -> None:
        """Be told what the masks in the wrappers are, as they have just been put there."""
        for module_name, targets in masks.items():
            for name, told in targets.items():
                mask = self._wrappers[module_name].pruning_target_spaces[name].mask
                if mask is not None:
                    own = compact(told.expand_as(mask))
                    self._read[module_name, name] = _Read(mask, _version_of(mask), own)

    def release(self) -> None:
        """Free the memory of masks that were read; those of earlier generations are compact."""
        self._read = {}

    def undo(self) -> None:
        """Go back to what earlier generations had removed before the last update."""
        self._use(self._before)

    def _use(self, masks: dict[str, dict[str, Tensor | None]]) -> None:
        self._masks = masks
        self.removed = {
            (module_name, target_name)
            for module_name, targets in self._masks.items()
            for target_name, mask in targets.items()
            if mask is not None and not removes_nothing(mask)
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


def _ones_for(wrapper: ModuleWrapper) -> dict[str, Tensor]:
    spaces = wrapper.pruning_target_spaces.items()
    return {
        name: space.mask.new_ones((), device="cpu" if space.mask.is_meta else None)
        for name, space in spaces
        if space.mask is not None
    }


def _version_of(tensor: Tensor) -> int:
    """How often a tensor was written to."""
    return tensor._version  # noqa: SLF001, PyTorch has no public name for it
