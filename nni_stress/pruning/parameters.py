"""The parameters of a model around NNI's wrappers, which replace them by copies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakValueDictionary

from nni.compression.base.wrapper import ModuleWrapper
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .targets import replace_mask


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


class TiedParameters:
    """The parameters that a model has in several modules; NNI's wrappers give each its own.

    Parameters
    ----------
    model
        The model, not wrapped yet.

    Examples
    --------
    >>> model = nn.ModuleDict({"words": nn.Embedding(5, 2), "head": nn.Linear(2, 5)})
    >>> model["head"].weight = model["words"].weight
    >>> tied = TiedParameters(model)
    >>> ModuleWrapper(model["head"], "head", {"pruning": {"sparse_ratio": 0.5}}).wrap()
    >>> tied.tie()
    >>> model["words"].weight is model["head"]._nni_wrapper.weight
    True
    """

    def __init__(self, model: nn.Module):
        places: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
        for module in model.modules():
            for leaf, parameter in module.named_parameters(recurse=False):
                places.setdefault(parameter, []).append((module, leaf))
        self._places = [own for own in places.values() if len(own) > 1]

    def tie(self) -> None:
        """Let them be one again, the one of a wrapper if any module is wrapped."""
        for places in self._places:
            owners = [(_owner(module, leaf), leaf) for module, leaf in places]
            wrapped = [own for own in owners if isinstance(own[0], ModuleWrapper)]
            first, name = (wrapped or owners)[0]
            parameter = first.get_parameter(name)
            for owner, leaf in owners:
                setattr(owner, leaf, parameter)


def _owner(module: nn.Module, leaf: str) -> nn.Module:
    wrapper = getattr(module, "_nni_wrapper", None)
    if isinstance(wrapper, ModuleWrapper) and leaf in dict(wrapper.named_parameters(recurse=False)):
        return wrapper
    return module


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
