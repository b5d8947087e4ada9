"""Pascal VOC and KITTI from small folders, their augmentation, and batches for detectors."""

import pytest
import torch
from torchvision.ops import box_convert

from tests.helpers.folders import write_idx, write_kitti, write_voc
from trials.data.augmentation import flip, jitter, shift_and_scale
from trials.data.detection import box_sizes, load_detection, plain_batches, training_batches
from trials.data.detection_folders import KITTI_CLASSES, VOC_CLASSES
from trials.data.examples import (
    Example,
    clip_boxes,
    collate,
    collate_for_training,
    mirror,
    resize,
)

DOG, PERSON = VOC_CLASSES.index("dog"), VOC_CLASSES.index("person")


def example(*boxes, size=(80, 100), labels=None, difficult=None):
    """A black image that is white in the boxes."""
    image = torch.zeros(3, *size, dtype=torch.uint8)
    for left, top, right, bottom in boxes:
        image[:, top:bottom, left:right] = 255
    count = len(boxes)
    return Example(
        image,
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels if labels is not None else range(count), dtype=torch.int64),
        torch.tensor(difficult if difficult is not None else [False] * count, dtype=torch.bool),
    )


def white(image):
    """The tight box of what is brighter than the middle."""
    seen = image.float().mean(0) > 127
    rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
    return torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()


@pytest.mark.parametrize(
    ("years", "sizes"),
    [(("2007",), (12, 1, 13)), (("2012",), (12, 1, 13)), (("2007", "2012"), (24, 2, 13))],
)
def test_voc_is_read_whichever_years_are_there(years, sizes, tmp_path):
    for year in years:
        write_voc(tmp_path, year, ("train", "val") if years == ("2012",) else ("trainval", "test"))
    data = load_detection("voc", str(tmp_path))
    assert tuple(map(len, data[1:4])) == sizes and data.classes == VOC_CLASSES
    without = [e for e in data.test if not len(e.labels)]
    assert len(without) == 5 and without[0].boxes.shape == (0, 4)
    one = data.test[1]
    assert one.image.shape == (3, 80, 100) and one.labels.tolist() == [DOG, PERSON]
    assert one.boxes.tolist() == [[10, 20, 60, 70], [0, 0, 20, 30]] and one.difficult.tolist() == [
        False,
        True,
    ]


def test_kitti_is_read_without_what_nobody_cares_for(tmp_path):
    write_kitti(tmp_path)
    data = load_detection("kitti", str(tmp_path))
    assert tuple(map(len, data[1:4])) == (22, 2, 6) and data.classes == KITTI_CLASSES
    reds = [int(e.image[0, 0, 0]) for part in data[1:4] for e in part]
    assert sorted(reds) == list(range(30))  # every image once
    for e in data.test:
        assert [KITTI_CLASSES[label] for label in e.labels] == ["Car", "Van"]
        assert e.boxes.tolist() == [
            [20, 10, 60, 50],
            [100, 10, 120, 20],
        ] and e.difficult.tolist() == [False, True]


def test_batches_for_judging_have_the_difficult_ones_and_those_for_training_have_not(tmp_path):
    write_voc(tmp_path)
    data = load_detection("voc", str(tmp_path))
    images, targets, difficult = next(iter(plain_batches(data.test, 2, 64)))
    assert images.shape == (2, 3, 64, 64) and images.min() >= 0 and images.max() <= 1
    assert targets[0, :, 0].tolist() == [-1, -1] and targets[1, :, 0].tolist() == [DOG, PERSON]
    assert torch.allclose(targets[1, 0], torch.tensor([DOG, 0.35, 45 / 80, 0.5, 50 / 80]))
    assert difficult.tolist() == [[False, False], [False, True]]
    assert sum(len(batch.images) for batch in plain_batches(data.test, 2, 64)) == 13
    for _, targets in training_batches(data, 3, torch.Generator().manual_seed(0), (64,)):
        assert set(targets[..., 0].flatten().tolist()) <= {DOG, -1}
    assert torch.equal(box_sizes(data.test), torch.tensor([[0.5, 0.625]] * 8))


