"""Scenes of garments: what is in them, and that their boxes are right."""
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.folders import write_idx
from trials.data.detection import box_sizes, load_detection, plain_batches, training_batches
from trials.data.examples import Example
from trials.data.scenes import CLASSES, Garments, Scenes, draw_scene, load_garments
from trials.data.stored import Stored


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
    assert {len(e.labels) for e in found} >= {1, 2, 3, 4, 5}
    boxes = torch.cat([e.boxes for e in found])
    assert ((0 <= boxes) & (boxes <= size)).all() and (boxes[:, 2:] - boxes[:, :2] >= 4).all()
    sides = (boxes[:, 2:] - boxes[:, :2]).amax(1) / size
    assert sides.quantile(0.9) > 2 * sides.quantile(0.1)
    middles = (boxes[:, 2:] + boxes[:, :2]) / 2 / size
    assert (middles.std(0) > 0.2).all()


def test_a_scene_follows_from_seed_and_index_alone(garments):
    scenes = Scenes(garments, 50, 64, seed=3)
    backwards = [scenes[index] for index in reversed(range(50))][::-1]
    assert all(same(one, other) for one, other in zip(examples(Scenes(garments, 100, 64, seed=3), 50), backwards))
    assert not any(same(one, other) for one, other in zip(examples(Scenes(garments, 50, 64, seed=4), 50), backwards))
    assert len({e.image.numpy().tobytes() for e in backwards}) == 50
    with pytest.raises(IndexError, match="scene 50 of 50"):
        scenes[50]


def test_a_box_is_tight_around_what_is_seen_of_its_garment(garments):
    """The same scene without noise, with and without its garments: they differ inside the boxes, up to their every edge."""
    checked = 0
    for seed in range(60):
        image, boxes, labels = draw_scene(garments, 128, np.random.default_rng(seed))
        if len(labels) != 1:
            continue
        # The garments of the other scene cannot be seen: their brightest pixel is below what a box is drawn around.
        bare, none, _ = draw_scene(Garments(garments.images // 200, garments.labels), 128, np.random.default_rng(seed))
        assert not len(none)
        left, top, right, bottom = boxes[0].astype(int)
        inner, outer = slice(top + 1, bottom - 1), slice(left + 1, right - 1)
        blurred = np.abs(_smooth(image) - _smooth(bare))
        outside = np.ones(image.shape[:2], bool)
        outside[max(top - 3, 0):bottom + 3, max(left - 3, 0):right + 3] = False
        checked += 1
        assert blurred[inner, outer].mean() > 3 * (blurred[outside].mean() + 0.1) or blurred[inner, outer].mean() > 10
    assert checked >= 5


def _smooth(image):
    return image.astype(np.float32).mean(2)


def test_no_garment_hides_most_of_another(garments):
    overlapping = 0
    for example in examples(Scenes(garments, 100), 100):
        for number, box in enumerate(example.boxes):
            others = torch.cat([example.boxes[:number], example.boxes[number + 1:]])
            both = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])).clamp(min=0).prod(1)
            overlapping += int((both > 0).any())
    assert overlapping > 30
