"""Mends of NNI's ModelSpeedup."""

import functools
import types


def mend_single_values(model_speedup):
    """Let outputs of one value an example keep the cluster they read: a detector's score, cut out of its head.

    NNI tells activations from other tensors by their having more elements than a batch has examples. A tensor with just as
    many it follows no further, so that the head loses what only that tensor reads, and the network breaks.
    """
    speedup_class, torch = model_speedup.ModelSpeedup, model_speedup.torch
    check = speedup_class.tensor_propagate_check
    if check(types.SimpleNamespace(batch_size=8), torch.zeros(8, 1)):
        return

    @functools.wraps(check)
    def tensor_propagate_check(self, tensor):
        single = (
            tensor.numel() == self.batch_size
            and tensor.dim()
            and tensor.shape[0] == self.batch_size
        )
        return check(self, tensor) or bool(single and not isinstance(tensor, torch.nn.Parameter))

    speedup_class.tensor_propagate_check = tensor_propagate_check


def mend_counting(model_speedup):
    """Count what masks hide without listing it: NNI's log lines, wanted or not, cost a third of a large network's speedup."""
    torch = model_speedup.torch
    if "nonzero" not in model_speedup.sparsity_stats.__code__.co_names:
        return

    @functools.wraps(model_speedup.sparsity_stats)
    def sparsity_stats(mask):
        return "".join(
            f"{name}: {1 - int(torch.count_nonzero(values)) / values.numel(): .4f} "
            for name, values in mask.items()
            if isinstance(values, torch.Tensor)
        )

    model_speedup.sparsity_stats = sparsity_stats


def mend_detection(mask_conflict):
    """Find out along which dimension masks prune in one pass over each, where NNI makes five, in integers of eight bytes."""
    torch, logger, detect = (
        mask_conflict.torch,
        mask_conflict._logger,
        mask_conflict.detect_mask_prune_dim,
    )

    @functools.wraps(detect)
    def detect_mask_prune_dim(graph_module, masks):
        weights = [
            masks[name]["weight"]
            for name in masks
            if "weight" in masks[name]
            and isinstance(graph_module.get_submodule(name), torch.nn.Conv2d)
        ]
        if not weights:
            return detect(graph_module, masks)
        kept, slices = [0, 0], [sum(mask.shape[dim] for mask in weights) for dim in (0, 1)]
        for mask in weights:
            assert float(mask.min()) >= 0, "mask values should be greater than or equal to 0."
            pairs = (mask > 0).reshape(mask.shape[0], mask.shape[1], -1).any(2)
            for dim in (0, 1):
                kept[dim] += int(pairs.any(1 - dim).sum())
        sparsity = [1.0 - kept[dim] / slices[dim] for dim in (0, 1)]
        logger.info("dim0 sparsity: %f", sparsity[0])
        logger.info("dim1 sparsity: %f", sparsity[1])
        if sparsity == [0.0, 0.0]:
            logger.warning("nothing masked.")
        if sparsity[0] > 0 and sparsity[1] > 0:
            logger.warning("both dim0 and dim1 masks found.")
        return 0 if sparsity[0] >= sparsity[1] else 1

    mask_conflict.detect_mask_prune_dim = detect_mask_prune_dim
