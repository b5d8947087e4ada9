"""Patches of NNI's ModelSpeedup."""

from __future__ import annotations

import contextlib
import functools
import logging
import types
from collections.abc import Iterator
from types import ModuleType
from typing import Any


def patch_modes(model_speedup: ModuleType) -> None:
    """Keep every module in its mode (training or evaluation).

    Defect: NNI makes new modules in training mode, and changes the mode of the whole model.
    """
    speedup_class = model_speedup.ModelSpeedup
    original_init = speedup_class.__init__
    original_speedup = speedup_class.speedup_model

    @functools.wraps(original_init)
    def init(self: Any, model: Any, *args: Any, **kwargs: Any) -> None:
        with _modes_kept(model):
            original_init(self, model, *args, **kwargs)

    @functools.wraps(original_speedup)
    def speedup_model(self: Any) -> Any:
        with _modes_kept(self.bound_model):
            return original_speedup(self)

    speedup_class.__init__ = init
    speedup_class.speedup_model = speedup_model


@contextlib.contextmanager
def _modes_kept(model: Any) -> Iterator[None]:
    """Restore the mode of every module at the end; a new module gets its parent's mode."""
    modes = {name: module.training for name, module in model.named_modules(remove_duplicate=False)}
    model.eval()  # NNI runs the model, which in training mode would change its batch statistics
    try:
        yield
    finally:
        for name, module in model.named_modules(remove_duplicate=False):
            parent = name.rpartition(".")[0]
            module.training = modes.setdefault(name, modes.get(parent))


def patch_several_outputs(model_speedup: ModuleType) -> None:
    """Let modules whose outputs share computation, such as LSTM and GRU, pass speedup.

    Defect: NNI runs backward once for each output, but lets torch free the graph after the first.
    """
    speedup_class = model_speedup.ModelSpeedup
    backward = speedup_class.indirect_backward
    if "retain_graph" in str(backward.__code__.co_consts):
        return

    @functools.wraps(backward)
    def indirect_backward(self: Any, output: Any, output_mask: Any) -> None:
        if getattr(output, "grad_fn", None) is None:
            backward(self, output, output_mask)
        elif self.tensor_propagate_check(output):
            output.backward(output_mask.expand_as(output), retain_graph=True)

    speedup_class.indirect_backward = indirect_backward


def patch_single_values(model_speedup: ModuleType) -> None:
    """Let ModelSpeedup follow outputs of one value per example, such as a detector's score.

    Defect: NNI takes a tensor for an activation only if it has more elements than the batch has
    examples, and does not follow others. It then removes the cluster (output channel or neuron)
    that only such an output reads, and the network breaks.
    """
    speedup_class = model_speedup.ModelSpeedup
    torch = model_speedup.torch
    check = speedup_class.tensor_propagate_check
    if check(types.SimpleNamespace(batch_size=8), torch.zeros(8, 1)):
        return

    @functools.wraps(check)
    def tensor_propagate_check(self: Any, tensor: Any) -> bool:
        one_per_example = (
            tensor.numel() == self.batch_size
            and tensor.dim() > 0
            and tensor.shape[0] == self.batch_size
        )
        is_activation = one_per_example and not isinstance(tensor, torch.nn.Parameter)
        return check(self, tensor) or is_activation

    speedup_class.tensor_propagate_check = tensor_propagate_check


def patch_sparsity_stats(model_speedup: ModuleType) -> None:
    """Compute the sparsity in NNI's log lines without listing the indices of all zeros.

    Defect: the listing takes a third of the time of a large network's speedup, even if nothing is
    logged.
    """
    torch = model_speedup.torch
    if "nonzero" not in model_speedup.sparsity_stats.__code__.co_names:
        return

    @functools.wraps(model_speedup.sparsity_stats)
    def sparsity_stats(mask: Any) -> str:
        return "".join(
            f"{name}: {1 - int(torch.count_nonzero(values)) / values.numel(): .4f} "
            for name, values in mask.items()
            if isinstance(values, torch.Tensor)
        )

    model_speedup.sparsity_stats = sparsity_stats  # type: ignore[attr-defined]


def patch_dimension_detection(mask_conflict: ModuleType) -> None:
    """Find the dimension along which masks prune convolutions in one pass over each mask.

    Defect: NNI makes five passes, in integers of eight bytes, which takes long for large networks.
    """
    torch = mask_conflict.torch
    logger = logging.getLogger(mask_conflict.__name__)
    detect = mask_conflict.detect_mask_prune_dim

    @functools.wraps(detect)
    def detect_mask_prune_dim(graph_module: Any, masks: Any) -> int:
        of_convolutions = [
            masks[name]["weight"]
            for name in masks
            if "weight" in masks[name]
            and isinstance(graph_module.get_submodule(name), torch.nn.Conv2d)
        ]
        if not of_convolutions:
            found: int = detect(graph_module, masks)
            return found
        sparsity = _sparsity_by_dimension(of_convolutions)
        _log_sparsity(logger, sparsity)
        return 0 if sparsity[0] >= sparsity[1] else 1

    mask_conflict.detect_mask_prune_dim = detect_mask_prune_dim  # type: ignore[attr-defined]


def _sparsity_by_dimension(masks: list[Any]) -> list[float]:
    """Return the share of output channels, and of input channels, that masks remove entirely.

    The masks have the shape of a convolution's weight: outputs, inputs, height, width.
    """
    kept = [0, 0]
    total = [0, 0]
    for mask in masks:
        assert float(mask.min()) >= 0, "mask values should be greater than or equal to 0."
        pairs = (mask > 0).reshape(mask.shape[0], mask.shape[1], -1).any(2)
        for dim in (0, 1):
            total[dim] += mask.shape[dim]
            kept[dim] += int(pairs.any(1 - dim).sum())
    return [1.0 - kept[dim] / total[dim] for dim in (0, 1)]


def _log_sparsity(logger: logging.Logger, sparsity: list[float]) -> None:
    """Log what NNI logs."""
    logger.info("dim0 sparsity: %f", sparsity[0])
    logger.info("dim1 sparsity: %f", sparsity[1])
    if sparsity == [0.0, 0.0]:
        logger.warning("nothing masked.")
    if sparsity[0] > 0 and sparsity[1] > 0:
        logger.warning("both dim0 and dim1 masks found.")