def test_targets_are_those_of_torchvisions_conversion():
    found = example((10, 20, 60, 70), (0, 0, 20, 30), (5, 5, 100, 80), labels=[4, 2, 7])
    _, targets, _ = collate([found, example()])
    sides = torch.tensor([100, 80, 100, 80])
    assert torch.allclose(targets[0, :, 1:], box_convert(found.boxes, "xyxy", "cxcywh") / sides)
    assert targets[0, :, 0].tolist() == [4, 2, 7] and targets[1].tolist() == [[-1, 0, 0, 0, 0]] * 3
    images, none = collate_for_training([example(), example()])
    assert none.shape == (2, 0, 5) and images.shape == (2, 3, 80, 100)


def test_boxes_follow_their_objects():
    one = example((12, 16, 52, 48), size=(64, 64))
    assert torch.equal(mirror(one).boxes[0], white(mirror(one).image))
    larger = resize(one, 128)
    assert larger.image.shape == (3, 128, 128) and torch.equal(larger.boxes[0], white(larger.image))
    squeezed = resize(example((10, 20, 60, 70)), 160)
    assert (squeezed.boxes[0] - white(squeezed.image)).abs().max() <= 1
    for right, down, scale in ((7, -5, 1.0), (0, 0, 0.75), (0, 0, 1.33), (-9, 4, 1.2)):
        there = shift_and_scale(one, right, down, scale)
        # what is beyond the edge is grey, a step below the threshold of white
        assert (
            there.boxes[0] - white(there.image.where(there.image != 127, 0))
        ).abs().max() <= 1.5, (right, down, scale)


def test_random_changes_keep_boxes_on_their_objects_and_are_varied():
    torch.manual_seed(0)
    one = example((20, 24, 44, 40), size=(64, 64))
    seen = [jitter(one, 64) for _ in range(40)]
    for there in seen:
        middle = ((there.boxes[0, :2] + there.boxes[0, 2:]) / 2).int().tolist()
        ring = there.image.float().mean(0)
        assert ring[middle[1], middle[0]] > 127 and there.image.dtype == torch.uint8
    assert len({tuple(there.boxes[0].tolist()) for there in seen}) > 30
    places = {
        tuple(flip(example((10, 24, 34, 40), size=(64, 64)), 64).boxes[0].tolist())
        for _ in range(20)
    }
    assert places == {(10, 24, 34, 40), (30, 24, 54, 40)}


def test_objects_that_leave_the_image_leave_the_targets():
    both = example((0, 0, 20, 20), (40, 40, 60, 60), size=(64, 64), labels=[3, 5])
    assert shift_and_scale(both, -10, 0, 1.0).boxes.tolist() == [[0, 0, 10, 20], [30, 40, 50, 60]]
    gone = shift_and_scale(both, -15, 0, 1.0)
    assert gone.labels.tolist() == [5] and gone.boxes.tolist() == [[25, 40, 45, 60]]


def test_boxes_outside_of_an_image_are_cut_and_those_of_nothing_go():
    nan = float("nan")
    boxes = torch.tensor(
        [
            [-5, -5, 20, 20],
            [90, 70, 300, 300],
            [120, 10, 140, 20],
            [30, 30, 20, 40],
            [9, 9, 9, 9],
            [nan, 0, 5, 5],
        ]
    )
    found = clip_boxes(
        example()._replace(
            boxes=boxes, labels=torch.arange(6), difficult=torch.zeros(6, dtype=torch.bool)
        )
    )
    assert found.labels.tolist() == [0, 1] and found.boxes.tolist() == [
        [0, 0, 20, 20],
        [90, 70, 100, 80],
    ]


