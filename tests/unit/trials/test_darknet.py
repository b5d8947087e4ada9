"""Darknet's .weights files, written here as its source reads them."""

import os
import struct
import tracemalloc

import numpy as np
import pytest
import torch
from torch import nn

from trials.models import yolov2
from trials.models.darknet import load_darknet

WIDTH = 0.0625
BACKBONE = 18  # convolutions of Darknet-19 without its classifier


def small(num_classes=3, **arguments):
    return yolov2(num_classes, WIDTH, anchors=2, **arguments).eval()


def write(path, convolutions, version=(0, 2, 0), seen=32_013_312):
    """Write a header, then the arrays of each convolution in Darknet's order."""
    with open(path, "wb") as file:
        file.write(
            struct.pack("<3i", *version) + struct.pack("<q" if version >= (0, 2, 0) else "<i", seen)
        )
        for arrays in convolutions:
            for array in arrays:
                file.write(array.astype("<f4").tobytes())


def random_convolutions(num_classes=3):
    """Random arrays of each convolution of a narrow yolov2-voc.cfg, in the order of a file.

    The passthrough is the 21st, after the two convolutions of the neck.
    """
    random = np.random.default_rng(0)
    plan = [
        (32, 3),
        (64, 3),
        (128, 3),
        (64, 1),
        (128, 3),
        (256, 3),
        (128, 1),
        (256, 3),
        (512, 3),
        (256, 1),
        (512, 3),
        (256, 1),
        (512, 3),
        (1024, 3),
        (512, 1),
        (1024, 3),
        (512, 1),
        (1024, 3),
        (1024, 3),
        (1024, 3),
        (64, 1),
        (1024, 3),
    ]
    inputs, convolutions = 3, []
    for index, (filters, size) in enumerate(plan):
        filters = int(filters * WIDTH)
        inputs = {20: int(512 * WIDTH), 21: int((4 * 64 + 1024) * WIDTH)}.get(index, inputs)
        statistics = [random.normal(size=filters) / 5 for _ in range(3)] + [
            random.uniform(0.2, 0.6, filters)
        ]
        convolutions.append(
            [
                *statistics,
                random.normal(size=(filters, inputs, size, size)) / np.sqrt(inputs * size**2),
            ]
        )
        inputs = filters
    outputs = 2 * (5 + num_classes)
    return [
        *convolutions,
        [
            random.normal(size=outputs),
            random.normal(size=(outputs, inputs, 1, 1)) / np.sqrt(inputs),
        ],
    ]


