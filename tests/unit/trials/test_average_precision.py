"""Average precision: by hand, against plain loops, and against COCO's code in torchmetrics."""

import math

import pytest
import torch
from torchmetrics.detection import MeanAveragePrecision
from torchvision.ops import box_iou

from trials.detection import (
    Detections,
    average_precisions,
    match_detections,
    mean_average_precision,
    pad_targets,
)
from trials.detection.boxes import to_corners


def detections(*rows):
    """Detections of one image from rows (score, label, centre x, centre y, width, height)."""
    rows = torch.tensor(rows).view(-1, 6)
    return Detections(to_corners(rows[:, 2:]), rows[:, 0], rows[:, 1].long())


def true_boxes(*rows):
    """Targets of one image from rows (label, centre x, centre y, width, height)."""
    return torch.tensor(rows).view(-1, 5)


# Boxes that do not overlap.
ONE = (0.2, 0.2, 0.2, 0.2)
TWO = (0.7, 0.2, 0.2, 0.2)
THREE = (0.2, 0.7, 0.2, 0.4)
OUTSIDE = (0.8, 0.8, 0.1, 0.1)


def example(points=None, difficult=None):
    """Average precision of an example of three true boxes in two images.

    The detections, in order of score: correct, wrong, correct, wrong as its box is found already.
    """
    found = [
        detections((0.9, 0, *ONE), (0.8, 0, *OUTSIDE), (0.6, 0, 0.21, 0.2, 0.2, 0.2)),
        detections((0.7, 0, *THREE)),
    ]
    targets = [true_boxes((0, *ONE), (0, *TWO)), true_boxes((0, *THREE))]
    matches = match_detections(found, targets, difficult)
    return float(average_precisions(matches, 1, points=points))


def test_average_precision_by_hand():
    assert example() == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    # precision 1 at the recalls 0 to 0.3, and 2/3 at 0.4 to 0.6
    assert example(points=11) == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)
    assert example(points=101) == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)


def test_difficult_objects_count_neither_way():
    first = [torch.tensor([True, False]), torch.tensor([False])]
    second = [torch.tensor([False, True]), torch.tensor([False])]
    assert example(difficult=second) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    # both detections of the first object are ignored
    assert example(difficult=first) == pytest.approx(1 / 2 * 1 / 2)


def test_a_recall_that_is_reached_exactly_counts():
    """The recall is 3 of 10; in floating point 0.3 is less than 3 * 0.1."""
    boxes = [(0.05 + 0.1 * index, 0.5, 0.05, 0.2) for index in range(10)]
    found = [detections(*((0.9 - 0.1 * index, 0, *boxes[index]) for index in range(3)))]
    targets = [true_boxes(*((0, *box) for box in boxes))]
    assert mean_average_precision(found, targets, 1, points=11) == pytest.approx(4 / 11)


def test_an_iou_equal_to_the_threshold_is_enough():
    found = [detections((0.9, 0, 0.25, 0.5, 0.5, 1.0))]
    targets = [true_boxes((0, 0.5, 0.5, 1.0, 1.0))]
    assert mean_average_precision(found, targets, 1, iou_threshold=0.5) == 1
    assert mean_average_precision(found, targets, 1, iou_threshold=0.51) == 0


def test_average_precision_is_nan_without_true_boxes_and_0_without_detections():
    found = [detections((0.9, 0, *ONE), (0.8, 1, *TWO))]
    targets = [true_boxes((0, *ONE), (2, *TWO))]
    precisions = average_precisions(match_detections(found, targets), 3).tolist()
    assert precisions[0] == 1 and math.isnan(precisions[1]) and precisions[2] == 0
    assert mean_average_precision(found, targets, 3) == 0.5
    assert mean_average_precision([detections()], targets, 3) == 0


def test_padding_is_ignored():
    targets = [true_boxes((0, *ONE)), true_boxes(), true_boxes((0, *ONE), (1, *TWO))]
    found = [detections((0.9, 0, *ONE)), detections((0.8, 0, *ONE)), detections((0.7, 1, *TWO))]
    assert (
        mean_average_precision(found, pad_targets(targets), 2)
        == mean_average_precision(found, targets, 2)
        == 0.75
    )


def test_data_that_cannot_be_evaluated_are_refused():
    with pytest.raises(ValueError, match="needs true boxes, but 1 images have none of 2 classes"):
        mean_average_precision([detections((0.9, 0, *ONE))], [true_boxes()], 2)
    with pytest.raises(ValueError, match="must be of the same images, but got 1 and 2"):
        match_detections([detections()], [true_boxes(), true_boxes()])
    with pytest.raises(ValueError, match="must be of the same images, but got 0 and 0"):
        match_detections([], [])


