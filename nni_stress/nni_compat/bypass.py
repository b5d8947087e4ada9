"""Layers that NNI wraps without masking anything run as if they were not wrapped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nni.compression.base.target_space import TargetType
from nni.compression.base.wrapper import ModuleWrapper

from .uncalled import parameters_of_wrapper


class Bypass:
    """Lets wrapped layers run without their wrappers, which make a training step longer.

    Wrappers that do more than to mask parameters stay in the way.

    Parameters
    ----------
    wrappers
        Wrappers of layers that have lost nothing.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 1)
    >>> wrapper = ModuleWrapper(layer, "layer", {"pruning": {"sparse_ratio": 0.5}})
    >>> wrapper.wrap()
    >>> bypass = Bypass([wrapper])
    >>> layer.weight is wrapper.weight  # without the bypass, a masked copy
    True
    >>> bypass.take_off()
    >>> layer.weight is wrapper.weight
    False
    """

    def __init__(self, wrappers: Iterable[ModuleWrapper]):
        self._forwards: list[tuple[ModuleWrapper, Any]] = []
        for wrapper in wrappers:
            if _only_masks(wrapper):
                vars(wrapper.module).update(parameters_of_wrapper(wrapper))
                wrapper.module.forward = wrapper.module_forward
                self._forwards.append((wrapper, wrapper.module.forward))

    def take_off(self) -> None:
        """Let layers run in their wrappers again, unless they were unwrapped meanwhile."""
        for wrapper, forward in self._forwards:
            if vars(wrapper.module).get("forward") == forward:
                wrapper.module.forward = wrapper.forward
            for name, parameter in parameters_of_wrapper(wrapper).items():
                if vars(wrapper.module).get(name) is parameter:
                    del vars(wrapper.module)[name]
        self._forwards = []


def _only_masks(wrapper: ModuleWrapper) -> bool:
    """Whether a wrapper does nothing but multiply parameters by masks."""
    return (
        type(wrapper) is ModuleWrapper
        and wrapper.module.forward == wrapper.forward
        and len(wrapper._track_funcs) == 1  # noqa: SLF001, NNI's own one; it has no accessor
        and not (
            wrapper.quantization_target_spaces
            or wrapper.distillation_target_spaces
            or wrapper.fused_modules
        )
        and all(
            space.type is TargetType.PARAMETER and space.apply_method == "mul"
            for space in wrapper.pruning_target_spaces.values()
        )
    )
