"""A whole network that computes what it would without some of its clusters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Set
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.hooks import RemovableHandle

from .element_masks import input_axis, mask_of, masking, masks_of_parameters
from .following.attention import use_any_width
from .following.cutting import slicing_of
from .following.demands import attributes_of, solve
from .following.follower import Normalizing
from .following.sizes import Attribute
from .following.structure import LabelledTensor, Removed, Structure, removed_flags
from .following.tracking import get_attribute, set_attribute
from .survivors import small_copy, survivors_among

_PARAMETRIZATIONS = ".parametrizations."


class MaskedClusters:
    """Masks clusters everywhere in a network, also where no mask of NNI's applies.

    Weights that NNI masks are left to NNI; of these layers, the inputs are masked. All other
    parameters are masked while their module runs. Norms take their statistics over the survivors.

    Parameters
    ----------
    network
        The network, wrapped by NNI or not.
    structure
        Its structure.
    wrapped
        Names of the layers whose outputs NNI masks.

    Examples
    --------
    >>> from nni_stress.graph.following.follow import follow
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    >>> masked = MaskedClusters(network, follow(network, (torch.rand(1, 2),)), wrapped=())
    >>> inputs = torch.rand(5, 2)
    >>> whole = network(inputs)
    >>> masked.put_on({2})
    >>> torch.equal(whole, network(inputs))
    False
    >>> masked.take_off()
    >>> torch.equal(whole, network(inputs))
    True
    """

    def __init__(self, network: nn.Module, structure: Structure, wrapped: Collection[str]):
        self._network = network
        self._structure = structure
        self._wrapped = frozenset(wrapped)
        self._handles: list[RemovableHandle] = []
        self._undo: list[Callable[[], None]] = []
        self._mask_now: Callable[[], None] = lambda: None

    def put_on(self, removed: Set[int]) -> None:
        """Mask clusters, in place of those that were masked before."""
        self.take_off()
        gone = removed_flags(self._structure, removed)
        masks: dict[tuple[nn.Module, str], tuple[nn.Parameter, Tensor]] = {}
        tensors: dict[str, dict[str, LabelledTensor]] = {}
        for tensor in self._structure.tensors:
            for name in tensor.names:
                path, _, leaf = name.rpartition(".")
                tensors.setdefault(path, {})[leaf] = tensor
        for path in dict.fromkeys([*tensors, *self._structure.normalizing]):
            leaves = tensors.get(path, {})
            module = self._network.get_submodule(path)
            normalizing = self._structure.normalizing.get(path)
            if normalizing is not None:
                self._normalize(path, normalizing, leaves, gone)
            elif path in self._wrapped and path in self._structure.input_shapes:
                self._mask_inputs(module, leaves.get("weight"), gone)
            elif _PARAMETRIZATIONS in path:  # a norm of the whole tensor is to stay what it is
                self._mask_outputs(path, leaves, gone)
            else:
                if "weight_g" in leaves:  # of torch's former weight norm: 0 / 0 is not wanted
                    leaves.pop("weight_v", None)
                masks.update(masks_of_parameters(module, leaves, gone))
        self._mask_parameters(masks)
        for module in self._network.modules():
            if isinstance(module, nn.MultiheadAttention):
                undo = use_any_width(module)
                if undo is not None:
                    self._undo.append(undo)

    def mask_this_run(self) -> None:
        """Mask parameters for the run that has begun, if :meth:`put_on` was called within it."""
        self._mask_now()

    def take_off(self) -> None:
        """Let the network compute with all its clusters again."""
        for handle in self._handles:
            handle.remove()
        for undo in reversed(self._undo):
            undo()
        self._handles = []
        self._undo = []

    def _normalize(
        self,
        path: str,
        normalizing: Normalizing,
        leaves: dict[str, LabelledTensor],
        gone: Removed,
    ) -> None:
        """Let a module compute on the survivors among its inputs, its result among zeros."""
        module = self._network.get_submodule(path)
        inputs = survivors_among(normalizing.input, gone)
        outputs = survivors_among(normalizing.output, gone)
        if inputs is None and outputs is None:
            return
        slices = {leaf: slicing_of(tensor, gone) for leaf, tensor in leaves.items()}
        small = small_copy(module, slices)
        for attribute, size in self._sizes(path, gone).items():
            set_attribute(small, attribute, size)
        wrapper = getattr(module, "_nni_wrapper", None)
        holder, name = (module, "forward") if wrapper is None else (wrapper, "module_forward")
        before = vars(holder).get(name)

        def forward(values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            tensors = {}
            for leaf, slice_as in slices.items():
                tensor = getattr(module, leaf)
                tensors[leaf] = tensor if slice_as is None else slice_as(tensor)
            if inputs is not None:
                values = values.index_select(inputs.dim, inputs.indices.to(values.device))
            result: Tensor = functional_call(small, tensors, (values, *args), kwargs)
            return result if outputs is None else outputs.among_zeros(result)

        setattr(holder, name, forward)

        def undo() -> None:
            if before is None:
                delattr(holder, name)
            else:
                setattr(holder, name, before)

        self._undo.append(undo)

    def _sizes(self, path: str, gone: Removed) -> dict[Attribute, int]:
        """Attributes of a module that must change, by their names in the module."""
        own = [d for d in self._structure.demands if {a.module for a in attributes_of(d)} == {path}]
        sizes = solve(own, gone, lambda leaf: get_attribute(self._network, leaf))
        return {replace(attribute, module=""): size for attribute, size in sizes.items()}

    def _mask_outputs(self, path: str, leaves: dict[str, LabelledTensor], gone: Removed) -> None:
        """Mask what a parametrization makes of its tensors."""
        shape = getattr(
            self._network.get_submodule(path.partition(_PARAMETRIZATIONS)[0]),
            path.rpartition(".")[2],
        ).shape
        for tensor in leaves.values():
            mask = mask_of(tensor, gone) if tensor.shape == shape else None
            if mask is not None:
                self._handles.append(
                    self._network.get_submodule(path).register_forward_hook(masking(mask))
                )

    def _mask_inputs(self, module: nn.Module, weight: LabelledTensor | None, gone: Removed) -> None:
        if weight is None or len(weight.dims) < 2:
            return
        dim, axis = input_axis(module, weight)
        alive = ~gone[axis]
        if dim is None or alive.all():
            return
        mask = torch.from_numpy(alive)

        def mask_input(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            values = args[0]
            shape = [1] * values.dim()
            shape[dim] = -1
            return (values * mask.to(values.device, values.dtype).view(shape), *args[1:])

        self._handles.append(module.register_forward_pre_hook(mask_input))

    def _mask_parameters(
        self, masks: dict[tuple[nn.Module, str], tuple[nn.Parameter, Tensor]]
    ) -> None:
        """Let the network run with masked parameters; modules may read those of others."""

        def mask() -> None:
            for (module, leaf), (parameter, own) in masks.items():
                if leaf in module._parameters:  # noqa: SLF001
                    module._parameters[leaf] = None  # noqa: SLF001, keeps its place
                shown = vars(module).get(leaf, parameter)  # perhaps with masks of other kinds
                vars(module)[leaf] = shown * own.to(parameter.device, parameter.dtype)

        def unmask(network: nn.Module, args: Any, output: Any) -> None:
            for (module, leaf), (parameter, _) in masks.items():
                vars(module).pop(leaf, None)
                if leaf in module._parameters:  # noqa: SLF001
                    module._parameters[leaf] = parameter  # noqa: SLF001

        self._mask_now = mask
        if masks:
            self._handles.append(
                self._network.register_forward_pre_hook(lambda network, args: mask())
            )
            self._handles.append(self._network.register_forward_hook(unmask, always_call=True))


def masked_attentions(network: nn.Module) -> list[Callable[[], None]]:
    """Let attentions call their layers, so that NNI's masks of these apply.

    Returns
    -------
    list of callable
        They undo it.
    """
    found = [
        use_any_width(module)
        for module in network.modules()
        if isinstance(module, nn.MultiheadAttention)
        and any(hasattr(child, "_nni_wrapper") for child in module.children())
    ]
    return [undo for undo in found if undo is not None]
