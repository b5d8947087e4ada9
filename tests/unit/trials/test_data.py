from pathlib import Path

import pytest
import torch
from torch import nn

from nni_stress.graph import cost
from tests.helpers.folders import write_idx
from trials.data import Batches, accuracy, load_images
from trials.models import lenet5


def test_digits_are_split_without_overlap():
    images = load_images("digits")
    assert [len(split.labels) for split in images] == [997, 400, 400]
    assert images.train.images.shape[1:] == (1, 28, 28)
    rows = torch.cat([split.images for split in images]).flatten(1)
    assert len(torch.unique(rows, dim=0)) == len(torch.unique(rows[:997], dim=0)) + len(
        torch.unique(rows[997:1397], dim=0)
    ) + len(torch.unique(rows[1397:], dim=0))


@pytest.mark.parametrize(
    ("name", "where", "compress"),
    [
        ("mnist", ".", True),
        ("fashion-mnist", ".", False),
        ("mnist", "MNIST/raw", False),
        ("fashion-mnist", "FashionMNIST/raw", False),
    ],
)
def test_idx_files_are_read_flat_or_as_torchvision_keeps_them(name, where, compress, tmp_path):
    write_idx(tmp_path / where, compress)
    images = load_images(name, str(tmp_path))
    assert [len(split.labels) for split in images] == [22, 2, 6]
    everything = torch.cat([images.train.images, images.validation.images])
    assert float(everything.mean()) == pytest.approx(0, abs=1e-4) and float(
        everything.std()
    ) == pytest.approx(1, abs=1e-4)


def test_wrong_data_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="data folder /nowhere does not exist"):
        load_images("mnist", "/nowhere")
    with pytest.raises(ValueError, match="data must be one of digits, .*but got 'cifar'"):
        load_images("cifar")
    with pytest.raises(FileNotFoundError, match=f"no mnist data in {tmp_path}"):
        load_images("mnist", str(tmp_path))
    write_idx(tmp_path, True, wrong=1)
    with pytest.raises(ValueError, match="train-images-idx3-ubyte.gz is damaged"):
        load_images("mnist", str(tmp_path))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bgarbage")
    with pytest.raises(ValueError, match="train-images-idx3-ubyte.gz is damaged"):
        load_images("mnist", str(tmp_path))


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").is_dir(),
    reason="dataset-fashion-mnist not installed",
)
def test_debians_fashion_mnist_is_found():
    images = load_images("fashion-mnist")
    assert [len(split.labels) for split in images] == [55_000, 5_000, 10_000]


def test_larger_files_are_decoded_once_and_mapped(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write_idx(tmp_path / "data", True, images=1400)
    first = load_images("mnist", str(tmp_path / "data"))
    kept = sorted((tmp_path / "home" / ".cache" / "nni-stress" / "decoded").iterdir())
    assert len(kept) == 2
    with monkeypatch.context() as without:
        without.setattr("gzip.open", None)
        mapped = load_images("mnist", str(tmp_path / "data"))
    assert same(first, mapped)
    mapped.train.images.zero_()  # its own affair
    assert same(first, load_images("mnist", str(tmp_path / "data")))
    for path in kept:
        half = path.read_bytes()[:1000]
        path.unlink()  # as it is mapped, the file itself must not be touched
        path.write_bytes(half)
    assert same(first, load_images("mnist", str(tmp_path / "data")))  # what is damaged is made anew
    assert sorted(kept[0].parent.iterdir()) == kept and all(
        path.stat().st_size > 10**6 for path in kept
    )
    write_idx(tmp_path / "data", True, images=1500)
    assert (
        len(load_images("mnist", str(tmp_path / "data")).train.labels) == 1375
    )  # other files, other data
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))  # nowhere to keep it
    assert len(load_images("mnist", str(tmp_path / "data")).train.labels) == 1375


def same(one, other) -> bool:
    return all(torch.equal(a, b) for left, right in zip(one, other) for a, b in zip(left, right))


def test_batches_cover_the_split_in_an_order_the_seed_decides():
    split = load_images("digits").train
    orders = [
        [labels.tolist() for _, labels in Batches(split, 32, torch.Generator().manual_seed(seed))]
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert len(orders[0]) == len(Batches(split, 32, torch.Generator())) == 31


def test_accuracy_counts_and_leaves_the_mode_alone():
    split = load_images("digits").test
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).train()
    nn.init.zeros_(network[1].weight), nn.init.zeros_(network[1].bias)
    with torch.no_grad():
        network[1].bias[3] = 1
    assert accuracy(network, split) == pytest.approx(float((split.labels == 3).float().mean()))
    assert network.training


def test_lenet5_costs_what_is_published():
    network = lenet5()
    assert cost.synapses(network) == 431_080
    by_hand = 20 * 25 * 24 * 24 + 50 * 20 * 25 * 8 * 8 + 800 * 500 + 500 * 10
    assert cost.macs(network, torch.zeros(3, 1, 28, 28)) == by_hand
    assert cost.architecture(network)["fc1"] == [500, 800]
