"""Data sets of small grey images, and the accuracy and size of LeNet-5."""

import gzip
import os
import tracemalloc
from pathlib import Path

import pytest
import torch
from torch import nn

from nni_stress.graph import cost
from tests.helpers.folders import write_idx
from tests.helpers.limits import within
from trials.data import Batches, accuracy, load_images
from trials.models import lenet5


def test_digits_are_split_without_overlap():
    images = load_images("digits")
    assert [len(split.labels) for split in images] == [997, 400, 400]
    assert images.train.images.shape[1:] == (1, 28, 28)
    rows = [split.images.flatten(1) for split in images]
    different = [len(torch.unique(split, dim=0)) for split in rows]
    assert len(torch.unique(torch.cat(rows), dim=0)) == sum(different)


@pytest.mark.parametrize(
    ("name", "where", "compress"),
    [
        ("mnist", ".", True),
        ("fashion-mnist", ".", False),
        ("mnist", "MNIST/raw", False),
        ("fashion-mnist", "FashionMNIST/raw", False),
    ],
)
def test_idx_files_are_read_from_a_flat_folder_and_from_torchvisions(
    name, where, compress, tmp_path
):
    write_idx(tmp_path / where, compress)
    images = load_images(name, str(tmp_path))
    assert [len(split.labels) for split in images] == [22, 2, 6]
    everything = torch.cat([images.train.images, images.validation.images])
    assert float(everything.mean()) == pytest.approx(0, abs=1e-4)
    assert float(everything.std()) == pytest.approx(1, abs=1e-4)


def test_missing_and_damaged_data_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="data folder /nowhere does not exist"):
        load_images("mnist", "/nowhere")
    with pytest.raises(ValueError, match=r"data must be one of digits, .*but got 'cifar'"):
        load_images("cifar")
    with pytest.raises(FileNotFoundError, match=f"no mnist data in {tmp_path}"):
        load_images("mnist", str(tmp_path))
    write_idx(tmp_path, True, wrong=1)
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz is damaged"):
        load_images("mnist", str(tmp_path))
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (6, 28, 28))
    bomb = gzip.compress(header + bytes(200_000_000), 1)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"ubyte\.gz is damaged: .* 4704 bytes .* but it has more"):
        load_images("mnist", str(tmp_path))
    assert tracemalloc.get_traced_memory()[1] < 30_000_000
    tracemalloc.stop()
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    os.mkfifo(tmp_path / "train-labels-idx1-ubyte.gz")
    with within(), pytest.raises(ValueError, match=r"labels-idx1-ubyte\.gz .* but is a FIFO"):
        load_images("mnist", str(tmp_path))
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bgarbage")
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz is damaged"):
        load_images("mnist", str(tmp_path))


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").is_dir(),
    reason="dataset-fashion-mnist not installed",
)
def test_fashion_mnist_is_found_where_debian_installs_it():
    images = load_images("fashion-mnist")
    assert [len(split.labels) for split in images] == [55_000, 5_000, 10_000]


def test_large_files_are_decoded_once_and_then_mapped(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write_idx(tmp_path / "data", True, images=1400)
    data = str(tmp_path / "data")
    first = load_images("mnist", data)
    caches = sorted((tmp_path / "home" / ".cache" / "nni-stress" / "decoded").iterdir())
    assert len(caches) == 2
    with monkeypatch.context() as context:
        context.setattr("gzip.open", None)
        mapped = load_images("mnist", data)
    assert same(first, mapped)
    mapped.train.images.zero_()  # must not change the cache
    assert same(first, load_images("mnist", data))
    for path in caches:
        half = path.read_bytes()[:1000]
        path.unlink()  # the file itself is still mapped, and must not be written to
        path.write_bytes(half)
    assert same(first, load_images("mnist", data))  # damaged caches are made again
    assert sorted(caches[0].parent.iterdir()) == caches
    assert all(path.stat().st_size > 10**6 for path in caches)
    write_idx(tmp_path / "data", True, images=1500)
    assert len(load_images("mnist", data).train.labels) == 1375  # changed files are decoded again
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))  # no folder, so nothing can be cached
    assert len(load_images("mnist", data).train.labels) == 1375


def same(first, second):
    """Whether two data sets are equal."""
    tensors = [[tensor for split in data for tensor in split] for data in (first, second)]
    return all(torch.equal(a, b) for a, b in zip(*tensors))


def test_the_order_of_batches_depends_on_the_seed():
    split = load_images("digits").train
    orders = [
        [labels.tolist() for _, labels in Batches(split, 32, torch.Generator().manual_seed(seed))]
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert len(orders[0]) == len(Batches(split, 32, torch.Generator())) == 31


def test_accuracy_is_the_share_of_correct_answers_and_keeps_the_mode():
    split = load_images("digits").test
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).train()
    nn.init.zeros_(network[1].weight)
    nn.init.zeros_(network[1].bias)
    with torch.no_grad():
        network[1].bias[3] = 1
    assert accuracy(network, split) == pytest.approx(float((split.labels == 3).float().mean()))
    assert network.training


def test_lenet5_has_the_published_cost():
    network = lenet5()
    assert cost.synapses(network) == 431_080
    by_hand = 20 * 25 * 24 * 24 + 50 * 20 * 25 * 8 * 8 + 800 * 500 + 500 * 10
    assert cost.macs(network, torch.zeros(3, 1, 28, 28)) == by_hand
    assert cost.architecture(network)["fc1"] == [500, 800]
