"""Pascal VOC and KITTI from small folders, augmentation, and batches for detectors."""

import os

import pytest
import torch
from torchvision.ops import box_convert

from tests.helpers.folders import write_idx, write_kitti, write_voc
from tests.helpers.limits import within
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
    """A black image with white boxes."""
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


def white_box(image):
    """Box around the pixels brighter than the mean grey."""
    bright = image.float().mean(0) > 127
    rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
    return torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()


@pytest.mark.parametrize(
    ("years", "sizes"),
    [(("2007",), (12, 1, 13)), (("2012",), (12, 1, 13)), (("2007", "2012"), (24, 2, 13))],
)
def test_voc_is_read_from_either_year_or_both(years, sizes, tmp_path):
    for year in years:
        write_voc(tmp_path, year, ("train", "val") if years == ("2012",) else ("trainval", "test"))
    data = load_detection("voc", str(tmp_path))
    assert tuple(map(len, data[1:4])) == sizes and data.classes == VOC_CLASSES
    empty = [found for found in data.test if not len(found.labels)]
    assert len(empty) == 5 and empty[0].boxes.shape == (0, 4)
    found = data.test[1]
    assert found.image.shape == (3, 80, 100) and found.labels.tolist() == [DOG, PERSON]
    assert found.boxes.tolist() == [[10, 20, 60, 70], [0, 0, 20, 30]]
    assert found.difficult.tolist() == [False, True]


def test_kitti_is_read_without_dontcare_regions(tmp_path):
    write_kitti(tmp_path)
    data = load_detection("kitti", str(tmp_path))
    assert tuple(map(len, data[1:4])) == (22, 2, 6) and data.classes == KITTI_CLASSES
    reds = [int(found.image[0, 0, 0]) for split in data[1:4] for found in split]
    assert sorted(reds) == list(range(30))  # every image once
    for found in data.test:
        assert [KITTI_CLASSES[label] for label in found.labels] == ["Car", "Van"]
        assert found.boxes.tolist() == [[20, 10, 60, 50], [100, 10, 120, 20]]
        assert found.difficult.tolist() == [False, True]


def test_difficult_objects_are_in_evaluation_batches_only(tmp_path):
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


def test_targets_agree_with_torchvisions_conversion():
    found = example((10, 20, 60, 70), (0, 0, 20, 30), (5, 5, 100, 80), labels=[4, 2, 7])
    _, targets, _ = collate([found, example()])
    sides = torch.tensor([100, 80, 100, 80])
    assert torch.allclose(targets[0, :, 1:], box_convert(found.boxes, "xyxy", "cxcywh") / sides)
    assert targets[0, :, 0].tolist() == [4, 2, 7] and targets[1].tolist() == [[-1, 0, 0, 0, 0]] * 3
    images, targets = collate_for_training([example(), example()])
    assert targets.shape == (2, 0, 5) and images.shape == (2, 3, 80, 100)


def test_boxes_stay_on_their_objects_when_images_change():
    original = example((12, 16, 52, 48), size=(64, 64))
    mirrored = mirror(original)
    assert torch.equal(mirrored.boxes[0], white_box(mirrored.image))
    larger = resize(original, 128)
    assert larger.image.shape == (3, 128, 128) and torch.equal(
        larger.boxes[0], white_box(larger.image)
    )
    squeezed = resize(example((10, 20, 60, 70)), 160)
    assert (squeezed.boxes[0] - white_box(squeezed.image)).abs().max() <= 1
    for right, down, scale in ((7, -5, 1.0), (0, 0, 0.75), (0, 0, 1.33), (-9, 4, 1.2)):
        changed = shift_and_scale(original, right, down, scale)
        # pixels from beyond the edge are grey, just below the threshold of white
        found = white_box(changed.image.where(changed.image != 127, 0))
        assert (changed.boxes[0] - found).abs().max() <= 1.5, (right, down, scale)


def test_random_changes_vary_and_keep_boxes_on_their_objects():
    torch.manual_seed(0)
    original = example((20, 24, 44, 40), size=(64, 64))
    changed = [jitter(original, 64) for _ in range(40)]
    for found in changed:
        x, y = ((found.boxes[0, :2] + found.boxes[0, 2:]) / 2).int().tolist()
        assert found.image.float().mean(0)[y, x] > 127 and found.image.dtype == torch.uint8
    assert len({tuple(found.boxes[0].tolist()) for found in changed}) > 30
    original = example((10, 24, 34, 40), size=(64, 64))
    boxes = {tuple(flip(original, 64).boxes[0].tolist()) for _ in range(20)}
    assert boxes == {(10, 24, 34, 40), (30, 24, 54, 40)}


