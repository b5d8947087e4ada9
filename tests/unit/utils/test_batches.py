"""Networks of several inputs, targets of any structure."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from nni_stress import Arguments, Task
from nni_stress.graph import cost
from nni_stress.trial import offspring
from nni_stress.trial.training import train
from nni_stress.utils import batches
from nni_stress.utils.seeding import seed_of


class TwoEyes(nn.Module):
    """A network of two inputs, with a mapping as output."""

    def __init__(self):
        super().__init__()
        self.left, self.right = (
            nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten())
            for _ in range(2)
        )
        self.head = nn.Linear(2 * 8 * 4, 5)

    def forward(self, left, right):
        out = self.head(torch.cat([self.left(left), self.right(right)], 1))
        return {"box": out[:, :4], "score": out[:, 4]}


def loss(outputs, targets):
    """Loss of targets in the form of detectors: a list with a mapping for each image."""
    boxes, scores = (torch.stack([target[name] for target in targets]) for name in ("box", "score"))
    return functional.smooth_l1_loss(
        outputs["box"], boxes
    ) + functional.binary_cross_entropy_with_logits(outputs["score"], scores)


def make_task(inputs_as=tuple):
    generator = torch.Generator().manual_seed(0)
    left, right = torch.rand(2, 32, 1, 8, 8, generator=generator)
    targets = [
        {"box": image[0, :2, :2].flatten(), "score": (image.mean() > 0.5).float()} for image in left
    ]
    data = [
        (inputs_as((left[part], right[part])), targets[part])
        for part in (slice(0, 16), slice(16, 32))
    ]

    def fidelity(network, split):
        with torch.no_grad():
            return -float(loss(network.eval()(left, right), targets))

    return Task(
        network=TwoEyes,
        example_input=inputs_as((left[:3], right[:3])),
        loader=lambda generator: data,
        loss=loss,
        fidelity=fidelity,
        founder_epochs=10,
        founder_learning_rate=1e-2,
        screening=(inputs_as((left, right)), targets),
    )


@pytest.mark.parametrize("inputs_as", [tuple, list])
@pytest.mark.parametrize("resource", ["parameters", "macs"])
def test_a_network_of_two_inputs_and_a_list_of_targets_evolves(inputs_as, resource):
    torch.manual_seed(0)
    task = make_task(inputs_as)
    network = task.network()
    untrained = task.fidelity(network, "validation")
    train(network, task, 10, 1e-2, seed=0)
    assert task.fidelity(network, "validation") > untrained
    before = {"parameters": cost.synapses(network), "macs": cost.macs(network, task.example_input)}
    arguments = Arguments(candidates=6, stress_epochs=2, environmental_factor=0.6)
    small = offspring.stress_and_synthesize(network, task, arguments, seed_of(1), resource)
    train(small, task, 2, 1e-2, seed=0)
    after = {"parameters": cost.synapses(small), "macs": cost.macs(small, task.example_input)}
    assert 0 < after[resource] <= 0.6 * before[resource]


def test_the_macs_of_several_inputs_are_those_of_one_example():
    convolution = 2 * 8 * 8 * 8 * 9
    head = 64 * 5
    assert (
        cost.macs(TwoEyes(), (torch.rand(3, 1, 8, 8), torch.rand(3, 1, 8, 8))) == convolution + head
    )


def test_the_first_targets_are_taken_from_any_structure():
    boxes = torch.rand(4, 2)
    labels = [{"n": n} for n in range(4)]
    found = batches.first(
        {"boxes": boxes, "labels": labels, "both": (boxes, boxes), "scale": 2.0}, 3, of=4
    )
    assert (
        torch.equal(found["boxes"], boxes[:3])
        and found["labels"] == labels[:3]
        and found["scale"] == 2.0
    )
    assert all(torch.equal(target, boxes[:3]) for target in found["both"])


@pytest.mark.parametrize(
    "targets",
    [torch.rand(2), [{}, {}], {"boxes": torch.rand(2, 4)}, (torch.rand(3), torch.rand(2)), []],
)
def test_targets_for_another_number_of_examples_are_refused(targets):
    with pytest.raises(ValueError, match=r"as many targets as inputs, but got (2|0) and 3"):
        batches.first(targets, 1, of=3)
