"""Average precision: by hand, against a definition in plain loops, and against COCO's own code through torchmetrics."""

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
    """Of rows (score, label, centre x, centre y, width, height)."""
    rows = torch.tensor(rows).view(-1, 6)
    return Detections(to_corners(rows[:, 2:]), rows[:, 0], rows[:, 1].long())


def truths(*rows):
    return torch.tensor(rows).view(-1, 5)


ONE, TWO, THREE = (0.2, 0.2, 0.2, 0.2), (0.7, 0.2, 0.2, 0.2), (0.2, 0.7, 0.2, 0.4)
NOWHERE = (0.8, 0.8, 0.1, 0.1)


def by_hand(points=None, iou_threshold=0.5, difficult=None):
    """Three truths in two images; in order of score: right, wrong, right, again on the first truth, so wrong."""
    found = [
        detections((0.9, 0, *ONE), (0.8, 0, *NOWHERE), (0.6, 0, 0.21, 0.2, 0.2, 0.2)),
        detections((0.7, 0, *THREE)),
    ]
    targets = [truths((0, *ONE), (0, *TWO)), truths((0, *THREE))]
    return float(average_precisions(match_detections(found, targets, difficult), 1, overlap, points))


def test_average_precision_by_hand():
    assert by_hand() == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert by_hand(points=11) == pytest.approx(
        (4 * 1 + 3 * 2 / 3) / 11
    )  # recalls 0 to 0.3, and 0.4 to 0.6
    assert by_hand(points=101) == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)


def test_a_difficult_truth_need_not_be_found_and_may_be():
    second, first = (
        [torch.tensor(flags), torch.tensor([False])] for flags in ([False, True], [True, False])
    )
    assert by_hand(difficult=second) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert by_hand(difficult=first) == pytest.approx(
        1 / 2 * 1 / 2
    )  # both detections of it are passed over


def test_a_recall_that_is_just_reached_counts():
    """3 of 10: in floating point 0.3 is less than three times 0.1."""
    places = [(0.05 + 0.1 * index, 0.5, 0.05, 0.2) for index in range(10)]
    found = [
        detections(*((0.9 - 0.1 * index, 0, *place) for index, place in enumerate(places[:3])))
    ]
    assert mean_average_precision(
        found, [truths(*((0, *place) for place in places))], 1, points=11
    ) == pytest.approx(4 / 11)


def test_an_overlap_of_exactly_the_threshold_is_enough():
    found = [detections((0.9, 0, 0.25, 0.5, 0.5, 1.0))]
    targets = [truths((0, 0.5, 0.5, 1.0, 1.0))]
    assert mean_average_precision(found, targets, 1, iou_threshold=0.5) == 1
    assert mean_average_precision(found, targets, 1, iou_threshold=0.51) == 0


def test_a_class_without_truths_has_no_average_precision_and_one_without_detections_has_none_right():
    found = [detections((0.9, 0, *ONE), (0.8, 1, *TWO))]
    targets = [truths((0, *ONE), (2, *TWO))]
    answer = average_precisions(match_detections(found, targets), 3).tolist()
    assert answer[0] == 1 and math.isnan(answer[1]) and answer[2] == 0
    assert mean_average_precision(found, targets, 3) == 0.5
    assert mean_average_precision([detections()], targets, 3) == 0


def test_padding_is_no_truth():
    targets = [truths((0, *ONE)), truths(), truths((0, *ONE), (1, *TWO))]
    found = [detections((0.9, 0, *ONE)), detections((0.8, 0, *ONE)), detections((0.7, 1, *TWO))]
    assert (
        mean_average_precision(found, pad_targets(targets), 2)
        == mean_average_precision(found, targets, 2)
        == 0.75
    )


