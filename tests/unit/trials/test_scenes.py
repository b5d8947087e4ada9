"""Scenes of garments: what is in them, and that their boxes are right."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.folders import write_idx
from trials.data.detection import box_sizes, load_detection
from trials.data.garments import CLASSES, Garments, load_garments
from trials.data.scenes import Scenes, draw_scene


@pytest.fixture(scope="module")
def garments():
    """Bright boxes of 20 x 10 pixels, upright or lying as their class says."""
    images = np.zeros((40, 28, 28), np.uint8)
    images[::2, 4:24, 9:19], images[1::2, 9:19, 4:24] = 200, 200
    return Garments(images, np.arange(40) % 2)


def examples(scenes, count):
    return [scenes[index] for index in range(count)]


def same(one, other):
    return all(torch.equal(left, right) for left, right in zip(one, other))


@pytest.mark.parametrize("size", [64, 128, 224])
def test_scenes_are_varied_and_their_boxes_lie_inside(garments, size):
    found = examples(Scenes(garments, 60, size), 60)
    assert all(e.image.shape == (3, size, size) and e.image.dtype == torch.uint8 for e in found)
    assert {len(e.labels) for e in found} == {0, 1, 2, 3, 4}
    boxes = torch.cat([e.boxes for e in found])
    assert ((boxes >= 0) & (boxes <= size)).all() and (boxes[:, 2:] - boxes[:, :2] >= 4).all()
    sides = (boxes[:, 2:] - boxes[:, :2]).amax(1) / size
    assert sides.quantile(0.9) > 1.6 * sides.quantile(0.1)
    middles = (boxes[:, 2:] + boxes[:, :2]) / 2 / size
    assert (middles.std(0) > 0.15).all()


def test_a_scene_follows_from_seed_and_index_alone(garments):
    scenes = Scenes(garments, 50, 64, seed=3)
    backwards = [scenes[index] for index in reversed(range(50))][::-1]
    assert all(
        same(one, other)
        for one, other in zip(examples(Scenes(garments, 100, 64, seed=3), 50), backwards)
    )
    assert not any(
        same(one, other)
        for one, other in zip(examples(Scenes(garments, 50, 64, seed=4), 50), backwards)
    )
    assert len({e.image.numpy().tobytes() for e in backwards}) == 50
    with pytest.raises(IndexError, match="scene 50 of 50"):
        scenes[50]


def test_boxes_are_tight_around_what_is_seen_of_garments():
    """The same scenes with and without garments differ in all boxes, up to their every edge, and nowhere else."""
    frames = np.zeros((1, 28, 28), np.uint8)
    frames[:, 1:27, 2:26] = 255
    frames[:, 5:23, 5:23] = 0  # clutter is made of a garment's middle: of these there is none
    garments, nothing = (
        Garments(frames, np.zeros(1, np.int64)),
        Garments(frames * 0, np.zeros(1, np.int64)),
    )
    found = 0
    for index in range(60):
        image, boxes, _ = draw_scene(garments, 128, (0, index))
        bare, none, _ = draw_scene(nothing, 128, (0, index))
        assert not len(none)
        differs = (image != bare).any(2)
        outside = differs.copy()
        for left, top, right, bottom in boxes.astype(int):
            outside[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = False
            inside = differs[top:bottom, left:right]
            rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
            assert (
                max(
                    rows[0],
                    columns[0],
                    len(inside) - 1 - rows[-1],
                    inside.shape[1] - 1 - columns[-1],
                )
                <= 2
            )
            found += 1
        assert not outside.any()
    assert found > 120


def test_garments_overlap_but_seven_tenths_of_each_can_be_seen():
    """Of a white square of 0.3 of the image's side at least."""
    scenes = Scenes(
        Garments(np.full((1, 28, 28), 255, np.uint8), np.zeros(1, np.int64)), 300, seed=1
    )
    overlapping, areas = 0, []
    for example in examples(scenes, 300):
        areas += (example.boxes[:, 2:] - example.boxes[:, :2]).prod(1).tolist()
        for number, box in enumerate(example.boxes):
            others = example.boxes[number + 1 :]
            both = (
                (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2]))
                .clamp(min=0)
                .prod(1)
            )
            overlapping += int((both > 0).sum())
    assert overlapping > 100 and min(areas) >= 0.95 * 0.7 * (0.3 * 128) ** 2


def test_a_garment_that_is_all_black_is_in_no_scene():
    scenes = Scenes(Garments(np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.int64)), 20, 64)
    assert all(e.boxes.shape == (0, 4) and e.image.float().std() > 0 for e in examples(scenes, 20))


def test_wrong_scenes_are_refused(garments):
    with pytest.raises(
        ValueError, match="the size of scenes must be a multiple of 32, but got 100"
    ):
        Scenes(garments, 5, 100)
    with pytest.raises(ValueError, match="at least one scene and one garment, but got 0 and 40"):
        Scenes(garments, 0)
    with pytest.raises(ValueError, match="at least one scene and one garment, but got 5 and 0"):
        Scenes(Garments(garments.images[:0], garments.labels[:0]), 5)


def test_no_garment_is_in_two_splits(tmp_path):
    write_idx(tmp_path, True)
    parts = load_garments(str(tmp_path))
    rows = [
        {image.tobytes() for image in parts[name].images}
        for name in ("train", "validation", "test")
    ]
    assert [len(row) for row in rows] == [22, 2, 6] and len(set.union(*rows)) == 30


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").is_dir(),
    reason="dataset-fashion-mnist not installed",
)
def test_scenes_of_fashion_mnist_have_all_classes_and_splits_of_their_own():
    data = load_detection("scenes", scenes={"train": 200})
    assert [len(part) for part in data[1:4]] == [200, 500, 1000] and data.classes == CLASSES
    labels = torch.cat([data.train[index].labels for index in range(200)])
    assert torch.bincount(labels, minlength=10).min() > 30
    assert len(labels) == len(box_sizes(data.train)) > 400
    assert not torch.equal(data.train[0].image, data.test[0].image)


def test_digits_clutter_scenes_and_are_no_garments(garments, tmp_path):
    black = garments._replace(images=garments.images * 0)
    cluttered = black._replace(digits=np.full((3, 8, 8), 255, np.uint8))
    pairs = list(zip(examples(Scenes(black, 60, 64), 60), examples(Scenes(cluttered, 60, 64), 60)))
    assert not any(len(other.labels) for _, other in pairs)
    assert 20 < sum(not same(one, other) for one, other in pairs) < 60
    digits = load_garments(_garments_folder(tmp_path))["test"].digits
    assert digits.shape == (1797, 8, 8) and digits.max() > 250 and digits.min() == 0


def _garments_folder(folder):
    write_idx(folder / "garments", True)
    return str(folder / "garments")
