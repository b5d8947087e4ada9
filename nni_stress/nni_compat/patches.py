"""Patches NNI 3.0 for current PyTorch, Python, Lightning and transformers.

NNI's last release is from 2023. Each patch tests for one defect of NNI, not for a version, and
leaves an NNI without the defect as it is. Installing the patches imports nothing of NNI: a patch
runs right after NNI's module has been imported, or at once if it already is.

A new patch is a function in a module of this package, and a line in the table below.
"""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable
from types import ModuleType

import wrapt

from . import bytecode, evaluators, launcher, sparsity, speedup, tracer

_log = logging.getLogger(__name__)

Patch = Callable[[ModuleType], None]

_TRACER = "nni.common.concrete_trace_utils.concrete_tracer"
_PROXY = "nni.common.concrete_trace_utils.concrete_proxy"
_EVALUATOR = "nni.compression.utils.evaluator"
_SPEEDUP = "nni.compression.speedup.model_speedup"

_PATCHES: tuple[tuple[str, Patch], ...] = (
    (_TRACER, tracer.patch_tensor_functions),
    (_TRACER, tracer.patch_purity),
    (_TRACER, tracer.patch_generics),
    (_TRACER, tracer.patch_type_parameters),
    (_PROXY, bytecode.patch_bytecode),
    (_EVALUATOR, evaluators.patch_lightning_steps),
    (_EVALUATOR, evaluators.patch_transformers),
    (_SPEEDUP, speedup.patch_modes),
    (_SPEEDUP, speedup.patch_several_outputs),
    (_SPEEDUP, speedup.patch_single_values),
    (_SPEEDUP, speedup.patch_sparsity_stats),
    ("nni.compression.speedup.mask_conflict", speedup.patch_dimension_detection),
    ("nni.compression.pruning.tools.sparse_gen", sparsity.patch_memory_formats),
    ("nni.experiment.launcher", launcher.patch_waiting),
)


def install() -> None:
    """Patch NNI, now or when its modules are imported. Calling this again changes nothing.

    Examples
    --------
    >>> install()
    """
    _hide_import_warnings()
    for name, patch in _PATCHES:
        apply_on_import(name, patch)


@functools.cache  # each patch only once
def apply_on_import(module_name: str, patch: Patch) -> None:
    """Apply a patch to a module when it is imported, or at once if it already is.

    If the patch raises, a warning is logged and the module stays usable.

    Examples
    --------
    >>> import collections
    >>> apply_on_import("collections", lambda module: print("patches", module.__name__))
    patches collections
    """
    wrapt.register_post_import_hook(functools.partial(_apply, patch), module_name)


def _apply(patch: Patch, module: ModuleType) -> None:
    try:
        patch(module)
    except Exception as error:  # an unknown version of NNI may work without the patch
        _log.warning(
            "nni_stress cannot tell whether %s needs %s: %r", module.__name__, patch.__name__, error
        )


def _hide_import_warnings() -> None:
    """Hide warnings about NNI's own code, which users of this package cannot act on."""
    warnings.filterwarnings(
        "ignore",
        r"`torch\.utils\._pytree\._register_pytree_node` is deprecated",
        FutureWarning,
        r"nni\.compression\.",
    )
    warnings.filterwarnings(
        "ignore",
        r"<class 'torch\.fx\.immutable_collections\.immutable_(dict|list)'> is already "
        "registered as pytree node",
        UserWarning,
        r"torch\.utils\._pytree",
    )
    warnings.filterwarnings("ignore", "pkg_resources is deprecated as an API", module=r"nni\.")
