"""YOLOv2's loss against its formulas in plain loops, by hand, and against finite differences."""

import math

import pytest
import torch
from torch import nn
from torchvision.ops import box_iou

from nni_stress.pruning.screening import Screen
from trials.detection import YOLOv2Loss, pad_targets
from trials.detection.targets import assign

ANCHORS = ((0.8, 1.1), (2.5, 1.2))
CLASSES = 3


def random_case(images=3, height=3, width=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(
        images, 2 * (5 + CLASSES), height, width, generator=generator, dtype=torch.float64
    )
    truths = []
    for number in (4, 0, 2, 5)[:images]:
        boxes = torch.rand(number, 4, generator=generator, dtype=torch.float64) * 0.5 + 0.1
        labels = torch.randint(CLASSES, (number, 1), generator=generator)
        truths.append(torch.cat([labels, boxes], 1))
    return outputs, pad_targets(truths).double()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def corner_tensor(x, y, w, h):
    return torch.tensor([[x - w / 2, y - h / 2, x + w / 2, y + h / 2]], dtype=torch.float64)


def by_loops(
    outputs, targets, coordinates=1.0, object=5.0, no_object=1.0, classes=1.0, threshold=0.6
):
    """The four terms, prediction by prediction."""
    images, _, height, width = outputs.shape
    values = outputs.view(images, len(ANCHORS), -1, height, width)
    sums = dict.fromkeys(("coordinates", "object", "no_object", "classes"), 0.0)
    for image in range(images):
        truths = [row.tolist() for row in targets[image] if row[0] >= 0]
        answering = {}
        for label, x, y, w, h in truths:
            shape = corner_tensor(0, 0, w * width, h * height)
            shapes = [box_iou(shape, corner_tensor(0, 0, *anchor)).item() for anchor in ANCHORS]
            answering[shapes.index(max(shapes)), int(y * height), int(x * width)] = (
                int(label),
                x,
                y,
                w,
                h,
            )
        for anchor, (anchor_width, anchor_height) in enumerate(ANCHORS):
            for row in range(height):
                for column in range(width):
                    px, py, pw, ph, po, *scores = values[image, anchor, :, row, column].tolist()
                    box = corner_tensor(
                        (column + sigmoid(px)) / width,
                        (row + sigmoid(py)) / height,
                        anchor_width * math.exp(pw) / width,
                        anchor_height * math.exp(ph) / height,
                    )
                    if (anchor, row, column) in answering:
                        label, x, y, w, h = answering[anchor, row, column]
                        errors = (
                            x * width - column - sigmoid(px),
                            y * height - row - sigmoid(py),
                            math.log(w * width / anchor_width) - pw,
                            math.log(h * height / anchor_height) - ph,
                        )
                        sums["coordinates"] += (
                            coordinates * (2 - w * h) / 2 * sum(error**2 for error in errors)
                        )
                        iou = box_iou(box, corner_tensor(x, y, w, h)).item()
                        sums["object"] += object / 2 * (iou - sigmoid(po)) ** 2
                        sums["classes"] -= classes * math.log(
                            math.exp(scores[label]) / sum(map(math.exp, scores))
                        )
                    elif all(
                        box_iou(box, corner_tensor(*truth[1:])).item() <= threshold
                        for truth in truths
                    ):
                        sums["no_object"] += no_object / 2 * sigmoid(po) ** 2
    return {name: value / images for name, value in sums.items()}


@pytest.mark.parametrize(
    "weights",
    [{}, {"coordinates": 2.0, "object": 3.0, "no_object": 0.5, "classes": 4.0, "threshold": 0.2}],
)
@pytest.mark.parametrize("seed", range(4))
def test_every_term_is_what_plain_loops_find(seed, weights):
    outputs, targets = random_case(seed=seed)
    loss, expected = YOLOv2Loss(ANCHORS, **weights), by_loops(outputs, targets, **weights)
    found = loss.terms(outputs, targets)
    assert {name: float(value) for name, value in found._asdict().items()} == pytest.approx(
        expected
    )
    assert float(loss(outputs, targets)) == pytest.approx(sum(expected.values()))


def test_the_threshold_frees_predictions_near_a_truth():
    """In the loops above it could go unnoticed: here it is seen to matter."""
    outputs, targets = random_case()
    strict, lax = (
        float(YOLOv2Loss(ANCHORS, threshold=value).terms(outputs, targets).no_object)
        for value in (1.0, 0.1)
    )
    assert lax < strict


def test_one_truth_by_hand():
    """A 2x2 output of zeros: centres in the middle of cells, sizes of the anchors, objectness 1/2, classes equal."""
    outputs = torch.zeros(1, 2 * 8, 2, 2, dtype=torch.float64)
    truth = torch.tensor(
        [[[1, 0.30, 0.75, 0.40, 0.55]]], dtype=torch.float64
    )  # column 0, row 1; exactly the first anchor
    terms = YOLOv2Loss(ANCHORS).terms(outputs, truth)
    weight = 2 - 0.40 * 0.55
    assert float(terms.coordinates) == pytest.approx(weight / 2 * (0.6 - 0.5) ** 2)
    iou = 0.35 / 0.45  # moved by 0.05 of a width of 0.4
    assert float(terms.object) == pytest.approx(5 / 2 * (iou - 0.5) ** 2)
    assert float(terms.no_object) == pytest.approx(1 / 2 * 7 * 0.25)
    assert float(terms.classes) == pytest.approx(math.log(3))


def test_a_perfect_prediction_costs_only_what_a_sigmoid_cannot_reach():
    truth = torch.tensor([[2, 0.3, 0.7, 0.5, 0.2]], dtype=torch.float64)
    outputs = torch.zeros(1, 2, 8, 4, 4, dtype=torch.float64)
    outputs[:, :, 4] = -20
    logit = math.log(0.2 / 0.8)
    outputs[0, 1, :, 2, 1] = torch.tensor(
        [logit, -logit, math.log(2 / 2.5), math.log(0.8 / 1.2), 20, -20, -20, 20]
    )
    assert float(YOLOv2Loss(ANCHORS)(outputs.flatten(1, 2), truth[None])) < 1e-6


def test_gradients_are_those_of_finite_differences():
    outputs, targets = random_case(height=2, width=2)
    outputs.requires_grad_()
    without_object = YOLOv2Loss(ANCHORS, object=0)
    assert torch.autograd.gradcheck(lambda values: without_object(values, targets), outputs)
    # the IoU that objectness is to tell counts as a constant: boxes stay where they are
    boxes = torch.zeros_like(outputs, dtype=torch.bool).unflatten(1, (2, 8))
    boxes[:, :, :4] = True
    boxes, fixed = boxes.flatten(1, 2), outputs.detach().clone()
    assert torch.autograd.gradcheck(
        lambda values: YOLOv2Loss(ANCHORS)(torch.where(boxes, fixed, values), targets), outputs
    )
    (gradient,) = torch.autograd.grad(YOLOv2Loss(ANCHORS, coordinates=0)(outputs, targets), outputs)
    assert not gradient[boxes].any() and gradient[~boxes].any()


def test_gradients_are_darknets():
    """Its region layer sets them directly: weight x (prediction - truth), times the slope of a sigmoid if there is one."""
    outputs = torch.full((1, 2 * 8, 2, 2), 0.3, dtype=torch.float64, requires_grad=True)
    truth = torch.tensor([[[1, 0.30, 0.75, 0.30, 0.55]]], dtype=torch.float64)
    gradient = torch.autograd.grad(YOLOv2Loss(ANCHORS)(outputs, truth), outputs)[0].view(
        2, 8, 2, 2
    )[0, :, 1, 0]
    s = sigmoid(0.3)
    weight, slope = 2 - 0.30 * 0.55, s * (1 - s)
    assert gradient[:4].tolist() == pytest.approx(
        [
            weight * (s - 0.6) * slope,
            weight * (s - 0.5) * slope,
            weight * (0.3 - math.log(0.6 / 0.8)),
            weight * (0.3 - math.log(1.1 / 1.1)),
        ]
    )
    predicted = corner_tensor(s / 2, (1 + s) / 2, 0.4 * math.exp(0.3), 0.55 * math.exp(0.3))
    iou = box_iou(predicted, corner_tensor(0.30, 0.75, 0.30, 0.55)).item()
    assert float(gradient[4]) == pytest.approx(5 * (s - iou) * slope)
    assert gradient[5:].tolist() == pytest.approx([1 / 3, 1 / 3 - 1, 1 / 3])


def test_of_two_truths_of_one_prediction_the_last_counts():
    truths = torch.tensor(
        [
            [
                [0, 0.30, 0.30, 0.2, 0.3],
                [2, 0.35, 0.30, 0.2, 0.3],
                [1, 0.35, 0.30, 0.9, 0.3],
                [-1, 0, 0, 0, 0],
            ]
        ]
    )
    found = assign(truths, torch.tensor(ANCHORS), 4, 4)
    assert [values.tolist() for values in found[:4]] == [[0, 0], [0, 1], [1, 1], [1, 1]]
    assert found.truths[:, 0].tolist() == [2, 1]


def test_centres_on_and_beyond_the_border_count_in_the_cell_there():
    truths = torch.tensor([[[0, 1.0, 0.0, 0.2, 0.3], [0, -0.1, 1.2, 0.2, 0.3]]])
    found = assign(truths, torch.tensor(ANCHORS), 3, 4)
    assert (found.row.tolist(), found.column.tolist()) == ([0, 2], [3, 0])


def test_padding_and_boxes_without_an_area_are_no_boxes():
    outputs, targets = random_case()
    more = torch.tensor(
        [[-1, 0.2, 0.2, 0.3, 0.3], [1, 0.2, 0.2, 0.0, 0.3], [1, 0.2, 0.2, 0.3, -0.1]],
        dtype=torch.float64,
    )
    padded = torch.cat([targets, more.expand(len(targets), 3, 5)], 1)
    loss = YOLOv2Loss(
        ANCHORS, threshold=0.1
    )  # which predictions of a box as large as the padding would pass
    assert torch.equal(loss(outputs, padded), loss(outputs, targets))
    padded[:, -3, 0] = 1
    assert loss.terms(outputs, padded).no_object < loss.terms(outputs, targets).no_object


def test_images_without_boxes_only_ask_for_no_objects():
    outputs = random_case()[0].requires_grad_()
    for targets in (torch.zeros(3, 0, 5), pad_targets([torch.zeros(0, 5)] * 3)):
        terms = YOLOv2Loss(ANCHORS).terms(outputs, targets)
        assert torch.isfinite(torch.autograd.grad(sum(terms), outputs)[0]).all()
        objectness = torch.sigmoid(outputs.detach().unflatten(1, (2, 8))[:, :, 4])
        assert [term.item() for term in terms] == pytest.approx(
            [0, 0, float(objectness.square().sum() / 2 / 3), 0]
        )


@pytest.mark.parametrize("type", [torch.bfloat16, torch.float16])
def test_outputs_of_half_precision_are_judged_in_float32(type):
    outputs, targets = random_case()
    loss = YOLOv2Loss(ANCHORS)
    with torch.autocast("cpu", torch.bfloat16, enabled=type == torch.bfloat16):
        found = loss(outputs.to(type), targets.float())
    assert found.dtype == torch.float32 and torch.equal(
        found, loss(outputs.to(type).float(), targets.float())
    )


def test_the_loss_is_a_mean_over_the_batch_and_serves_for_screening():
    outputs, targets = random_case()
    loss = YOLOv2Loss(ANCHORS)
    alone = [float(loss(outputs[[index]], targets[[index]])) for index in range(3)]
    assert float(loss(outputs, targets)) == pytest.approx(sum(alone) / 3)
    assert Screen(outputs, targets, loss)(nn.Identity(), 2) == pytest.approx(sum(alone[:2]) / 2)


def test_what_does_not_go_together_is_named():
    outputs, targets = random_case()
    loss = YOLOv2Loss(ANCHORS)
    with pytest.raises(
        ValueError, match=r"must be B x 2 \* \(5 \+ classes\) x H x W, but got 3 x 15 x 3 x 4"
    ):
        loss(outputs[:, :15], targets)
    with pytest.raises(
        ValueError, match="targets for 3 images must be 3 x N x 5, but got 2 x 4 x 5"
    ):
        loss(outputs, targets[:2])
    targets[2, 0, 0] = CLASSES
    with pytest.raises(ValueError, match="the network has 3 classes, but a target is of class 3"):
        loss(outputs, targets)
