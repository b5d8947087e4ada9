"""Scenes of garments: their content and their boxes."""

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
    """Bright rectangles of 20 x 10 pixels, upright in class 0 and lying in class 1."""
    images = np.zeros((40, 28, 28), np.uint8)
    images[::2, 4:24, 9:19] = 200
    images[1::2, 9:19, 4:24] = 200
    return Garments(images, np.arange(40) % 2)


def examples(scenes, count):
    return [scenes[index] for index in range(count)]


def same(first, second):
    """Whether two examples are equal."""
    return all(torch.equal(a, b) for a, b in zip(first, second))


@pytest.mark.parametrize("size", [64, 128, 224])
def test_scenes_vary_and_their_boxes_lie_within_the_image(garments, size):
    found = examples(Scenes(garments, 60, size), 60)
    for scene in found:
        assert scene.image.shape == (3, size, size) and scene.image.dtype == torch.uint8
    assert {len(scene.labels) for scene in found} == {0, 1, 2, 3, 4}
    boxes = torch.cat([scene.boxes for scene in found])
    assert ((boxes >= 0) & (boxes <= size)).all() and (boxes[:, 2:] - boxes[:, :2] >= 4).all()
    sides = (boxes[:, 2:] - boxes[:, :2]).amax(1) / size
    assert sides.quantile(0.9) > 1.6 * sides.quantile(0.1)
    centres = (boxes[:, 2:] + boxes[:, :2]) / 2 / size
    assert (centres.std(0) > 0.15).all()


def test_a_scene_depends_on_seed_and_index_alone(garments):
    scenes = Scenes(garments, 50, 64, seed=3)
    backwards = [scenes[index] for index in reversed(range(50))][::-1]
    more = examples(Scenes(garments, 100, 64, seed=3), 50)
    other_seed = examples(Scenes(garments, 50, 64, seed=4), 50)
    assert all(same(first, second) for first, second in zip(more, backwards))
    assert not any(same(first, second) for first, second in zip(other_seed, backwards))
    assert len({scene.image.numpy().tobytes() for scene in backwards}) == 50
    with pytest.raises(IndexError, match="scene 50 of 50"):
        scenes[50]


def test_boxes_are_tight_around_the_visible_part_of_garments():
    """With and without its garments a scene differs up to each box's edges, and only there."""
    frames = np.zeros((1, 28, 28), np.uint8)
    frames[:, 1:27, 2:26] = 255
    frames[:, 5:23, 5:23] = 0  # so that clutter, a piece of a garment's middle, is invisible
    garments = Garments(frames, np.zeros(1, np.int64))
    invisible = Garments(frames * 0, np.zeros(1, np.int64))
    found = 0
    for index in range(60):
        image, boxes, _ = draw_scene(garments, 128, (0, index))
        background, no_boxes, _ = draw_scene(invisible, 128, (0, index))
        assert not len(no_boxes)
        differs = (image != background).any(2)
        outside = differs.copy()
        for left, top, right, bottom in boxes.astype(int):
            outside[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = False
            inside = differs[top:bottom, left:right]
            rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
            height, width = inside.shape
            gaps = rows[0], columns[0], height - 1 - rows[-1], width - 1 - columns[-1]
            assert max(gaps) <= 2
            found += 1
        assert not outside.any()
    assert found > 120


def test_garments_overlap_but_at_least_seven_tenths_of_each_are_visible():
    """Garments are white squares here, with sides of at least 0.3 of the image's."""
    white = Garments(np.full((1, 28, 28), 255, np.uint8), np.zeros(1, np.int64))
    scenes = Scenes(white, 300, seed=1)
    overlapping, areas = 0, []
    for example in examples(scenes, 300):
        areas += (example.boxes[:, 2:] - example.boxes[:, :2]).prod(1).tolist()
        for number, box in enumerate(example.boxes):
            others = example.boxes[number + 1 :]
            intersections = (
                (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2]))
                .clamp(min=0)
                .prod(1)
            )
            overlapping += int((intersections > 0).sum())
    assert overlapping > 100 and min(areas) >= 0.95 * 0.7 * (0.3 * 128) ** 2


def test_invisible_garments_are_left_out():
    scenes = Scenes(Garments(np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.int64)), 20, 64)
    for scene in examples(scenes, 20):
        assert scene.boxes.shape == (0, 4) and scene.image.float().std() > 0


def test_wrong_arguments_are_refused(garments):
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
def test_scenes_of_fashion_mnist_have_all_classes_and_differ_between_splits():
    data = load_detection("scenes", scenes={"train": 200})
    assert [len(part) for part in data[1:4]] == [200, 500, 1000] and data.classes == CLASSES
    labels = torch.cat([data.train[index].labels for index in range(200)])
    assert torch.bincount(labels, minlength=10).min() > 30
    assert len(labels) == len(box_sizes(data.train)) > 400
    assert not torch.equal(data.train[0].image, data.test[0].image)


def test_digits_are_clutter_and_not_among_the_objects(garments, tmp_path):
    black = garments._replace(images=garments.images * 0)
    cluttered = black._replace(digits=np.full((3, 8, 8), 255, np.uint8))
    pairs = list(zip(examples(Scenes(black, 60, 64), 60), examples(Scenes(cluttered, 60, 64), 60)))
    assert not any(len(scene.labels) for _, scene in pairs)
    assert 20 < sum(not same(*pair) for pair in pairs) < 60
    write_idx(tmp_path, True)
    digits = load_garments(str(tmp_path))["test"].digits
    assert digits.shape == (1797, 8, 8) and digits.max() > 250 and digits.min() == 0