def test_what_cannot_be_judged_is_named():
    with pytest.raises(
        ValueError, match="mean average precision needs true boxes, but 1 images have none of 2 classes"
    ):
        mean_average_precision([detections((0.9, 0, *ONE))], [truths()], 2)
    with pytest.raises(ValueError, match="must be of the same images, but got 1 and 2"):
        match_detections([detections()], [truths(), truths()])
    with pytest.raises(ValueError, match="must be of the same images, but got 0 and 0"):
        match_detections([], [])


def random_case(images, classes=3, seed=0, together=False):
    """Truths and detections, near a truth or anywhere; truths in places of their own, or one upon the other.

    Of each class there is a prime number of truths, so that no recall but 0 and 1 is a hundredth.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = [[] for _ in range(images)]
    for index in range(classes * 37):
        image, place = index % images, index // images
        centre = torch.rand(2, generator=generator) * (0.5 if together else 0.02)
        centre += (
            0.2 if together else torch.tensor([0.15 + 0.3 * (place % 3), 0.15 + 0.3 * (place // 3)])
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


def by_loops(found, targets, label, overlap, points, difficult):
    """Average precision of a class as the development kit of VOC goes about it, detection by detection."""
    everything = sorted(
        (
            (score.item(), image, box)
            for image, seen in enumerate(found)
            for box, score, its in zip(*seen)
            if its == label
        ),
        key=lambda entry: -entry[0],
    )
    taken, right, wrong, curve = set(), 0, 0, []
    for _, image, box in everything:
        best, which = -1.0, None
        for index, row in enumerate(targets[image]):
            if int(row[0]) == label:
                iou = box_iou(box[None], to_corners(row[None, 1:])).item()
                if iou > best:
                    best, which = iou, index
        if best >= overlap and difficult[image][which]:
            continue
        if best >= overlap and (image, which) not in taken:
            taken.add((image, which))
            right += 1
        else:
            wrong += 1
        curve.append((right, right / (right + wrong)))
    number = sum(
        int(row[0]) == label and not flag
        for rows, flags in zip(targets, difficult)
        for row, flag in zip(rows, flags)
    )
    if points is None:
        return (
            sum(max(p for r, p in curve if r >= reached) for reached in range(1, right + 1))
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
def test_random_detections_are_judged_as_in_plain_loops(seed, points):
    found, targets = random_case(12, seed=seed, together=True)
    generator = torch.Generator().manual_seed(seed)
    difficult = [torch.rand(len(rows), generator=generator) < 0.2 for rows in targets]
    for overlap in (0.3, 0.5, 0.75):
        answer = average_precisions(match_detections(found, targets, difficult), 3, overlap, points)
        expected = [
            by_loops(found, targets, label, overlap, points, difficult) for label in range(3)
        ]
        assert answer.tolist() == pytest.approx(expected) and 0.01 < float(answer.mean()) < 0.99


def test_random_detections_are_judged_as_by_coco():
    """Truths lie apart: COCO would give a detection the next best truth where the best is taken, VOC would not."""
    found, targets = random_case(13)
    reference = MeanAveragePrecision(box_format="xyxy", iou_type="bbox", class_metrics=True)
    reference.update(
        [{"boxes": seen.boxes, "scores": seen.scores, "labels": seen.labels} for seen in found],
        [{"boxes": to_corners(rows[:, 1:]), "labels": rows[:, 0].long()} for rows in targets],
    )
    expected = reference.compute()
    matches = match_detections(found, targets)
    by_overlap = torch.stack(
        [average_precisions(matches, 3, 0.5 + 0.05 * step, points=101) for step in range(10)]
    )
    assert float(by_overlap.mean()) == pytest.approx(float(expected["map"]), abs=1e-6)
    assert float(by_overlap[0].mean()) == pytest.approx(float(expected["map_50"]), abs=1e-6)
    assert float(by_overlap[5].mean()) == pytest.approx(float(expected["map_75"]), abs=1e-6)
    assert by_overlap.mean(0).tolist() == pytest.approx(
        expected["map_per_class"].tolist(), abs=1e-6
    )
    assert 0.05 < float(by_overlap[5].mean()) < float(by_overlap[0].mean()) < 0.95
