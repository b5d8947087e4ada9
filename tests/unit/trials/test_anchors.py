"""Overlap of boxes, and anchors found by clustering."""

import pytest
import torch
from torchvision.ops import box_iou

from trials.detection.anchors import average_iou, find_anchors
from trials.detection.boxes import iou, shape_iou, to_corners


def random_boxes(number, seed=0):
    return torch.rand(number, 4, generator=torch.Generator().manual_seed(seed)) * 0.6 + 0.05


def test_iou_agrees_with_torchvision():
    first, second = random_boxes(40), random_boxes(30, 1)
    found = iou(to_corners(first)[:, None], to_corners(second)[None])
    assert torch.allclose(found, box_iou(to_corners(first), to_corners(second)), atol=1e-6)
    zeros = torch.zeros(1, 2)
    centred = box_iou(
        torch.cat([-first[:, 2:], first[:, 2:]], 1), torch.cat([-second[:, 2:], second[:, 2:]], 1)
    )
    assert torch.allclose(shape_iou(first[:, 2:], second[:, 2:]), centred, atol=1e-6)
    assert float(shape_iou(zeros, zeros)) == 0


def test_iou_by_hand():
    box = torch.tensor([0.5, 0.5, 0.4, 0.4])
    assert to_corners(box).tolist() == pytest.approx([0.3, 0.3, 0.7, 0.7])
    shifted = to_corners(torch.tensor([0.6, 0.5, 0.4, 0.4]))  # the intersection is 0.3 x 0.4
    assert float(iou(to_corners(box), shifted)) == pytest.approx(0.12 / 0.20)
    assert float(iou(to_corners(box), to_corners(torch.tensor([0.1, 0.1, 0.2, 0.2])))) == 0


def test_anchors_of_separate_clusters_are_their_means():
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.5, 1.0], [2.0, 1.0], [3.0, 6.0], [8.0, 3.0]])
    sizes = (centres[:, None] * (1 + 0.1 * torch.rand(4, 50, 2, generator=generator))).flatten(0, 1)
    anchors = find_anchors(sizes, 4)
    assert torch.allclose(anchors, sizes.view(4, 50, 2).mean(1), atol=1e-5)
    assert average_iou(sizes, anchors) > 0.9


def test_one_start_finds_rare_shapes():
    """Starts drawn uniformly would nearly all be among the thousand boxes of one shape."""
    sizes = torch.tensor(
        [[0.5, 1.0]] * 1000 + [[2.0, 1.0]] * 3 + [[3.0, 6.0]] * 3 + [[8.0, 3.0]] * 3
    )
    sizes *= 1 + 0.01 * torch.rand(sizes.shape, generator=torch.Generator().manual_seed(0))
    assert all(
        average_iou(sizes[1000:], find_anchors(sizes, 4, seed=seed, starts=1)) > 0.9
        for seed in range(3)
    )


def test_anchors_depend_on_the_seed_and_scale_with_the_unit():
    sizes = random_boxes(500)[:, 2:]
    anchors = find_anchors(sizes, 5, seed=3)
    assert torch.equal(anchors, find_anchors(sizes, 5, seed=3))
    assert torch.allclose(find_anchors(sizes * 13, 5, seed=3), anchors * 13, rtol=1e-5)
    assert anchors.prod(1).diff().gt(0).all()


def test_more_anchors_fit_better_and_anchors_beat_squares():
    sizes = random_boxes(500)[:, 2:]
    fits = [average_iou(sizes, find_anchors(sizes, number)) for number in (1, 3, 5, 9)]
    assert fits == sorted(fits)
    squares = torch.linspace(0.1, 0.6, 5)[:, None].expand(5, 2)
    assert fits[2] > average_iou(sizes, squares)
    # k-means has converged: each anchor is the mean of the sizes nearest to it
    anchors = find_anchors(sizes, 5)
    nearest = shape_iou(sizes, anchors).argmax(1)
    assert torch.allclose(
        anchors, torch.stack([sizes[nearest == index].mean(0) for index in range(5)]), atol=1e-5
    )


def test_as_many_anchors_as_shapes_are_the_shapes_themselves():
    sizes = torch.tensor([[1.0, 2.0], [3.0, 1.0], [5.0, 5.0]]).repeat(4, 1)
    assert torch.allclose(find_anchors(sizes, 3), sizes[:3])


def test_unusable_sizes_are_refused():
    with pytest.raises(
        ValueError, match=r"N x 2 positive numbers, but got a tensor of shape \(3, 2\), the least 0"
    ):
        find_anchors(torch.tensor([[1.0, 2.0], [3.0, 0.0], [5.0, 5.0]]), 2)
    with pytest.raises(ValueError, match=r"but got a tensor of shape \(4, 4\)"):
        find_anchors(random_boxes(4))
    with pytest.raises(
        ValueError, match="5 anchors need at least as many different boxes, but got 2"
    ):
        find_anchors(torch.tensor([[1.0, 2.0], [3.0, 1.0]]).repeat(9, 1))
