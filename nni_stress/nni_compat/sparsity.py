"""Patch of how NNI's pruners make masks from importance scores."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .attributes import replace_attribute


def patch_memory_formats(sparse_gen: ModuleType) -> None:
    """Let LevelPruner rank weights in channels-last memory format one by one.

    Defect: NNI takes `view`s of the scores, which only contiguous tensors have.

    The patch changes NNI's rules, not `generate_sparsity`, because pruners that were imported
    earlier hold a reference to that function.
    """
    torch = sparse_gen.torch
    channels_last = torch.rand(2, 2, 2, 2).to(memory_format=torch.channels_last)
    try:
        sparse_gen._ratio_mask(channels_last, 0.5)  # noqa: SLF001, the private function is the defect
    except RuntimeError:
        for kind in ("threshold", "dependency", "global", "ratio"):
            replace_attribute(sparse_gen, f"_generate_{kind}_sparsity", _with_contiguous_metrics)


def _with_contiguous_metrics(rule: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    @functools.wraps(rule)
    def generate(metrics: Any, target_spaces: Any) -> Any:
        contiguous = {
            module: {target: metric.contiguous() for target, metric in targets.items()}
            for module, targets in metrics.items()
        }
        return rule(contiguous, target_spaces)

    return generate