def random_case(images, classes=3, seed=0, overlapping=False):
    """Random detections near true boxes and elsewhere, and the true boxes.

    The number of true boxes of each class is prime, so that no recall but 0 and 1 is one of COCO's
    hundredths, where rounding would decide.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = [[] for _ in range(images)]
    for index in range(classes * 37):
        image, place = index % images, index // images
        centre = torch.rand(2, generator=generator) * (0.5 if overlapping else 0.02)
        centre += (
            0.2
            if overlapping
            else torch.tensor([0.15 + 0.3 * (place % 3), 0.15 + 0.3 * (place // 3)])
        )
        size = 0.12 + 0.1 * torch.rand(2, generator=generator)
        rows[image].append(torch.cat([torch.tensor([index % classes]), centre, size]))
    found = []
    for boxes in rows:
        boxes = torch.stack(boxes)
        moved = boxes.repeat(3, 1)
        spread = 0.03 * torch.rand(len(moved), 1, generator=generator)
        moved[:, 1:] += spread * torch.randn(moved[:, 1:].shape, generator=generator)
        moved = moved[torch.rand(len(moved), generator=generator) < 0.6]
        elsewhere = torch.rand(4, 5, generator=generator) * 0.3 + 0.1
        moved = torch.cat([moved, elsewhere])
        moved[:, 0] = torch.where(
            torch.rand(len(moved), generator=generator) < 0.2,
            torch.randint(classes, (len(moved),), generator=generator),
            moved[:, 0].floor(),
        )
        found.append(
            Detections(
                to_corners(moved[:, 1:]),
                torch.rand(len(moved), generator=generator),
                moved[:, 0].long(),
            )
        )
    return found, [torch.stack(boxes) for boxes in rows]


def average_precision_by_loops(found, targets, label, iou_threshold, points, difficult):
    """Average precision of a class, detection by detection as in VOC's development kit."""
    ranked = sorted(
        (
            (score.item(), image, box)
            for image, detected in enumerate(found)
            for box, score, detected_label in zip(*detected)
            if detected_label == label
        ),
        key=lambda entry: -entry[0],
    )
    taken, curve = set(), []
    correct = wrong = 0
    for _, image, box in ranked:
        best, which = -1.0, None
        for index, row in enumerate(targets[image]):
            if int(row[0]) == label:
                iou = box_iou(box[None], to_corners(row[None, 1:])).item()
                if iou > best:
                    best, which = iou, index
        if best >= iou_threshold and difficult[image][which]:
            continue
        if best >= iou_threshold and (image, which) not in taken:
            taken.add((image, which))
            correct += 1
        else:
            wrong += 1
        curve.append((correct, correct / (correct + wrong)))
    number = sum(
        int(row[0]) == label and not flag
        for rows, flags in zip(targets, difficult)
        for row, flag in zip(rows, flags)
    )
    if points is None:
        return (
            sum(max(p for r, p in curve if r >= reached) for reached in range(1, correct + 1))
            / number
        )
    return (
        sum(
            max([p for r, p in curve if r * (points - 1) >= k * number], default=0)
            for k in range(points)
        )
        / points
    )


@pytest.mark.parametrize("points", [None, 11])
@pytest.mark.parametrize("seed", range(3))
def test_average_precision_agrees_with_plain_loops(seed, points):
    found, targets = random_case(12, seed=seed, overlapping=True)
    generator = torch.Generator().manual_seed(seed)
    difficult = [torch.rand(len(rows), generator=generator) < 0.2 for rows in targets]
    matches = match_detections(found, targets, difficult)
    for threshold in (0.3, 0.5, 0.75):
        precisions = average_precisions(matches, 3, threshold, points)
        expected = [
            average_precision_by_loops(found, targets, label, threshold, points, difficult)
            for label in range(3)
        ]
        assert precisions.tolist() == pytest.approx(expected)
        assert 0.01 < float(precisions.mean()) < 0.99


def test_average_precision_agrees_with_coco():
    """True boxes do not overlap: if the best box is taken, only COCO tries the next best one."""
    found, targets = random_case(13)
    reference = MeanAveragePrecision(box_format="xyxy", iou_type="bbox", class_metrics=True)
    reference.update(
        [detected._asdict() for detected in found],
        [{"boxes": to_corners(rows[:, 1:]), "labels": rows[:, 0].long()} for rows in targets],
    )
    expected = reference.compute()
    matches = match_detections(found, targets)
    by_threshold = torch.stack(
        [average_precisions(matches, 3, 0.5 + 0.05 * step, points=101) for step in range(10)]
    )
    assert float(by_threshold.mean()) == pytest.approx(float(expected["map"]), abs=1e-6)
    assert float(by_threshold[0].mean()) == pytest.approx(float(expected["map_50"]), abs=1e-6)
    assert float(by_threshold[5].mean()) == pytest.approx(float(expected["map_75"]), abs=1e-6)
    assert by_threshold.mean(0).tolist() == pytest.approx(
        expected["map_per_class"].tolist(), abs=1e-6
    )
    assert 0.05 < float(by_threshold[5].mean()) < float(by_threshold[0].mean()) < 0.95
