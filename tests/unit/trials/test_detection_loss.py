"""YOLOv2's loss: against its formulas in plain loops, by hand, and against finite differences."""

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
    targets = []
    for number in (4, 0, 2, 5)[:images]:
        boxes = torch.rand(number, 4, generator=generator, dtype=torch.float64) * 0.5 + 0.1
        labels = torch.randint(CLASSES, (number, 1), generator=generator)
        targets.append(torch.cat([labels, boxes], 1))
    return outputs, pad_targets(targets).double()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def corner_tensor(x, y, w, h):
    return torch.tensor([[x - w / 2, y - h / 2, x + w / 2, y + h / 2]], dtype=torch.float64)


def terms_by_loops(
    outputs, targets, coordinates=1.0, object=5.0, no_object=1.0, classes=1.0, threshold=0.6
):
    """The four terms of the loss, computed prediction by prediction."""
    images, _, height, width = outputs.shape
    values = outputs.view(images, len(ANCHORS), -1, height, width)
    sums = dict.fromkeys(("coordinates", "object", "no_object", "classes"), 0.0)
    for image in range(images):
        true_boxes = [row.tolist() for row in targets[image] if row[0] >= 0]
        responsible = {}
        for label, x, y, w, h in true_boxes:
            shape = corner_tensor(0, 0, w * width, h * height)
            shapes = [box_iou(shape, corner_tensor(0, 0, *anchor)).item() for anchor in ANCHORS]
            responsible[shapes.index(max(shapes)), int(y * height), int(x * width)] = (
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
                    if (anchor, row, column) in responsible:
                        label, x, y, w, h = responsible[anchor, row, column]
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
                        box_iou(box, corner_tensor(*true_box[1:])).item() <= threshold
                        for true_box in true_boxes
                    ):
                        sums["no_object"] += no_object / 2 * sigmoid(po) ** 2
    return {name: value / images for name, value in sums.items()}


@pytest.mark.parametrize(
    "weights",
    [{}, {"coordinates": 2.0, "object": 3.0, "no_object": 0.5, "classes": 4.0, "threshold": 0.2}],
)
@pytest.mark.parametrize("seed", range(4))
def test_each_term_agrees_with_plain_loops(seed, weights):
    outputs, targets = random_case(seed=seed)
    loss, expected = YOLOv2Loss(ANCHORS, **weights), terms_by_loops(outputs, targets, **weights)
    found = loss.terms(outputs, targets)
    assert {name: float(value) for name, value in found._asdict().items()} == pytest.approx(
        expected
    )
    assert float(loss(outputs, targets)) == pytest.approx(sum(expected.values()))


def test_a_lower_threshold_exempts_predictions_from_the_no_object_term():
    """The comparison with loops would not notice if the threshold never mattered."""
    outputs, targets = random_case()
    strict, lax = (
        float(YOLOv2Loss(ANCHORS, threshold=value).terms(outputs, targets).no_object)
        for value in (1.0, 0.1)
    )
    assert lax < strict


def test_one_box_by_hand():
    """Outputs of zeros predict cell centres, anchor sizes, objectness 1/2 and equal classes."""
    outputs = torch.zeros(1, 2 * 8, 2, 2, dtype=torch.float64)
    # in column 0 and row 1, of exactly the first anchor's size
    target = torch.tensor([[[1, 0.30, 0.75, 0.40, 0.55]]], dtype=torch.float64)
    terms = YOLOv2Loss(ANCHORS).terms(outputs, target)
    weight = 2 - 0.40 * 0.55
    assert float(terms.coordinates) == pytest.approx(weight / 2 * (0.6 - 0.5) ** 2)
    iou = 0.35 / 0.45  # shifted by 0.05, at a width of 0.4
    assert float(terms.object) == pytest.approx(5 / 2 * (iou - 0.5) ** 2)
    assert float(terms.no_object) == pytest.approx(1 / 2 * 7 * 0.25)
    assert float(terms.classes) == pytest.approx(math.log(3))


def test_the_loss_of_a_perfect_prediction_is_nearly_0():
    target = torch.tensor([[2, 0.3, 0.7, 0.5, 0.2]], dtype=torch.float64)
    outputs = torch.zeros(1, 2, 8, 4, 4, dtype=torch.float64)
    outputs[:, :, 4] = -20
    logit = math.log(0.2 / 0.8)
    outputs[0, 1, :, 2, 1] = torch.tensor(
        [logit, -logit, math.log(2 / 2.5), math.log(0.8 / 1.2), 20, -20, -20, 20]
    )
    assert float(YOLOv2Loss(ANCHORS)(outputs.flatten(1, 2), target[None])) < 1e-6


