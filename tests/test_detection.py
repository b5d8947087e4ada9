"""Detection from end to end: a narrow YOLOv2 learns to find coloured rectangles, and evolves as every task does."""
import pytest
import torch

from nni_stress import Task, cost
from nni_stress.arguments import Arguments
from nni_stress.generation import stress_and_synthesize
from nni_stress.training import train
from trials.detection import YOLOv2Loss, detect_all, find_anchors, mean_average_precision, pad_targets
from trials.models import yolov2

CLASSES = 3


def rectangles(number, seed):
    """Images, N x 3 x 64 x 64, of one to three rectangles, whose class is their colour; and targets."""
    generator = torch.Generator().manual_seed(seed)
    images, truths = 0.2 * torch.randn(number, 3, 64, 64, generator=generator), []
    for image in images:
        count = int(torch.randint(1, 4, (1,), generator=generator))
        places = torch.randperm(4, generator=generator)[:count]  # a quarter of the image each
        rows = []
        for place in places.tolist():
            size = torch.randint(12, 29, (2,), generator=generator)
            corner = torch.stack([torch.randint(0, 33 - int(side), (1,), generator=generator)[0] for side in size])
            corner += 32 * torch.tensor([place % 2, place // 2])
            (left, top), (width, height) = corner.tolist(), size.tolist()
            label = int(torch.randint(CLASSES, (1,), generator=generator))
            image[label, top:top + height, left:left + width] += 2
            rows.append([label, (left + width / 2) / 64, (top + height / 2) / 64, width / 64, height / 64])
        truths.append(torch.tensor(rows))
    return images, pad_targets(truths)


@pytest.fixture(scope="module")
def task():
    """To know 32 images by heart."""
    images, targets = rectangles(32, 0)
    anchors = find_anchors(targets[targets[..., 0] >= 0][:, 3:] * 2, 3).tolist()

    def batches(generator):
        return [(images[chosen], targets[chosen]) for chosen in torch.randperm(len(images), generator=generator).split(16)]

    def fidelity(network, split):
        return mean_average_precision(detect_all(network, images.split(16), anchors), targets, CLASSES)

    return Task(network=lambda: yolov2(CLASSES, 0.125, anchors=3), example_input=images[:2], loader=batches,
                loss=YOLOv2Loss(anchors), fidelity=fidelity, founder_epochs=50, founder_learning_rate=2e-3,
                screening=(images, targets))


def test_a_founder_learns_to_detect_and_an_offspring_of_a_fifth_of_it_still_does(task):
    torch.manual_seed(0)
    network = task.network()
    untrained, synapses = task.fidelity(network, "test"), cost.synapses(network)
    train(network, task, task.founder_epochs, task.founder_learning_rate, 0)
    founder = task.fidelity(network, "test")
    assert founder > 0.9 > 0.1 > untrained
    arguments = Arguments(stress_epochs=10, environmental_factor=0.2, learning_rate=2e-3, candidates=8)
    offspring = stress_and_synthesize(network, task, arguments, 0)
    train(offspring, task, 25, 2e-3, 0)
    assert 0.19 <= cost.synapses(offspring) / synapses <= 0.2
    assert task.fidelity(offspring, "test") > founder - 0.1
