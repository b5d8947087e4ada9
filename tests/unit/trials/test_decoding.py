"""Boxes and scores from outputs, and non-maximum suppression."""

import pytest
import torch
from torch import nn
from torchvision.ops import nms

from trials.detection import decode, detect, detect_all

ANCHORS = ((0.8, 1.1), (2.5, 1.2))


def test_decoding_by_hand():
    outputs = torch.zeros(1, 2, 8, 2, 4, dtype=torch.float64)
    outputs[0, 1, :, 1, 2] = torch.tensor([3, 1 / 3, 0.5, 2, 4, 1, 2, 1]).log()
    boxes, scores = decode(outputs.flatten(1, 2), ANCHORS)
    assert boxes.shape == (1, 16, 4) and scores.shape == (1, 16, 3)
    # zeros predict the centre of the cell, the anchor's size, objectness 1/2 and equal classes
    assert boxes[0, 0].tolist() == pytest.approx(
        [0.125 - 0.1, 0.25 - 0.275, 0.125 + 0.1, 0.25 + 0.275]
    )
    assert scores[0, 0].tolist() == pytest.approx([1 / 6] * 3)
    x, y, w, h = 2.75 / 4, 1.25 / 2, 2.5 / 2 / 4, 1.2 * 2 / 2
    assert boxes[0, 8 + 4 + 2].tolist() == pytest.approx(
        [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    )
    assert scores[0, 8 + 4 + 2].tolist() == pytest.approx([0.8 / 4, 0.8 / 2, 0.8 / 4])


def test_decoding_is_differentiable():
    outputs = torch.randn(
        1,
        14,
        2,
        3,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(0),
        requires_grad=True,
    )
    assert torch.autograd.gradcheck(lambda values: decode(values, ANCHORS), outputs)


def random_outputs(images=2, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(images, 2 * (5 + classes), 6, 6, generator=generator)


@pytest.mark.parametrize(("score_threshold", "iou_threshold"), [(0.005, 0.45), (0.2, 0.1)])
def test_detections_agree_with_torchvisions_suppression_in_each_class(
    score_threshold, iou_threshold
):
    outputs = random_outputs()
    boxes, scores = decode(outputs, ANCHORS)
    detections = detect(outputs, ANCHORS, score_threshold, iou_threshold, max_detections=1000)
    for index, found in enumerate(detections):
        expected = []
        for label in range(3):
            of_class = scores[index, :, label]
            chosen = (of_class > score_threshold).nonzero().flatten()
            kept = chosen[nms(boxes[index][chosen], of_class[chosen], iou_threshold)]
            expected += [
                (float(of_class[i]), label, *boxes[index, i].clamp(0, 1).tolist()) for i in kept
            ]
        rows = [(float(score), int(label), *box.tolist()) for box, score, label in zip(*found)]
        assert rows == sorted(expected, reverse=True) and 0 < len(rows) < scores.shape[1] * 3


def test_the_best_detections_are_kept_and_clipped_at_the_border():
    everything, few = (
        detect(random_outputs(), ANCHORS, max_detections=count) for count in (1000, 10)
    )
    for all_found, found in zip(everything, few):
        assert len(found.scores) == 10 and torch.equal(found.scores, all_found.scores[:10])
        assert float(found.boxes.min()) >= 0 and float(found.boxes.max()) <= 1


def test_low_scores_and_nan_detect_nothing():
    outputs = torch.full((2, 2 * 7, 3, 3), -20.0)
    outputs[1] = torch.nan
    for found in detect(outputs, ANCHORS):
        assert [tuple(values.shape) for values in found] == [(0, 4), (0,), (0,)]


def test_a_size_that_would_overflow_is_clipped_to_the_image():
    outputs = random_outputs(images=1).unflatten(1, (2, 8))
    outputs[0, 0, 2:4, 1, 1] = 1e4  # the exponential of this is infinite
    outputs[0, 0, 4:6, 1, 1] = 50
    assert decode(outputs.flatten(1, 2), ANCHORS)[0].isfinite().all()
    (found,) = detect(outputs.flatten(1, 2), ANCHORS, max_detections=1000)
    assert found.boxes[0].tolist() == [0, 0, 1, 1] and len(found.scores) > 10


def test_batches_do_not_change_detections_and_the_network_keeps_its_mode():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 1), nn.BatchNorm2d(16)).train()
    images = torch.randn(5, 3, 4, 4)
    batched, at_once = (
        detect_all(network, images.split(size), ANCHORS, score_threshold=0.1) for size in (2, 5)
    )
    assert network.training and len(batched) == 5 and float(network[1].num_batches_tracked) == 0
    for first, second in zip(batched, at_once):
        assert torch.allclose(first.scores, second.scores)


def test_outputs_that_do_not_fit_the_anchors_are_refused():
    with pytest.raises(
        ValueError, match=r"outputs for 2 anchors must be .* but got 1 x 15 x 2 x 2"
    ):
        decode(torch.zeros(1, 15, 2, 2), ANCHORS)