def test_gradients_agree_with_finite_differences():
    outputs, targets = random_case(height=2, width=2)
    outputs.requires_grad_()
    without_object = YOLOv2Loss(ANCHORS, object=0)
    assert torch.autograd.gradcheck(lambda values: without_object(values, targets), outputs)
    # the IoU, which is the target of objectness, counts as a constant: boxes stay fixed
    boxes = torch.zeros_like(outputs, dtype=torch.bool).unflatten(1, (2, 8))
    boxes[:, :, :4] = True
    boxes, fixed = boxes.flatten(1, 2), outputs.detach().clone()
    assert torch.autograd.gradcheck(
        lambda values: YOLOv2Loss(ANCHORS)(torch.where(boxes, fixed, values), targets), outputs
    )
    (gradient,) = torch.autograd.grad(YOLOv2Loss(ANCHORS, coordinates=0)(outputs, targets), outputs)
    assert not gradient[boxes].any() and gradient[~boxes].any()


def test_gradients_agree_with_darknet():
    """Its region layer sets them: weight * (prediction - target) * slope of the sigmoid."""
    outputs = torch.full((1, 2 * 8, 2, 2), 0.3, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[[1, 0.30, 0.75, 0.30, 0.55]]], dtype=torch.float64)
    gradient = torch.autograd.grad(YOLOv2Loss(ANCHORS)(outputs, target), outputs)[0].view(
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


def test_a_prediction_is_responsible_for_the_last_of_two_boxes():
    targets = torch.tensor(
        [
            [
                [0, 0.30, 0.30, 0.2, 0.3],
                [2, 0.35, 0.30, 0.2, 0.3],
                [1, 0.35, 0.30, 0.9, 0.3],
                [-1, 0, 0, 0, 0],
            ]
        ]
    )
    found = assign(targets, torch.tensor(ANCHORS), 4, 4)
    assert [values.tolist() for values in found[:4]] == [[0, 0], [0, 1], [1, 1], [1, 1]]
    assert found.boxes[:, 0].tolist() == [2, 1]


def test_centres_on_or_beyond_the_border_belong_to_the_cell_at_the_border():
    targets = torch.tensor([[[0, 1.0, 0.0, 0.2, 0.3], [0, -0.1, 1.2, 0.2, 0.3]]])
    found = assign(targets, torch.tensor(ANCHORS), 3, 4)
    assert (found.row.tolist(), found.column.tolist()) == ([0, 2], [3, 0])


def test_padding_and_boxes_without_an_area_are_ignored():
    outputs, targets = random_case()
    more = torch.tensor(
        [[-1, 0.2, 0.2, 0.3, 0.3], [1, 0.2, 0.2, 0.0, 0.3], [1, 0.2, 0.2, 0.3, -0.1]],
        dtype=torch.float64,
    )
    padded = torch.cat([targets, more.expand(len(targets), 3, 5)], 1)
    # a threshold so low that the no-object term would notice if padding counted as boxes
    loss = YOLOv2Loss(ANCHORS, threshold=0.1)
    assert torch.equal(loss(outputs, padded), loss(outputs, targets))
    padded[:, -3, 0] = 1
    assert loss.terms(outputs, padded).no_object < loss.terms(outputs, targets).no_object


def test_images_without_boxes_have_only_the_no_object_term():
    outputs = random_case()[0].requires_grad_()
    for targets in (torch.zeros(3, 0, 5), pad_targets([torch.zeros(0, 5)] * 3)):
        terms = YOLOv2Loss(ANCHORS).terms(outputs, targets)
        assert torch.isfinite(torch.autograd.grad(sum(terms), outputs)[0]).all()
        objectness = torch.sigmoid(outputs.detach().unflatten(1, (2, 8))[:, :, 4])
        assert [term.item() for term in terms] == pytest.approx(
            [0, 0, float(objectness.square().sum() / 2 / 3), 0]
        )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_loss_of_half_precision_outputs_is_computed_in_float32(dtype):
    outputs, targets = random_case()
    loss = YOLOv2Loss(ANCHORS)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = loss(outputs.to(dtype), targets.float())
    assert found.dtype == torch.float32 and torch.equal(
        found, loss(outputs.to(dtype).float(), targets.float())
    )


def test_the_loss_is_a_mean_over_the_batch_and_usable_for_screening():
    outputs, targets = random_case()
    loss = YOLOv2Loss(ANCHORS)
    single = [float(loss(outputs[[index]], targets[[index]])) for index in range(3)]
    assert float(loss(outputs, targets)) == pytest.approx(sum(single) / 3)
    assert Screen(outputs, targets, loss)(nn.Identity(), 2) == pytest.approx(sum(single[:2]) / 2)


def test_targets_that_do_not_fit_the_outputs_are_refused():
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
