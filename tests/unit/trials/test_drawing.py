"""The picture of detections and the table of average precisions."""

import matplotlib.image
import numpy as np
import pytest
import torch

from trials.detection import Detections, draw_side_by_side, pad_targets, precision_table

NAMES = ["shirt", "boot"]


def scene():
    """Two images; in the first the founder finds two objects, the offspring is sure of one."""
    images = torch.full((2, 3, 64, 96), 0.5)
    images[:, :, 10:30, 20:60] = 0.2
    images[0, 0, 0, 0], images[0, 0, 0, 1] = 0, 1
    boxes = torch.tensor([[0.2, 0.15, 0.62, 0.5], [0.7, 0.6, 0.9, 0.95]])
    both = Detections(boxes, torch.tensor([0.95, 0.6]), torch.tensor([0, 1]))
    one_sure = both._replace(scores=torch.tensor([0.8, 0.1]))
    none = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
    targets = pad_targets(
        [
            torch.tensor([[0, 0.41, 0.325, 0.42, 0.35], [1, 0.8, 0.775, 0.2, 0.35]]),
            torch.zeros(0, 5),
        ]
    )
    return images, {"founder": [both, none], "offspring": [one_sure, none]}, targets


def count_coloured(picture):
    """Number of pixels in each quarter of the picture that are not grey."""
    coloured = picture[..., :3].max(-1) - picture[..., :3].min(-1) > 0.3
    rows, columns = (size // 2 for size in coloured.shape)
    return [
        int(part.sum())
        for half in (coloured[:rows], coloured[rows:])
        for part in (half[:, :columns], half[:, columns:])
    ]


def test_each_network_has_a_column_with_its_detections(tmp_path):
    images, detections, targets = scene()
    draw_side_by_side(tmp_path / "scenes.png", images, detections, NAMES, targets)
    founder, offspring, *second_row = count_coloured(
        matplotlib.image.imread(tmp_path / "scenes.png")
    )
    assert founder > 1.3 * offspring > 0 and second_row == [0, 0]
    draw_side_by_side(tmp_path / "more.png", images, detections, NAMES, score_threshold=0.05)
    founder, offspring, *_ = count_coloured(matplotlib.image.imread(tmp_path / "more.png"))
    assert founder == pytest.approx(offspring, rel=0.05)


def test_true_boxes_are_drawn_and_images_may_be_grey(tmp_path):
    images, detections, targets = scene()
    pictures = []
    for name, drawn in (("with.png", targets), ("without.png", None)):
        draw_side_by_side(tmp_path / name, images[:, :1], detections, NAMES, drawn)
        pictures.append(matplotlib.image.imread(tmp_path / name))
    assert pictures[0].shape == pictures[1].shape and np.any(pictures[0] != pictures[1])


def test_a_wrong_number_of_images_is_refused(tmp_path):
    images, detections, _ = scene()
    with pytest.raises(ValueError, match=r"got 1 images and \{'founder': 2, 'offspring': 2\}"):
        draw_side_by_side(tmp_path / "scenes.png", images[:1], detections, NAMES)
    assert not list(tmp_path.iterdir())


def test_the_table_has_a_row_for_each_class_and_for_the_mean():
    table = precision_table(
        {"founder": torch.tensor([0.5, torch.nan]), "offspring": torch.tensor([0.25, torch.nan])},
        NAMES,
    )
    assert table.splitlines() == [
        "class  founder  offspring",
        "shirt    0.500      0.250",
        "boot         -          -",
        "mean     0.500      0.250",
    ]
    with pytest.raises(
        ValueError, match=r"needs 2 average precisions of each network, but got \{'founder': 3\}"
    ):
        precision_table({"founder": torch.zeros(3)}, NAMES)
