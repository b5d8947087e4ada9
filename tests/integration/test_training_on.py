"""A small network trains on as any network does, with the optimizer's state of what is left."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from nni_stress import StressPruner
from nni_stress.graph import cost
from nni_stress.utils.batches import answer, tensors_in


class Example(NamedTuple):
    """A network, and what shows that the parts in question have been cut."""

    make: Callable[[], nn.Module]
    inputs: Callable[[], Any]
    sizes: Callable[[nn.Module], list[int]]
    learning_rate: float


class Tagger(nn.Module):
    """Two directions of an LSTM over embedded words, then another one."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 24)
        self.both = nn.LSTM(24, 32, bidirectional=True, batch_first=True)
        self.last = nn.LSTM(64, 32, batch_first=True)
        self.head = nn.Linear(32, 7)

    def forward(self, words):
        features, _ = self.both(self.words(words))
        return self.head(torch.relu(self.last(features)[0]))


def double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """Two levels, with transposed convolutions on the way up."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.bottom = double(3, 16), double(16, 32), double(32, 64)
        self.up2, self.up1 = nn.ConvTranspose2d(64, 32, 2, 2), nn.ConvTranspose2d(32, 16, 2, 2)
        self.out2, self.out1 = double(64, 32), double(32, 16)
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, images):
        first = self.down1(images)
        second = self.down2(nn.functional.max_pool2d(first, 2))
        bottom = self.bottom(nn.functional.max_pool2d(second, 2))
        second = self.out2(torch.cat([second, self.up2(bottom)], 1))
        return self.head(self.out1(torch.cat([first, self.up1(second)], 1)))


def vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(32, 8, 12, 12, 768, 3072, num_classes=10)  # vit_b, for small images


def yolo() -> nn.Module:
    return pytest.importorskip("ultralytics.nn.tasks").DetectionModel("yolov8n.yaml", verbose=False)


EXAMPLES = {
    "lstm": Example(
        Tagger,
        lambda: torch.randint(50, (4, 9)),
        lambda network: [network.both.hidden_size, network.last.hidden_size],
        2e-3,
    ),
    "unet": Example(
        UNet,
        lambda: torch.rand(2, 3, 16, 16),
        lambda network: [network.up2.out_channels, network.up1.out_channels],
        1e-3,
    ),
    "vit_b": Example(
        vit,
        lambda: torch.rand(2, 3, 32, 32),
        lambda network: [block.self_attention.num_heads for block in network.encoder.layers],
        5e-5,
    ),
    "yolov8n": Example(
        yolo,
        lambda: torch.rand(2, 3, 64, 64),
        lambda network: [network.model[n].cv1.conv.out_channels for n in (2, 4, 6, 8)],
        2e-3,
    ),
}
SLOW = ("vit_b", "yolov8n")


def train(
    network: nn.Module, optimizer: torch.optim.Optimizer, inputs: Any, steps: int
) -> list[float]:
    """Train raw outputs towards fixed random numbers; the loss of each step."""
    network.train()
    generator = torch.Generator().manual_seed(1)
    outputs = tensors_in(answer(network, inputs))
    targets = [torch.rand(output.shape, generator=generator) for output in outputs]
    losses = []
    for _ in range(steps):
        pairs = zip(tensors_in(answer(network, inputs)), targets)
        loss = torch.stack([nn.functional.mse_loss(output, t) for output, t in pairs]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in EXAMPLES],
)
def test_a_small_network_trains_on(name):
    torch.manual_seed(0)
    example = EXAMPLES[name]
    network, inputs = example.make(), example.inputs()
    optimizer = torch.optim.Adam(network.parameters(), lr=example.learning_rate)
    train(network, optimizer, inputs, 2)
    for parameter, state in optimizer.state.items():  # what it remembers tells where it belongs
        state["exp_avg"].copy_(parameter.detach())
        state["exp_avg_sq"].copy_(parameter.detach().square())
    remembered, macs, before = (
        len(optimizer.state),
        cost.macs(network, inputs),
        example.sizes(network),
    )

    config = [{"op_types": ["Linear", "Conv2d", "ConvTranspose2d", "Embedding", "LSTM"]}]
    pruner = StressPruner(
        network, config, budget={"macs": 0.5}, redundancy=20.0, example_input=inputs
    )
    pruner.compress()
    small = pruner.synthesize(inputs, optimizer)
    assert 0.45 < cost.macs(small, inputs) / macs < 0.51
    assert all(new < old for new, old in zip(example.sizes(small), before))

    trained = [p for group in optimizer.param_groups for p in group["params"]]
    assert set(map(id, trained)) == set(map(id, small.parameters()))
    assert len(optimizer.state) == remembered
    for parameter, state in optimizer.state.items():
        assert torch.equal(state["exp_avg"], parameter)
        assert torch.equal(state["exp_avg_sq"], parameter.square())
        assert state["step"] == 2
        for value in state.values():  # they were no gradients
            value.zero_()

    shapes = {key: tensor.shape for key, tensor in small.state_dict().items()}
    losses = train(small, optimizer, inputs, 100)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert {key: tensor.shape for key, tensor in small.state_dict().items()} == shapes
