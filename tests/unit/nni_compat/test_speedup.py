"""The patches that make NNI's ModelSpeedup faster change none of its masks and weights."""

import copy

import pytest
import torch
from nni.compression.pruning import L1NormPruner
from nni.compression.speedup import ModelSpeedup, mask_conflict, model_speedup
from torch import nn
from torchvision import models

import nni_stress  # noqa: F401, patches NNI
from trials.models import yolov2

NETWORKS = {
    "resnet18": (lambda: models.resnet18(num_classes=10), (1, 3, 64, 64)),
    "mobilenet_v2": (lambda: models.mobilenet_v2(num_classes=10), (1, 3, 64, 64)),
    "yolov2": (lambda: yolov2(4, width=0.25), (1, 3, 64, 64)),
}


def speed_up(make, shape):
    """Return the small network, and the masks as NNI's speedup completed them."""
    torch.manual_seed(0)
    network = make().eval()
    pruner = L1NormPruner(
        network, [{"op_types": ["Conv2d"], "sparse_ratio": 0.5, "exclude_op_names": ["output"]}]
    )
    _, masks = pruner.compress()
    pruner.unwrap_model()
    torch.manual_seed(0)
    speedup = ModelSpeedup(network, torch.rand(shape), masks)
    return speedup.speedup_model(), speedup.masks


@pytest.mark.parametrize("name", NETWORKS)
def test_the_networks_are_those_of_nnis_own_code(name, monkeypatch):
    small, masks = speed_up(*NETWORKS[name])
    for module, function in (
        (model_speedup, "sparsity_stats"),
        (mask_conflict, "detect_mask_prune_dim"),
    ):
        patched = getattr(module, function)
        assert hasattr(patched, "__wrapped__"), f"{function} is not patched"
        monkeypatch.setattr(module, function, patched.__wrapped__)
    expected, expected_masks = speed_up(*NETWORKS[name])
    weights = small.state_dict()
    expected_weights = expected.state_dict()
    assert weights.keys() == expected_weights.keys()
    assert all(torch.equal(weights[key], expected_weights[key]) for key in weights)
    assert sum(p.numel() for p in small.parameters()) < 0.6 * sum(
        p.numel() for p in NETWORKS[name][0]().parameters()
    )
    for layer, targets in expected_masks.items():
        assert all(
            torch.equal(mask, masks[layer][target])
            for target, mask in targets.items()
            if mask is not None
        )


@pytest.mark.parametrize("seed", range(12))
def test_the_dimension_of_masks_is_the_one_that_nni_finds(seed):
    chance = torch.Generator().manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(6, 8, 3), nn.Conv2d(8, 8, 3, groups=2), nn.Linear(8, 4), nn.BatchNorm2d(8)
    )
    masks = {}
    for name, module in network.named_modules():
        if name and torch.rand((), generator=chance) < 0.8:
            mask = torch.ones_like(module.weight)
            dim = int(torch.randint(2, (), generator=chance)) if mask.dim() > 1 else 0
            mask.index_fill_(
                dim,
                torch.randperm(mask.shape[dim], generator=chance)[
                    : int(torch.randint(3, (), generator=chance))
                ],
                0,
            )
            masks[name] = {"weight": mask}
    graph = torch.fx.symbolic_trace(network)
    patched = mask_conflict.detect_mask_prune_dim
    original = patched.__wrapped__
    assert patched(graph, copy.deepcopy(masks)) == original(graph, copy.deepcopy(masks))


def test_masks_below_zero_are_refused_as_nni_refuses_them():
    graph = torch.fx.symbolic_trace(nn.Sequential(nn.Conv2d(1, 2, 3)))
    for function in (
        mask_conflict.detect_mask_prune_dim,
        mask_conflict.detect_mask_prune_dim.__wrapped__,
    ):
        with pytest.raises(AssertionError, match="greater than or equal to 0"):
            function(graph, {"0": {"weight": -torch.ones(2, 1, 3, 3)}})


def test_the_sparsity_in_log_lines_is_the_one_that_nni_computes():
    masks = {
        "weight": torch.tensor([[1.0, 0.0], [0.0, 0.0]]),
        "bias": None,
        "other": torch.zeros(3),
    }
    assert (
        model_speedup.sparsity_stats(masks)
        == model_speedup.sparsity_stats.__wrapped__(masks)
        == "weight:  0.7500 other:  1.0000 "
    )
