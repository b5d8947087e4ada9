import matplotlib.image
import numpy as np
import pytest
import torch

from trials.detection import Detections, draw_side_by_side, pad_targets, precision_table

NAMES = ["shirt", "boot"]


def scene():
    """Two images; the founder finds both things in the first, the offspring one, and one with too low a score."""
    images = torch.full((2, 3, 64, 96), 0.5)
    images[:, :, 10:30, 20:60] = 0.2
    images[0, 0, 0, 0], images[0, 0, 0, 1] = 0, 1
    places = torch.tensor([[0.2, 0.15, 0.62, 0.5], [0.7, 0.6, 0.9, 0.95]])
    both = Detections(places, torch.tensor([0.95, 0.6]), torch.tensor([0, 1]))
    low = both._replace(scores=torch.tensor([0.8, 0.1]))
    none = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
    truths = pad_targets(
        [
            torch.tensor([[0, 0.41, 0.325, 0.42, 0.35], [1, 0.8, 0.775, 0.2, 0.35]]),
            torch.zeros(0, 5),
        ]
    )
    return images, {"founder": [both, none], "offspring": [low, none]}, truths


def colourful(picture):
    """How many pixels of each quarter of the picture are of no grey."""
    spread = picture[..., :3].max(-1) - picture[..., :3].min(-1) > 0.3
    rows, columns = (size // 2 for size in spread.shape)
    return [
        int(part.sum())
        for half in (spread[:rows], spread[rows:])
        for part in (half[:, :columns], half[:, columns:])
    ]


def test_every_network_gets_a_column_with_what_it_found(tmp_path):
    images, found, truths = scene()
    draw_side_by_side(tmp_path / "scenes.png", images, found, NAMES, truths)
    founder, offspring, *nothing = colourful(matplotlib.image.imread(tmp_path / "scenes.png"))
    assert founder > 1.3 * offspring > 0 and nothing == [0, 0]
    draw_side_by_side(tmp_path / "more.png", images, found, NAMES, score_threshold=0.05)
    founder, offspring, *_ = colourful(matplotlib.image.imread(tmp_path / "more.png"))
    assert founder == pytest.approx(offspring, rel=0.05)


def test_truths_are_drawn_and_grey_images_are_welcome(tmp_path):
    images, found, truths = scene()
    pictures = []
    for name, targets in (("with.png", truths), ("without.png", None)):
        draw_side_by_side(tmp_path / name, images[:, :1], found, NAMES, targets)
        pictures.append(matplotlib.image.imread(tmp_path / name))
    assert pictures[0].shape == pictures[1].shape and np.any(pictures[0] != pictures[1])


def test_detections_of_other_images_are_named(tmp_path):
    images, found, _ = scene()
    with pytest.raises(ValueError, match="got 1 images and {'founder': 2, 'offspring': 2}"):
        draw_side_by_side(tmp_path / "scenes.png", images[:1], found, NAMES)
    assert not list(tmp_path.iterdir())


def test_the_table_has_a_line_for_each_class_and_their_mean():
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
        ValueError, match="needs 2 average precisions of each network, but got {'founder': 3}"
    ):
        precision_table({"founder": torch.zeros(3)}, NAMES)
