"""Data sets for classification, from small folders in the formats of the real ones."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.folders import write_cifar10, write_idx, write_image_folder, write_stl10
from trials.data.classification import first_examples, load_classification
from trials.data.pixels import random_crops, random_flips

HELD_OUT = {
    "fashion-mnist": (22, 2, 6),
    "cifar10": (55, 5, 12),
    "stl10": (22, 2, 24),
    "imagefolder": (24, 2, 26),
}


@pytest.fixture
def folder(request, tmp_path, monkeypatch):
    """A small data set. torchvision takes only files of the published MD5 sums: here, of the sums of the small ones."""
    import torchvision.datasets as published

    name = request.param
    if name == "fashion-mnist":
        write_idx(tmp_path, True)
    elif name == "cifar10":
        sums = write_cifar10(tmp_path)
        for files in ("train_list", "test_list"):
            monkeypatch.setattr(
                published.CIFAR10,
                files,
                [[n, sums[n]] for n, _ in getattr(published.CIFAR10, files)],
            )
        monkeypatch.setattr(
            published.CIFAR10, "meta", {**published.CIFAR10.meta, "md5": sums["batches.meta"]}
        )
    elif name == "stl10":
        sums = write_stl10(tmp_path)
        for files in ("train_list", "test_list"):
            monkeypatch.setattr(
                published.STL10,
                files,
                [[n, sums.get(n)] for n, _ in getattr(published.STL10, files)],
            )
    else:
        write_image_folder(tmp_path)
    return name, str(tmp_path)


def batches(images, seed=1, size=4):
    return [(x, y) for x, y in images.training_batches(size, torch.Generator().manual_seed(seed))]


@pytest.mark.parametrize("folder", list(HELD_OUT), indirect=True)
def test_every_data_set_is_split_and_gives_three_channels_of_the_size(folder):
    name, where = folder
    images = load_classification(name, where, 80)
    train, validation, test = HELD_OUT[name]
    assert [sum(len(y) for _, y in images.evaluation_batches(split)) for split in ("validation", "test")] == [
        validation,
        test,
    ]
    found = batches(images)
    assert len(found) == len(images.training_batches(4, torch.Generator())) == train // 4
    assert all(
        x.shape == (4, 3, 80, 80) and x.dtype == torch.float32 and y.dtype == torch.int64
        for x, y in found
    )
    assert len(images.classes) == (2 if name == "imagefolder" else 10)


@pytest.mark.parametrize("folder", list(HELD_OUT), indirect=True)
def test_the_generator_decides_order_and_augmentation_and_nothing_else_does(folder):
    images = load_classification(*folder, 64)
    torch.manual_seed(0)
    one = batches(images)
    chance = torch.rand(1)
    torch.manual_seed(7)
    same, other = batches(images), batches(images, seed=2)
    for (x, y), (again, label) in zip(one, same):
        assert torch.equal(x, again) and torch.equal(y, label)
    assert not all(torch.equal(x, others) for (x, _), (others, _) in zip(one, other))
    torch.manual_seed(0)
    assert torch.equal(
        chance, torch.rand(1)
    )  # and torch's own generator is left alone, for dropout


def test_workers_change_nothing(tmp_path):
    write_image_folder(tmp_path)
    torch.manual_seed(3)
    alone, helped = (
        batches(load_classification("imagefolder", str(tmp_path), 64, workers))
        for workers in (0, 2)
    )
    assert all(
        torch.equal(x, again) and torch.equal(y, label)
        for (x, y), (again, label) in zip(alone, helped)
    )


@pytest.mark.parametrize("folder", ["cifar10", "stl10"], indirect=True)
def test_pixels_keep_their_labels_and_their_scale(folder):
    name, where = folder
    images = load_classification(name, where, 96)
    pixels, labels = first_examples(images.evaluation_batches("test"), 12)
    deviation, mean = {"cifar10": (0.2470, 0.4914), "stl10": (0.2603, 0.4467)}[name]
    red = (pixels[:, 0] * deviation + mean) * 255
    assert torch.allclose(red, torch.arange(12.0)[:, None, None].expand_as(red), atol=1e-3)
    assert labels.tolist() == [n % 10 for n in range(12)]


def test_a_class_of_a_folder_is_learnt_from_its_own_images(tmp_path):
    write_image_folder(tmp_path)
    images = load_classification("imagefolder", str(tmp_path), 64)
    assert images.classes == ("cat", "dog")
    for x, y in [*batches(images), *images.evaluation_batches("test"), *images.evaluation_batches("validation")]:
        red, green = x[:, 0].mean((1, 2)), x[:, 1].mean((1, 2))
        assert torch.equal((green > red).long(), y)


def test_crops_and_flips_are_windows_and_mirrors_of_single_images():
    images = torch.arange(1, 1 + 200 * 16, dtype=torch.float32).view(200, 1, 4, 4)
    generator = torch.Generator().manual_seed(0)
    padded, cropped = (
        torch.nn.functional.pad(images, (1, 1, 1, 1)),
        random_crops(images, 1, generator),
    )
    places = [
        [
            (top, left)
            for top in range(3)
            for left in range(3)
            if torch.equal(cropped[n], padded[n, :, top : top + 4, left : left + 4])
        ]
        for n in range(200)
    ]
    assert all(len(place) == 1 for place in places) and len({place[0] for place in places}) == 9
    mirrored = [
        torch.equal(flipped, image.flip(2))
        for flipped, image in zip(random_flips(images, generator), images)
    ]
    assert 70 < sum(mirrored) < 130


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").is_dir(),
    reason="dataset-fashion-mnist not installed",
)
def test_fashion_mnist_is_normalised_by_its_own_mean_and_deviation():
    images = load_classification("fashion-mnist", size=64)
    pixels, labels = first_examples(images.evaluation_batches("validation"), 5000)
    assert len(labels) == 5000 and images.classes[9] == "Ankle boot"
    assert float(pixels.mean()) == pytest.approx(0, abs=0.02)
    assert float(pixels.std()) == pytest.approx(1, abs=0.1)  # smoothed by the resizing


def test_what_is_wrong_is_said_in_one_line(tmp_path):
    def refused(words, *arguments):
        with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
            load_classification(*arguments)
        assert "\n" not in str(error.value)

    refused("data must be one of fashion-mnist, .* but got 'cifar'", "cifar")
    refused("image size must be at least 63, but got 32", "fashion-mnist", None, 32)
    refused("stl10 needs a data folder, but none was named", "stl10")
    refused("data folder /nowhere does not exist", "imagefolder", "/nowhere")
    for name in ("cifar10", "stl10"):
        refused(
            f"no {name} data in {tmp_path}: not found, or a file of another MD5 sum",
            name,
            str(tmp_path),
        )
    refused(
        f"no folder train in {tmp_path}, which must hold train and test",
        "imagefolder",
        str(tmp_path),
    )
    (tmp_path / "train").mkdir()
    refused("Couldn't find any class folder", "imagefolder", str(tmp_path))
    (tmp_path / "train" / "cat").mkdir()
    refused("Found no valid file for the classes cat", "imagefolder", str(tmp_path))


class Trap:
    """Pickled, it makes a file wherever it is opened."""

    def __init__(self, file):
        self._file = file

    def __reduce__(self):
        return Path.touch, (self._file,)


def test_a_pickle_of_another_origin_is_never_opened(tmp_path):
    write_cifar10(tmp_path)
    trap, content = tmp_path / "trap", pickle.dumps(Trap(tmp_path / "trap"))
    pickle.loads(content)
    assert trap.exists()
    trap.unlink()
    for file in (tmp_path / "cifar-10-batches-py").iterdir():
        file.write_bytes(content)
    with pytest.raises(FileNotFoundError, match="another MD5 sum"):
        load_classification("cifar10", str(tmp_path))
    assert not trap.exists()


def test_classes_that_differ_between_training_and_test_are_named(tmp_path):
    write_image_folder(tmp_path, ("train",))
    write_image_folder(tmp_path, ("test",), ("cat", "cow"))
    with pytest.raises(ValueError, match=r"only one has \['cow', 'dog'\]"):
        load_classification("imagefolder", str(tmp_path))


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    write_idx(tmp_path, True)
    images = load_classification("fashion-mnist", str(tmp_path))
    with pytest.raises(
        ValueError, match="batch_size must lie between 1 and the 22 examples, but got 23"
    ):
        images.training_batches(23, torch.Generator())


def test_a_damaged_image_is_named(tmp_path):
    write_image_folder(tmp_path)
    (tmp_path / "test" / "cat" / "0.jpg").write_bytes(np.zeros(100, np.uint8).tobytes())
    with pytest.raises(OSError, match="cat/0.jpg"):
        first_examples(load_classification("imagefolder", str(tmp_path), 64).evaluation_batches("test"), 50)
