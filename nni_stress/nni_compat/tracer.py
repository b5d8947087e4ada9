"""Patches of NNI's tracer, which ModelSpeedup uses to follow a network."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .attributes import replace_attribute


def patch_tensor_functions(concrete_tracer: ModuleType) -> None:
    """Keep static functions of tensors, such as ``_make_subclass``, away from the tracer.

    Defect (microsoft/nni#5768): the tracer recognizes functions of tensors by the name of the class
    `_TensorBase`, which torch renamed to `TensorBase`. It then reads their `__module__`, which is
    None, and fails for every network. Methods of tensors are traced by a later rule; the static
    functions are not, but they never get a traced tensor, so the tracer does not need them.
    """
    tracer_class = concrete_tracer.ConcreteTracer
    if "_TensorBase" not in tracer_class.trace.__code__.co_consts:
        return
    functions = tracer_class.default_autowrap_leaf_function
    for function in list(functions):
        of_tensor = function.__qualname__.startswith("TensorBase.")
        if of_tensor and getattr(function, "__module__", "") is None:
            del functions[function]


def patch_purity(concrete_tracer: ModuleType) -> None:
    """Let NNI's replacement of `Node.is_impure` accept every argument that torch passes.

    Defect (microsoft/nni#5768): the replacement takes only the node, but torch passes
    `impure_random`, too.
    """
    node_is_impure = concrete_tracer.node_is_impure_wrapper
    passed = inspect.signature(concrete_tracer.Node.is_impure).parameters
    try:
        inspect.signature(node_is_impure, follow_wrapped=False).bind(*passed)
    except TypeError:

        @functools.wraps(node_is_impure)
        def is_impure(node: Any, *ignored: Any, **also_ignored: Any) -> Any:
            return node_is_impure(node)

        concrete_tracer.node_is_impure_wrapper = is_impure  # type: ignore[attr-defined]


def patch_generics(concrete_tracer: ModuleType) -> None:
    """Let generic types such as `list[int]` be written while NNI traces.

    Defect: while it traces, NNI replaces `list` by an object that cannot be subscripted.
    torch.nn.functional writes `list[int]` within functions, such as max_pool2d without a stride.
    """

    def with_subscripts(wrap: Callable[[Any, type], Any]) -> Callable[[Any, type], Any]:
        @functools.wraps(wrap)
        def wrap_generic(tracer: Any, kind: Any) -> Any:
            wrapped = wrap(tracer, kind)
            type(wrapped).__getitem__ = lambda self, item: kind[item]
            return wrapped

        can_subscript = hasattr(type(wrap(None, list)), "__getitem__")
        return wrap if can_subscript else wrap_generic

    replace_attribute(concrete_tracer, "_create_wrapped_leaf_iterable_class", with_subscripts)


def patch_type_parameters(concrete_tracer: ModuleType) -> None:
    """Let the tracer wrap `type`.

    Defect: NNI applies functools.wraps to `type`, whose `__type_params__` is not a tuple before
    Python 3.12.4 (python/cpython#119011).
    """
    if isinstance(getattr(type, "__type_params__", ()), tuple):
        return
    without_parameters = [
        name for name in functools.WRAPPER_ASSIGNMENTS if str(name) != "__type_params__"
    ]

    def wraps(wrapped: Any) -> Any:
        return functools.wraps(
            wrapped, without_parameters if wrapped is type else functools.WRAPPER_ASSIGNMENTS
        )

    concrete_tracer.functools = types.SimpleNamespace(  # type: ignore[attr-defined]
        **{**vars(functools), "wraps": wraps}
    )
