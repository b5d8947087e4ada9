"""The parameters of a model around NNI's wrappers, which replace them by copies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from nni.compression.base.wrapper import ModuleWrapper
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .targets import replace_mask


def lend(wrappers: Iterable[ModuleWrapper]) -> None:
    """Let wrappers train the very parameters of their modules, which are not wrapped yet.

    NNI gives them copies. So optimizers that were made before, ``DistributedDataParallel``, and
    modules that share a parameter go on with what is trained.

    Examples
    --------
    >>> layer = nn.Linear(2, 1)
    >>> weight = layer.weight
    >>> wrapper = ModuleWrapper(layer, "layer", {"pruning": {"sparse_ratio": 0.5}})
    >>> lend([wrapper])
    >>> wrapper.wrap()
    >>> wrapper.weight is weight
    True
    """
    for wrapper in wrappers:
        _hand_over(wrapper.module, wrapper)


def give_back(wrappers: Iterable[ModuleWrapper]) -> None:
    """Let modules, which have just been unwrapped, have the parameters that wrappers trained.

    Examples
    --------
    >>> layer = nn.Linear(2, 1)
    >>> wrapper = ModuleWrapper(layer, "layer", {"pruning": {"sparse_ratio": 0.5}})
    >>> wrapper.wrap()
    >>> wrapper.unwrap()
    >>> give_back([wrapper])
    >>> layer.weight is wrapper.weight
    True
    """
    for wrapper in wrappers:
        _hand_over(wrapper, wrapper.module)


def _hand_over(owner: nn.Module, to: nn.Module) -> None:
    """Replace those parameters of a module that another one has as well."""
    own = dict(owner.named_parameters(recurse=False))
    for name in dict(to.named_parameters(recurse=False)).keys() & own.keys():
        setattr(to, name, own[name])


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


class LazyClones(TorchFunctionMode):
    """Lets clones take no memory in a ``with`` block, until they or what they are of is written to.

    Examples
    --------
    >>> import torch
    >>> weight = torch.ones(2)
    >>> with LazyClones():
    ...     copied = weight.clone()
    >>> weight += 1
    >>> copied
    tensor([1., 1.])
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is Tensor.clone and not kwargs and len(args) == 1 and _can_wait(args[0]):
            with contextlib.suppress(RuntimeError):  # memory of NumPy, of files, ...
                return args[0]._lazy_clone()  # noqa: SLF001, PyTorch has no public one
        return func(*args, **(kwargs or {}))


def _can_wait(tensor: Tensor) -> bool:
    fills_storage = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return (
        fills_storage and hasattr(tensor, "_lazy_clone") and tensor.device.type in ("cpu", "cuda")
    )


def release(wrappers: Iterable[ModuleWrapper], model: nn.Module) -> None:
    """Free the memory of wrappers: of masks, and of parameters that their model does not use.

    Examples
    --------
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", {"pruning": {"sparse_ratio": 0.5}})
    >>> wrapper.wrap()
    >>> wrapper.unwrap()
    >>> release([wrapper], wrapper.module)
    >>> wrapper.weight.numel(), wrapper.module.weight.numel()
    (0, 8)
    """
    used = set(model.parameters())
    for wrapper in wrappers:
        for space in wrapper.pruning_target_spaces.values():
            replace_mask(space, None)
        for parameter in wrapper.parameters(recurse=False):
            if parameter not in used:
                parameter.data = parameter.data.new_empty(0)
