"""Strengths gathered while training say how strong a cluster is, not how much stress it felt."""

import pytest
import torch
from nni.compression.base.compressor import register_scalers
from nni.compression.base.wrapper import ModuleWrapper
from torch import nn

from nni_stress.pruning.importances.taylor import TaylorObserver
from nni_stress.pruning.targets import replace_mask


def target():
    wrapper = ModuleWrapper(nn.Linear(3, 4), "layer", {"pruning": {"sparse_ratio": 0.5}})
    space = wrapper.pruning_target_spaces["weight"]
    register_scalers({"layer": {"weight": space}}, lambda space: "out_channel")
    return wrapper, space


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("left", [0.0, 0.5])
def test_the_strength_of_a_cluster_does_not_depend_on_the_stress_on_it(left, masked):
    """Gradients under a factor are those without it times the factor."""
    wrapper, space = target()
    plain, stressed = TaylorObserver(100), TaylorObserver(100)
    for step in range(20):
        torch.manual_seed(step % 2)  # the same gradients under stress and without
        gradient = torch.rand(4, 3)
        wrapper.weight.grad = gradient
        plain.observe([("layer", "weight", space)])
        factor = torch.ones(4)
        if step % 4 < 2:
            factor[:2] = left
        wrapper.weight.grad = gradient * factor[:, None]
        if masked:
            replace_mask(space, factor[:, None].expand(4, 3))
            stressed.observe([("layer", "weight", space)])
            replace_mask(space, torch.ones(4, 3))
        else:
            stressed.observe(
                [("layer", "weight", space)], lambda f=factor: {"layer": {"weight": f}}
            )
    expected = plain.strengths["layer"]["weight"]
    assert torch.allclose(stressed.strengths["layer"]["weight"], expected, rtol=1e-5)
