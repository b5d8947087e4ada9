"""Detection end to end: a narrow YOLOv2 learns to detect rectangles, and is made smaller."""

import pytest
import torch

from nni_stress import Task
from nni_stress.graph import cost
from nni_stress.hparams import Arguments
from nni_stress.trial.offspring import stress_and_synthesize
from nni_stress.trial.training import train
from trials.detection import (
    ClippedAdam,
    YOLOv2Loss,
    detect_all,
    evaluate_map,
    find_anchors,
    mean_average_precision,
    pad_targets,
)
from trials.models import yolov2

CLASSES = 3


def rectangles(number, seed):
    """Images, N x 3 x 64 x 64, of one to three rectangles, and targets; the colour is the class."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.2 * torch.randn(number, 3, 64, 64, generator=generator)
    boxes = []
    for image in images:
        count = int(torch.randint(1, 4, (1,), generator=generator))
        quarters = torch.randperm(4, generator=generator)[:count]  # of the image, one for each
        rows = []
        for quarter in quarters.tolist():
            size = torch.randint(12, 29, (2,), generator=generator)
            corner = torch.stack(
                [torch.randint(0, 33 - int(side), (1,), generator=generator)[0] for side in size]
            )
            corner += 32 * torch.tensor([quarter % 2, quarter // 2])
            (left, top), (width, height) = corner.tolist(), size.tolist()
            label = int(torch.randint(CLASSES, (1,), generator=generator))
            image[label, top : top + height, left : left + width] += 2
            rows.append(
                [label, (left + width / 2) / 64, (top + height / 2) / 64, width / 64, height / 64]
            )
        boxes.append(torch.tensor(rows))
    return images, pad_targets(boxes)


@pytest.fixture(scope="module")
def task():
    """The task to memorize 32 images."""
    images, targets = rectangles(32, 0)
    anchors = find_anchors(targets[targets[..., 0] >= 0][:, 3:] * 2, 3).tolist()

    def batches(generator):
        return [
            (images[chosen], targets[chosen])
            for chosen in torch.randperm(len(images), generator=generator).split(16)
        ]

    def fidelity(network, split):
        return mean_average_precision(
            detect_all(network, images.split(16), anchors), targets, CLASSES
        )

    return Task(
        network=lambda: yolov2(CLASSES, 0.125, anchors=3),
        example_input=images[:2],
        loader=batches,
        loss=YOLOv2Loss(anchors),
        fidelity=fidelity,
        founder_epochs=50,
        founder_learning_rate=2e-3,
        screening=(images, targets),
    )


def test_a_founder_learns_to_detect_and_so_does_an_offspring_of_a_fifth_of_its_synapses(task):
    torch.manual_seed(0)
    network = task.network()
    untrained, synapses = task.fidelity(network, "test"), cost.synapses(network)
    train(network, task, task.founder_epochs, task.founder_learning_rate, 0)
    founder = task.fidelity(network, "test")
    assert founder > 0.9 > 0.1 > untrained
    arguments = Arguments(
        stress_epochs=10, environmental_factor=0.2, learning_rate=2e-3, candidates=8
    )
    offspring = stress_and_synthesize(network, task, arguments, 0)
    train(offspring, task, 25, 2e-3, 0)
    assert 0.19 <= cost.synapses(offspring) / synapses <= 0.2
    assert task.fidelity(offspring, "test") > founder - 0.1


class DetectsOne(torch.nn.Module):
    """Detects in each image one object of class 0, which fills the upper left quarter."""

    def forward(self, images):
        outputs = torch.zeros(len(images), 7, 2, 2)
        outputs[:, 4] = -20
        outputs[:, 4:, 0, 0] = torch.tensor([20.0, 20, -20])
        return outputs


def test_map_ignores_missed_difficult_objects():
    targets = torch.tensor([[[0, 0.25, 0.25, 0.5, 0.5], [1, 0.75, 0.75, 0.5, 0.5]]]).repeat(3, 1, 1)
    for is_difficult, expected in ((True, 1.0), (False, 0.5)):
        difficult = torch.tensor([[False, is_difficult]]).repeat(3, 1)
        batches = [
            (torch.zeros(len(part), 3, 64, 64), part, flags)
            for part, flags in zip(targets.split(2), difficult.split(2))
        ]
        assert evaluate_map(DetectsOne(), batches, [(1.0, 1.0)], 2) == pytest.approx(expected)


def test_only_large_gradients_are_clipped():
    def optimize(optimizer_type, gradients):
        """First weight, and norm of the last gradient after clipping."""
        weights = [torch.ones(2, requires_grad=True) for _ in range(2)]
        optimizer = optimizer_type(weights, lr=0.1)
        for gradient in gradients:
            for weight in weights:
                weight.grad = torch.tensor([gradient, 0.0])
            optimizer.step()
        return weights[0][0].item(), torch.stack([weight.grad for weight in weights]).norm().item()

    assert optimize(ClippedAdam, [1.0, 14.0]) == optimize(torch.optim.Adam, [1.0, 14.0])
    clipped, plain = (
        optimize(optimizer_type, [1.0, 1e6, 1.0])
        for optimizer_type in (ClippedAdam, torch.optim.Adam)
    )
    assert clipped[0] != pytest.approx(plain[0], abs=1e-3)
    assert optimize(ClippedAdam, [1e6])[1] == pytest.approx(20, rel=1e-4)