def test_objects_that_leave_the_image_are_dropped():
    both = example((0, 0, 20, 20), (40, 40, 60, 60), size=(64, 64), labels=[3, 5])
    assert shift_and_scale(both, -10, 0, 1.0).boxes.tolist() == [[0, 0, 10, 20], [30, 40, 50, 60]]
    gone = shift_and_scale(both, -15, 0, 1.0)
    assert gone.labels.tolist() == [5] and gone.boxes.tolist() == [[25, 40, 45, 60]]


def test_boxes_are_clipped_and_empty_ones_dropped():
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
    assert found.labels.tolist() == [0, 1]
    assert found.boxes.tolist() == [[0, 0, 20, 20], [90, 70, 100, 80]]


def test_batches_depend_on_the_generator_and_not_on_workers(tmp_path):
    write_voc(tmp_path)
    data = load_detection("voc", str(tmp_path))

    def batches(seed, workers=0):
        return list(
            training_batches(
                data, 2, torch.Generator().manual_seed(seed), (64, 96, 128), 2, workers
            )
        )

    torch.manual_seed(0)
    first, next_number = batches(1), torch.rand(1)
    torch.manual_seed(0)
    for again in (batches(1), batches(1, workers=2)):
        for (images, targets), (other_images, other_targets) in zip(first, again):
            assert torch.equal(images, other_images) and torch.equal(targets, other_targets)
    assert torch.equal(next_number, torch.rand(1))  # torch's global generator was not used
    assert not all(
        images.shape == other_images.shape and torch.equal(images, other_images)
        for (images, _), (other_images, _) in zip(first, batches(2))
    )


def test_the_image_size_changes_after_every_few_batches(tmp_path):
    write_idx(tmp_path, True)
    data = load_detection("scenes", str(tmp_path), {"train": 120, "validation": 1, "test": 1}, 32)
    batches = training_batches(
        data, 2, torch.Generator().manual_seed(0), (32, 64, 96), batches_per_size=5
    )
    sizes = [images.shape[-1] for images, _ in batches]
    assert len(sizes) == len(batches) == 60 and set(sizes) == {32, 64, 96}
    assert all(len(set(sizes[start : start + 5])) == 1 for start in range(0, 60, 5))


def test_errors_are_one_line(tmp_path):
    def refused(words, name, folder=str(tmp_path)):
        with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
            list(load_detection(name, folder).test)
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
    refused("example 0: 'unicorn' is no known class or entry; classes are aeroplane, ", "voc")
    write_voc(tmp_path, parts=("trainval", "test"), objects=[("dog", "one", 1, 5, 5, 0)])
    refused("example 0 is damaged: could not convert string to float: 'one'", "voc")
    (tmp_path / "VOCdevkit/VOC2007/Annotations/100000.xml").write_text("<annotation>")
    refused("example 0 is damaged: ParseError: no element found", "voc")
    (tmp_path / "VOCdevkit/VOC2007/ImageSets/Main/test.txt").write_text("")
    refused(
        "has 12 images to train and 0 to test with|has 13 images to train and 0 to test with", "voc"
    )
    write_kitti(tmp_path)
    (tmp_path / "Kitti/raw/training/label_2/000007.txt").unlink()
    refused("1 images of KITTI have no labels, the first of them .*000007.txt", "kitti")


@pytest.mark.parametrize(
    ("write", "name", "image"),
    [
        (write_voc, "voc", "VOCdevkit/VOC2007/JPEGImages/100000.jpg"),
        (write_kitti, "kitti", "Kitti/raw/training/image_2/000000.png"),
    ],
)
def test_a_damaged_image_is_named(write, name, image, tmp_path):
    write(tmp_path)
    file = tmp_path / image
    whole = file.read_bytes()
    data = load_detection(name, str(tmp_path))

    def read_all():
        for examples in (data.train, data.validation, data.test):
            for index in range(len(examples)):
                examples[index]

    def refused(words):
        with within(), pytest.raises(ValueError, match=f"{file.name} {words}") as error:
            read_all()
        assert "\n" not in str(error.value)

    file.write_bytes(whole[: len(whole) // 2])
    refused("is damaged: ")
    file.unlink()
    os.mkfifo(file)
    refused("must be a regular file, but is a FIFO")


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
