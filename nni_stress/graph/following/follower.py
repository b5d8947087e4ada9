"""One forward pass of a network with labels on all its tensors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from .context import Call, Context, name_of, put
from .own import carry_operator
from .planes import compact, varying
from .rules import RULES
from .rules.elementwise import pointwise

# In place, they change how a tensor is read and nothing else.
_STRIDES_ONLY = {"as_strided_", "t_", "transpose_", "squeeze_", "unsqueeze_", "swapaxes_"}
# How many elements their results have depends on the values that they are given.
_CHOICES = {"nonzero", "nms", "_unique2", "unique_dim", "unique_consecutive", "masked_select"}
_READS_ONLY = {"_local_scalar_dense", "equal", "is_nonzero", "_assert_async", "allclose"}


class Follower(TorchDispatchMode):
    """Runs every operator, then carries labels from its inputs on to its outputs.

    Parameters
    ----------
    context
        What is known of the labels, and what becomes known.
    """

    def __init__(self, context: Context):
        super().__init__()
        self._context = context

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether torch is to guard the method below, which imports all of torch.compile."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operator."""
        kwargs = kwargs or {}
        result = self._run(func, args, kwargs)
        if self._context.inside:
            return result
        # without a default device, as labels lie in the CPU's memory
        with torch._C.DisableTorchFunction(), _disable_current_modes():  # noqa: SLF001
            name = name_of(func)
            mutable = func._schema.is_mutable  # noqa: SLF001
            call = Call(
                func, name, args, kwargs, _tensors((args, kwargs)), _tensors(result), mutable
            )
            self._context.relations.operator = name
            if name in _CHOICES:
                self._context.choose()
            self._carry(call)
            self._summarize(call)
        return result

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        return func(*args, **kwargs)

    def _summarize(self, call: Call) -> None:
        """Carry on what single numbers are summaries of, until more is computed from them."""
        summaries = self._context.summaries
        statistics = summaries.of(call.tensors)
        if not statistics or call.name in _READS_ONLY:
            return
        if any(tensor.numel() > 1 for tensor in (*call.tensors, *call.outputs)):
            self._context.relations.add_statistics(statistics)
        else:
            for output in call.outputs:
                summaries.add(output, statistics)

    def _carry(self, call: Call) -> None:
        labels = self._context.labels
        labelled = any(labels.of(tensor) for tensor in call.tensors)
        if labelled and carry_operator(self._context, call):
            return
        rule = RULES.get(call.name) or RULES.get(call.name.rstrip("_"))
        if rule is None and torch.Tag.pointwise in call.func.tags:
            rule = pointwise
        if labelled and not _is_view(call) and call.outputs and not call.outputs[0].numel():
            self._context.fix_all(
                call.tensors, f"nothing is left by {call.name}: what reads it is not seen"
            )
        elif not call.outputs:
            if labelled and call.name not in _READS_ONLY:
                self._context.fix_all(call.tensors, f"read by {call.name}")
        elif _is_view(call):
            if labelled and rule is RULES["split"]:
                rule(self._context, call)
        elif call.name in _STRIDES_ONLY:
            return
        elif rule is RULES["zeros"]:
            rule(self._context, call)
        elif not labelled:
            neutral = bool(call.tensors) and all(map(labels.neutral, call.tensors))
            for output in call.outputs:
                if call.mutable:
                    labels.write(output, [])
                else:
                    labels.assign(output, [], neutral)
        elif rule is None:
            self._context.fix_all(call.tensors, f"{call.name}, an operator that is not understood")
            for output in call.outputs:
                put(self._context, call, output, [])
        else:
            rule(self._context, call)


def _tensors(values: Any) -> list[torch.Tensor]:
    """The tensors among the arguments or the results of an operator."""
    if isinstance(values, torch.Tensor):
        return [values] if values.layout == torch.strided else []
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, (tuple, list)):
        return []
    return [tensor for value in values for tensor in _tensors(value)]


def _is_view(call: Call) -> bool:
    return not call.mutable and not call.new_outputs


@contextlib.contextmanager
def plain_operators(network: nn.Module) -> Iterator[None]:
    """Let torch run operators as small as they come, so that rules are needed for few."""
    recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())
    libraries = (torch.backends.mkldnn, torch.backends.cudnn) if recurrent else ()
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(without_fast_path())
        for library in libraries:  # they run a whole recurrent layer as one operator
            stack.enter_context(_disabled(library))
        yield


@contextlib.contextmanager
def _disabled(backend: Any) -> Iterator[None]:
    before = backend.enabled
    backend.enabled = False
    try:
        yield
    finally:
        backend.enabled = before


@contextlib.contextmanager
def without_fast_path() -> Iterator[None]:
    """Let ``nn.TransformerEncoder`` call its layers, not one operator for all of a layer."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class Axis(NamedTuple):
    """A dimension along which a tensor loses clusters.

    Parameters
    ----------
    dim
        The dimension, counted from the last, which is -1.
    clusters
        The label, or cluster, of each index; 0 where it must stay.
    """

    dim: int
    clusters: NDArray[np.int64]


class Normalizing(NamedTuple):
    """A module without submodules that takes a statistic over clusters.

    Parameters
    ----------
    input, output
        Where its first input and its output have labels.
    """

    input: list[Axis]
    output: list[Axis]


class Calls:
    """Which modules of a network run, and on what.

    Parameters
    ----------
    context
        What is known of the labels. The names of the modules that run are kept up to date there.

    Attributes
    ----------
    normalizing : dict
        Modules that take a statistic over labels, and have no submodules.
    input_shapes : dict
        For each module that has run, the shape of its first input at its first call, in the order
        of the calls; None where that is no tensor.
    """

    def __init__(self, context: Context):
        self._context = context
        self._names = context.relations.modules
        self.normalizing: dict[str, Normalizing] = {}
        self.input_shapes: dict[str, torch.Size | None] = {}

    @contextlib.contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        """Watch the modules of a network for the duration of a ``with`` block."""
        handles = []
        for name, module in network.named_modules(remove_duplicate=False):
            handles.append(module.register_forward_pre_hook(self._enter(name)))
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str) -> Any:
        def enter(module: nn.Module, args: Any) -> None:
            self._names.append(name)
            shape = args[0].shape if args and isinstance(args[0], torch.Tensor) else None
            size = None if shape is None else torch.Size(int(item) for item in shape)
            self.input_shapes.setdefault(name, size)

        return enter

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        name = self._names.pop()
        leaf = next(module.children(), None) is None
        if leaf and name in self._context.relations.statistics:
            with torch._C.DisableTorchFunction(), _disable_current_modes():  # noqa: SLF001
                self.normalizing[name] = Normalizing(
                    self._axes(args[0] if args else None), self._axes(output)
                )

    def _axes(self, value: Any) -> list[Axis]:
        if not isinstance(value, torch.Tensor):
            return []
        found = []
        for plane in self._context.labels.of(value):
            dims = varying(plane)
            if len(dims) == 1:
                labels = compact(plane).reshape(-1).numpy().astype(np.int64)
                found.append(Axis(dims[0] - value.dim(), labels))
        return found
