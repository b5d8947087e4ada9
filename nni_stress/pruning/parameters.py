"""The parameters of a model around NNI's wrappers, which replace them by copies."""

from __future__ import annotations

from weakref import WeakValueDictionary

from nni.compression.base.wrapper import ModuleWrapper
from torch import Tensor, nn


class OriginalParameters:
    """The parameters that a model had before it was wrapped, as long as something else holds them.

    Parameters
    ----------
    model
        The model, not wrapped yet.

    Examples
    --------
    >>> import torch
    >>> model = nn.Linear(2, 1)
    >>> weight = model.weight
    >>> original = OriginalParameters(model)
    >>> model.weight = nn.Parameter(torch.zeros(1, 2))
    >>> original.restore()
    >>> model.weight is weight
    True
    """

    def __init__(self, model: nn.Module):
        self._model = model
        self._alive = WeakValueDictionary(parameters_of(model))

    def alive(self) -> dict[str, nn.Parameter]:
        """Those parameters that something, such as an optimizer, still holds, by name."""
        return dict(self._alive)

    def restore(self) -> None:
        """Put them back into the model, once it is unwrapped."""
        for name, parameter in self._alive.items():
            owner, _, leaf = name.rpartition(".")
            setattr(self._model.get_submodule(owner), leaf, parameter)


def parameters_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters of a model, wrapped or not, by the names they have without wrappers.

    Examples
    --------
    >>> list(parameters_of(nn.Linear(2, 1)))
    ['weight', 'bias']
    """
    return {
        name.replace("_nni_wrapper.", ""): parameter for name, parameter in model.named_parameters()
    }


def share_memory(wrapper: ModuleWrapper) -> None:
    """Replace the copies that a wrapper left in its module by ones that take no memory yet.

    Each shares the memory of the wrapper's parameter until either is written to.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> wrapper.wrap()
    >>> share_memory(wrapper)
    >>> wrapper.module.weight.shape
    torch.Size([4, 2])
    """
    for name, space in wrapper.pruning_target_spaces.items():
        if isinstance(space.target, nn.Parameter):
            setattr(wrapper.module, name, _copied_on_write(space.target.detach()))


def _copied_on_write(tensor: Tensor) -> Tensor:
    if hasattr(tensor, "_lazy_clone") and tensor.device.type in ("cpu", "cuda"):
        copied: Tensor = tensor._lazy_clone()  # noqa: SLF001, PyTorch has no public one
        return copied
    return tensor.clone()