def forward_of_darknet(convolutions, images):
    """The layers of yolov2-voc.cfg by their formulas, with Darknet's reorg."""

    def layer(x, arrays):
        bias, scale, mean, variance, weight = (torch.from_numpy(array) for array in arrays)
        x = nn.functional.conv2d(x, weight, padding=weight.shape[-1] // 2)
        x = (x - mean.view(-1, 1, 1)) / (variance.view(-1, 1, 1) + 1e-5).sqrt() * scale.view(
            -1, 1, 1
        ) + bias.view(-1, 1, 1)
        return torch.where(x > 0, x, 0.1 * x)

    x = images.double()
    for index, arrays in enumerate(convolutions[:20]):
        if index in (1, 2, 5, 8, 13):
            fine = x
            x = nn.functional.max_pool2d(x, 2)
        x = layer(x, arrays)
    passed = layer(fine, convolutions[20])
    batch, channels, height, width = passed.shape
    memory = passed.reshape(batch, channels // 4, 2 * height, 2 * width)
    parts = [memory[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    moved = [part.reshape(batch, channels, height // 2, width // 2) for part in parts]
    bias, weight = (torch.from_numpy(array) for array in convolutions[22])
    x = layer(torch.cat([*moved, x], 1), convolutions[21])
    return nn.functional.conv2d(x, weight, bias)


@pytest.mark.parametrize("version", [(0, 1, 0), (0, 2, 0), (1, 0, 5)])
def test_a_network_with_loaded_weights_agrees_with_darknet(version, tmp_path):
    convolutions = random_convolutions()
    images = torch.randn(2, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    write(tmp_path / "some.weights", convolutions, version)
    network = small(darknet_reorg=True)
    header = load_darknet(network, tmp_path / "some.weights")
    assert (header.major, header.minor, header.revision, header.seen) == (*version, 32_013_312)
    expected = forward_of_darknet(convolutions, images)
    with torch.no_grad():
        plain = small()
        load_darknet(plain, tmp_path / "some.weights")
        exact, displaced = (
            float((model(images) - expected).abs().max() / expected.std())
            for model in (network, plain)
        )
    assert exact < 1e-5 and displaced > 1e-2  # the plain reorg takes other rows


def test_published_files_have_the_expected_size():
    """yolov2-voc.weights is of version 0.2, yolo.weights for COCO of version 0.1."""
    with torch.device("meta"):
        for num_classes, header, size in ((20, 20, 202_704_264), (80, 16, 203_934_260)):
            network = yolov2(num_classes)
            numbers = [
                *network.parameters(),
                *(buffer for name, buffer in network.named_buffers() if "running" in name),
            ]
            assert header + 4 * sum(values.numel() for values in numbers) == size


def test_the_backbone_is_loaded_from_a_file_of_other_classes_or_without_a_head(tmp_path):
    convolutions = random_convolutions(num_classes=7)
    write(tmp_path / "all.weights", convolutions)
    write(tmp_path / "backbone.weights", convolutions[:BACKBONE])
    for name in ("all.weights", "backbone.weights"):
        network = small()
        before = {key: value.clone() for key, value in network.state_dict().items()}
        load_darknet(network, tmp_path / name, backbone_only=True)
        after = network.state_dict()
        changed = {key for key in after if not torch.equal(before[key], after[key])}
        assert changed == {
            key for key in after if key.startswith(("fine", "coarse")) and "num_batches" not in key
        }
        last = convolutions[BACKBONE - 1]
        assert torch.equal(after["coarse.5.0.weight"], torch.from_numpy(last[4]).float())
        assert torch.equal(after["coarse.5.1.bias"], torch.from_numpy(last[0]).float())


def test_unsuitable_files_are_refused_and_the_network_stays_unchanged(tmp_path):
    file, network = tmp_path / "some.weights", small()
    before = {key: value.clone() for key, value in network.state_dict().items()}

    def refused(match, error=ValueError, **arguments):
        with pytest.raises(error, match=match) as caught:
            load_darknet(network, file, **arguments)
        assert "\n" not in str(caught.value)
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())

    refused("no weights file at", FileNotFoundError)
    file.write_bytes(b"short")
    refused(r"no \.weights file: a header has at least 16 bytes, but got 5")
    file.write_bytes(struct.pack("<4i", 0, 2, 0, 0))
    refused("a header of version 0.2 has 20 bytes, but got 16")
    file.write_bytes(b"some text that is no header")
    refused(r"no \.weights file: its version should be")
    write(file, random_convolutions(num_classes=20))
    refused("of a network with 50 outputs, .*but this one has 16; backbone_only=True")
    write(file, random_convolutions())
    whole = file.read_bytes()
    file.write_bytes(whole[:-2])
    refused("is too short: the network has")
    file.write_bytes(whole[: len(whole) // 3])
    refused("is too short: the network has")
    refused("is too short: the backbone has", backbone_only=True)
    file.write_bytes(whole + bytes(8))
    refused("is too long: the network has")
    os.truncate(file, 300_000_000)  # the rest is holes
    tracemalloc.start()
    refused("is too long: the network has")
    assert tracemalloc.get_traced_memory()[1] < 30_000_000
    tracemalloc.stop()
    file.unlink()
    os.mkfifo(file)
    refused("no weights file at", FileNotFoundError)
    file.unlink()
    file.write_bytes(whole[:1000] + struct.pack("<f", float("nan")) + whole[1004:])
    refused("is damaged: 1 of its numbers are not finite")
