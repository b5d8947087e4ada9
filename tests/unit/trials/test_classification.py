"""Data sets for classification, from small folders in the formats of the real ones."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from nni_stress.exceptions import DamagedFileError
from tests.helpers.folders import write_cifar10, write_idx, write_image_folder, write_stl10
from tests.helpers.limits import within
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
    """A small data set, whose MD5 sums replace those of the published files in torchvision."""
    from torchvision.datasets import CIFAR10, STL10

    name = request.param
    if name == "fashion-mnist":
        write_idx(tmp_path, True)
    elif name == "cifar10":
        sums = write_cifar10(tmp_path)
        for files in ("train_list", "test_list"):
            monkeypatch.setattr(
                CIFAR10,
                files,
                [[n, sums[n]] for n, _ in getattr(CIFAR10, files)],
            )
        monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    elif name == "stl10":
        sums = write_stl10(tmp_path)
        for files in ("train_list", "test_list"):
            monkeypatch.setattr(
                STL10,
                files,
                [[n, sums.get(n)] for n, _ in getattr(STL10, files)],
            )
    else:
        write_image_folder(tmp_path)
    return name, str(tmp_path)


def batches(data, seed=1, size=4):
    return list(data.training_batches(size, torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("folder", list(HELD_OUT), indirect=True)
def test_each_data_set_is_split_and_has_images_of_three_channels_and_the_size(folder):
    name, path = folder
    data = load_classification(name, path, 80)
    train, validation, test = HELD_OUT[name]
    assert [
        sum(len(y) for _, y in data.evaluation_batches(split)) for split in ("validation", "test")
    ] == [
        validation,
        test,
    ]
    found = batches(data)
    assert len(found) == len(data.training_batches(4, torch.Generator())) == train // 4
    assert all(
        x.shape == (4, 3, 80, 80) and x.dtype == torch.float32 and y.dtype == torch.int64
        for x, y in found
    )
    assert len(data.classes) == (2 if name == "imagefolder" else 10)


@pytest.mark.parametrize("folder", list(HELD_OUT), indirect=True)
def test_batches_depend_on_the_generator_alone(folder):
    data = load_classification(*folder, 64)
    torch.manual_seed(0)
    first = batches(data)
    next_number = torch.rand(1)
    torch.manual_seed(7)
    same_seed, other_seed = batches(data), batches(data, seed=2)
    assert equal(first, same_seed)
    assert not all(torch.equal(x, other) for (x, _), (other, _) in zip(first, other_seed))
    torch.manual_seed(0)
    assert torch.equal(next_number, torch.rand(1))  # torch's global generator was not used


def equal(first, second):
    return all(
        torch.equal(x, other_x) and torch.equal(y, other_y)
        for (x, y), (other_x, other_y) in zip(first, second)
    )


def test_workers_do_not_change_batches(tmp_path):
    write_image_folder(tmp_path)
    torch.manual_seed(3)
    without, with_workers = (
        batches(load_classification("imagefolder", str(tmp_path), 64, workers))
        for workers in (0, 2)
    )
    assert equal(without, with_workers)


@pytest.mark.parametrize("folder", ["cifar10", "stl10"], indirect=True)
def test_images_keep_their_order_labels_and_scale(folder):
    name, path = folder
    data = load_classification(name, path, 96)
    images, labels = first_examples(data.evaluation_batches("test"), 12)
    deviation, mean = {"cifar10": (0.2470, 0.4914), "stl10": (0.2603, 0.4467)}[name]
    red = (images[:, 0] * deviation + mean) * 255
    assert torch.allclose(red, torch.arange(12.0)[:, None, None].expand_as(red), atol=1e-3)
    assert labels.tolist() == [n % 10 for n in range(12)]


def test_folder_images_have_the_label_of_their_folder(tmp_path):
    write_image_folder(tmp_path)
    data = load_classification("imagefolder", str(tmp_path), 64)
    assert data.classes == ("cat", "dog")
    splits = [data.evaluation_batches(split) for split in ("validation", "test")]
    for x, y in [*batches(data), *splits[0], *splits[1]]:
        red, green = x[:, 0].mean((1, 2)), x[:, 1].mean((1, 2))
        assert torch.equal((green > red).long(), y)


def test_each_image_is_cropped_and_mirrored_by_itself():
    images = torch.arange(1, 1 + 200 * 16, dtype=torch.float32).view(200, 1, 4, 4)
    generator = torch.Generator().manual_seed(0)
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    cropped = random_crops(images, 1, generator)
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
def test_fashion_mnist_has_mean_0_and_deviation_1():
    data = load_classification("fashion-mnist", size=64)
    images, labels = first_examples(data.evaluation_batches("validation"), 5000)
    assert len(labels) == 5000 and data.classes[9] == "Ankle boot"
    assert float(images.mean()) == pytest.approx(0, abs=0.02)
    assert float(images.std()) == pytest.approx(1, abs=0.1)  # resizing smooths


def test_errors_are_one_line(tmp_path):
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
    """Its pickle creates a file when it is loaded."""

    def __init__(self, file):
        self._file = file

    def __reduce__(self):
        return Path.touch, (self._file,)


def test_a_pickle_with_an_unknown_md5_sum_is_not_loaded(tmp_path):
    write_cifar10(tmp_path)
    trap = tmp_path / "trap"
    content = pickle.dumps(Trap(trap))
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


def test_a_batch_larger_than_the_data_set_is_refused(tmp_path):
    write_idx(tmp_path, True)
    data = load_classification("fashion-mnist", str(tmp_path))
    with pytest.raises(
        ValueError, match="batch_size must lie between 1 and the 22 examples, but got 23"
    ):
        data.training_batches(23, torch.Generator())


def test_the_error_for_a_damaged_image_names_it(tmp_path):
    write_image_folder(tmp_path)
    (tmp_path / "test" / "cat" / "0.jpg").write_bytes(np.zeros(100, np.uint8).tobytes())
    batches = load_classification("imagefolder", str(tmp_path), 64).evaluation_batches("test")
    with pytest.raises(DamagedFileError, match=r"cat/0\.jpg is damaged: UnidentifiedImageError"):
        first_examples(batches, 50)
    whole = (tmp_path / "test" / "dog" / "0.jpg").read_bytes()
    (tmp_path / "test" / "cat" / "0.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedFileError, match=r"cat/0\.jpg is damaged: .*truncated"):
        first_examples(batches, 50)
    (tmp_path / "test" / "cat" / "0.jpg").unlink()
    os.mkfifo(tmp_path / "test" / "cat" / "0.jpg")
    with within(), pytest.raises(DamagedFileError, match=r"cat/0\.jpg .* but is a FIFO"):
        first_examples(batches, 50)