def test_the_generator_decides_batches_whoever_makes_them(tmp_path):
    write_voc(tmp_path)
    data = load_detection("voc", str(tmp_path))

    def batches(seed, workers=0):
        return list(
            training_batches(
                data, 2, torch.Generator().manual_seed(seed), (64, 96, 128), 2, workers
            )
        )

    torch.manual_seed(0)
    one, chance = batches(1), torch.rand(1)
    torch.manual_seed(0)
    for other in (batches(1), batches(1, workers=2)):
        assert all(
            torch.equal(a, b) for left, right in zip(one, other) for a, b in zip(left, right)
        )
    assert torch.equal(chance, torch.rand(1))
    assert not all(
        a.shape == b.shape and torch.equal(a, b) for (a, _), (b, _) in zip(one, batches(2))
    )


def test_the_size_changes_every_few_batches(tmp_path):
    write_idx(tmp_path, True)
    data = load_detection("scenes", str(tmp_path), {"train": 120, "validation": 1, "test": 1}, 32)
    batches = training_batches(data, 2, torch.Generator().manual_seed(0), (32, 64, 96), batches_per_size=5)
    sizes = [images.shape[-1] for images, _ in batches]
    assert len(sizes) == len(batches) == 60 and set(sizes) == {32, 64, 96}
    assert all(len(set(sizes[start : start + 5])) == 1 for start in range(0, 60, 5))


def test_what_is_wrong_is_said_in_one_line(tmp_path):
    def refused(words, name, folder=str(tmp_path)):
        with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
            data = load_detection(name, folder)
            for _ in data.test:
                pass
        assert "\n" not in str(error.value)

    refused("data must be one of scenes, voc, kitti, but got 'coco'", "coco")
    refused("voc needs a data folder, but none was named", "voc", None)
    refused("data folder /nowhere does not exist", "kitti", "/nowhere")
    refused("no VOCdevkit/VOC2007 or VOCdevkit/VOC2012 in", "voc")
    refused("no Kitti/raw/training with folders image_2 and label_2 in", "kitti")
    refused("no file train-images-idx3-ubyte|no fashion-mnist data in", "scenes")
    write_voc(tmp_path, parts=("trainval",))
    refused("no test images of VOC2007 in", "voc")
    write_voc(tmp_path, parts=("trainval", "test"), objects=[("unicorn", 1, 1, 5, 5, 0)])
    refused(
        "example 0: 'unicorn' is no known class or entry; classes are aeroplane, ", "voc"
    )
    write_voc(tmp_path, parts=("trainval", "test"), objects=[("dog", "one", 1, 5, 5, 0)])
    refused("example 0 is damaged: could not convert string to float: 'one'", "voc")
    (tmp_path / "VOCdevkit/VOC2007/Annotations/100000.xml").write_text("<annotation>")
    refused("example 0 is damaged: no element found", "voc")
    (tmp_path / "VOCdevkit/VOC2007/ImageSets/Main/test.txt").write_text("")
    refused(
        "has 12 images to train and 0 to test with|has 13 images to train and 0 to test with", "voc"
    )
    write_kitti(tmp_path)
    (tmp_path / "Kitti/raw/training/label_2/000007.txt").unlink()
    refused("1 images of KITTI have no labels, the first of them .*000007.txt", "kitti")


def test_sizes_must_be_multiples_of_32(tmp_path):
    write_idx(tmp_path, True)
    data = load_detection("scenes", str(tmp_path), {"train": 4, "validation": 1, "test": 1}, 32)
    with pytest.raises(ValueError, match="image sizes must be multiples of 32, but got 100"):
        training_batches(data, 2, torch.Generator(), (64, 100))
    with pytest.raises(ValueError, match="image sizes must be multiples of 32, but got none"):
        training_batches(data, 2, torch.Generator(), ())
    with pytest.raises(
        ValueError, match="batch_size must lie between 1 and the 4 examples, but got 5"
    ):
        training_batches(data, 5, torch.Generator(), (64,))
