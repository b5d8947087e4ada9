"""Making an ancestor physically small, along with its optimizer."""

import copy

import pytest
import torch
import torchvision.models
from torch.nn import functional

from nni_stress import FusedAdam, StressPruner
from nni_stress.graph.memory_layout import memory_format_of
from tests.unit.graph.test_cluster_graph import Concatenated, Gated, Grouped, Residual
from trials.models import lenet5

NETWORKS = {
    "lenet5": (lenet5, (1, 28, 28)),
    "residual": (Residual, (3, 16, 16)),
    "concatenated": (Concatenated, (3, 16, 16)),
    "gated": (Gated, (3, 16, 16)),
    "grouped": (Grouped, (3, 16, 16)),
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=5), (3, 48, 48)),
    "mobilenet_v2": (
        lambda: torchvision.models.mobilenet_v2(num_classes=5, dropout=0.0),
        (3, 48, 48),
    ),
}
OPTIMIZERS = {
    "momentum": lambda parameters: torch.optim.SGD(
        parameters, lr=1e-2, momentum=0.9, weight_decay=1e-3
    ),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
    "amsgrad": lambda parameters: torch.optim.AdamW(parameters, lr=1e-3, amsgrad=True),
    "fused": FusedAdam,
}


def step(network, optimizer, images, labels):
    optimizer.zero_grad()
    functional.cross_entropy(network(images), labels).backward()
    optimizer.step()


def trained(name, optimizer, memory_format=torch.contiguous_format):
    torch.manual_seed(0)
    factory, shape = NETWORKS[name]
    network = factory().to(memory_format=memory_format)
    images = torch.rand(6, *shape)
    labels = torch.arange(6) % 5
    network.eval()  # batch norms use running statistics, as the batch is small
    optimizer = OPTIMIZERS[optimizer](network.parameters())
    for _ in range(3):
        step(network, optimizer, images, labels)
    pruner = StressPruner(
        network,
        [{"op_types": ["Conv2d", "Linear"]}],
        budget={"parameters": 0.5},
        example_input=images,
    )
    pruner.compress()
    return pruner, network, optimizer, images, labels


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_optimizer_keeps_its_state_of_the_surviving_synapses_only(name, optimizer):
    pruner, _network, optimizer, images, labels = trained(name, optimizer)
    # The state is made a function of the weight, so that it shows which synapse it belongs to.
    synapses = 0
    for parameter in optimizer.param_groups[0]["params"]:
        synapses += parameter.numel()
        for value in optimizer.state[parameter].values():
            if value.dim():
                value.copy_(parameter.detach().abs() * 3)
    offspring = pruner.synthesize(images, optimizer)
    mine = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert [id(p) for p in mine] == [id(p) for p in offspring.parameters()]
    assert sum(parameter.numel() for parameter in mine) < 0.52 * synapses
    assert set(optimizer.state) == set(mine)
    for parameter in mine:
        arrays = [value for value in optimizer.state[parameter].values() if value.dim()]
        assert arrays
        assert all(torch.equal(value, parameter.detach().abs() * 3) for value in arrays)
    before = [parameter.detach().clone() for parameter in mine]
    step(offspring, optimizer, images, labels)
    assert all(not torch.equal(old, new) for old, new in zip(before, mine) if new.grad.any())


@pytest.mark.parametrize("kind", ["adam", "fused"])
@pytest.mark.parametrize(
    "memory_format",
    [torch.contiguous_format, torch.channels_last],
    ids=["contiguous", "channels last"],
)
def test_training_continues_as_with_the_masked_network(memory_format, kind):
    """The small network takes the same steps as the masked one, in any memory format."""
    pruner, _network, optimizer, images, labels = trained("lenet5", kind, memory_format)
    masks = pruner.get_masks()
    masked = lenet5().to(memory_format=memory_format).eval()
    masked.load_state_dict(dict(zip(masked.state_dict(), optimizer.param_groups[0]["params"])))
    twin_optimizer = OPTIMIZERS["adam"](masked.parameters())
    twin_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for layer, targets in masks.items():
        for target, mask in targets.items():
            parameter = getattr(masked.get_submodule(layer), target)
            parameter.data.mul_(mask)
            parameter.register_hook(lambda gradient, mask=mask: gradient * mask)
            for kind in ("exp_avg", "exp_avg_sq"):
                twin_optimizer.state[parameter][kind].mul_(mask)
    offspring = pruner.synthesize(images, optimizer)
    assert memory_format_of(offspring) == memory_format
    for _ in range(3):
        assert torch.allclose(offspring(images), masked(images), atol=1e-5)
        step(offspring, optimizer, images, labels)
        step(masked, twin_optimizer, images, labels)
    assert torch.allclose(offspring(images), masked(images), atol=1e-4)


def test_learning_rate_schedules_and_parameter_groups_are_kept():
    torch.manual_seed(0)
    network = lenet5()
    images = torch.rand(4, 1, 28, 28)
    labels = torch.arange(4)
    optimizer = torch.optim.SGD(
        [
            {"params": network.conv1.parameters(), "lr": 0.1},
            {
                "params": [
                    *network.conv2.parameters(),
                    *network.fc1.parameters(),
                    *network.fc2.parameters(),
                ]
            },
        ],
        lr=0.2,
        momentum=0.9,
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    step(network, optimizer, images, labels)
    schedule.step()
    pruner = StressPruner(network, [{"op_names": ["conv1", "fc1"], "sparse_ratio": 0.5}])
    pruner.compress()
    offspring = pruner.synthesize(images, optimizer)
    step(offspring, optimizer, images, labels)
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.025, 0.05]
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [
        id(p) for p in offspring.conv1.parameters()
    ]
