"""Watches what a program does with sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves

from .reshapes import Reshapes
from .sizes import TensorDim, TrackedSize, expression_of

_READS = {torch.Tensor.shape.__get__, torch.Tensor.size}  # type: ignore[attr-defined]
_SPLITS: set[Any] = {
    torch.split,
    torch.Tensor.split,
    torch.split_with_sizes,
    torch.Tensor.split_with_sizes,
}
_VIEWS = {torch.Tensor.view, torch.Tensor.reshape, torch.reshape}
_UNFLATTENS = {torch.Tensor.unflatten, torch.unflatten}
_NORMS = {functional.layer_norm, torch.layer_norm, functional.rms_norm, torch.rms_norm}
_GROUP_NORMS = {functional.group_norm, torch.group_norm}
_ARITHMETIC = """
    add sub mul div true_divide divide multiply pow __add__ __radd__ __sub__ __rsub__ __mul__
    __rmul__ __truediv__ __rtruediv__ __pow__ __rpow__ add_ mul_ div_
"""
_SCALES = {getattr(torch.Tensor, name) for name in _ARITHMETIC.split()} | {
    torch.add,
    torch.sub,
    torch.mul,
    torch.div,
    torch.pow,
    torch.true_divide,
    torch.tensor,
    torch.as_tensor,
}


class SizeReader(TorchFunctionMode):
    """Hands out sizes that remember their tensors, and tells `reshapes` of sizes that are used.

    Parameters
    ----------
    reshapes
        Where the sizes of views and splits are judged.
    """

    def __init__(self, reshapes: Reshapes):
        super().__init__()
        self._reshapes = reshapes

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Run a function of torch, and look at the sizes that go in and out."""
        kwargs = kwargs or {}
        if self._reshapes.suspended:
            return func(*args, **kwargs)
        if func in _SPLITS:
            with self._reshapes.splitting():
                parts = func(*args, **kwargs)
            self._outside(self._split, args, kwargs, parts)
            return parts
        if func is torch.Tensor.__getitem__:
            with self._reshapes.splitting():
                output = func(*args, **kwargs)
            self._outside(self._index, args[0], args[1])
            return output
        if func is functional.scaled_dot_product_attention and kwargs.get("scale") is None:
            with self._reshapes.scaling():
                return func(*args, **kwargs)
        output = func(*args, **kwargs)
        if func in _READS:
            return _with_sources(output, args, kwargs)
        if func in _SCALES:
            for value in tree_leaves((args, kwargs)):
                if isinstance(value, TrackedSize):
                    self._outside(self._reshapes.escaped, value.expression, int(value))
        elif func in _NORMS:
            sizes = args[1] if len(args) > 1 else kwargs["normalized_shape"]
            self._outside(self._reshapes.norm, output, [expression_of(size) for size in sizes])
        elif func in _GROUP_NORMS:
            groups = args[1] if len(args) > 1 else kwargs["num_groups"]
            self._outside(self._reshapes.group_norm, output, expression_of(groups), int(groups))
        elif isinstance(output, torch.Tensor) and (func in _VIEWS or func in _UNFLATTENS):
            self._outside(self._view, func, args, kwargs, output)
        return output

    def _outside(self, function: Callable[..., None], *args: Any) -> None:
        with torch._C.DisableTorchFunction(), _disable_current_modes():  # noqa: SLF001
            function(*args)

    def _split(self, args: Sequence[Any], kwargs: dict[str, Any], parts: Any) -> None:
        sizes = args[1] if len(args) > 1 else next(kwargs[k] for k in kwargs if "split" in k)
        dim = kwargs.get("dim", args[2] if len(args) > 2 else 0) % args[0].dim()
        for index, part in enumerate(parts):
            size = sizes if isinstance(sizes, int) else sizes[index]
            if int(size) == part.shape[dim]:  # the last part may be smaller
                self._reshapes.split_off(part, dim, expression_of(size))

    def _index(self, tensor: torch.Tensor, index: Any) -> None:
        """Bounds of slices, dimension by dimension."""
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(part, (torch.Tensor, list, bool)) for part in parts):
            return  # picked by indices, which has a rule of its own
        taken = sum(part is not None and part is not Ellipsis for part in parts)
        dim = 0
        for part in parts:
            if part is Ellipsis:
                dim += tensor.dim() - taken
            elif part is not None:
                if isinstance(part, slice) and part.step in (None, 1):
                    for bound in (part.start, part.stop):
                        if bound is not None:
                            self._reshapes.bound(tensor, dim, expression_of(bound), int(bound))
                elif isinstance(part, slice):
                    self._reshapes.stepped(tensor, dim)
                dim += 1

    def _view(
        self, func: Any, args: Sequence[Any], kwargs: dict[str, Any], output: torch.Tensor
    ) -> None:
        start = 0
        sizes: Sequence[Any] = args[1:]
        if func in _UNFLATTENS:
            start = (args[1] if len(args) > 1 else kwargs["dim"]) % args[0].dim()
            sizes = (kwargs["sizes"],) if "sizes" in kwargs else args[2:]
        elif kwargs:
            sizes = (kwargs.get("shape", kwargs.get("size", ())),)
        if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
            sizes = sizes[0]
        if all(isinstance(size, int) for size in sizes):
            known = {start + dim: expression_of(s) for dim, s in enumerate(sizes) if s != -1}
            self._reshapes.view(output, known)


def _with_sources(output: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    tensor = args[0]
    if type(output) is int:
        dim = args[1] if len(args) > 1 else kwargs["dim"]
        return TrackedSize(output, TensorDim(tensor, dim % tensor.dim()))
    return torch.Size([TrackedSize(size, TensorDim(tensor, d)) for d, size in enumerate(output)])
