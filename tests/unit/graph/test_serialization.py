import json
import os
import re

import pytest
import safetensors.torch
import torch
from nni.compression.speedup import ModelSpeedup
from torch import nn

import nni_stress
from nni_stress import StressPruner
from nni_stress.exceptions import DamagedFileError
from trials.models import lenet5


class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, groups=16),
            nn.ReLU(),
            nn.Conv2d(16, 8, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 4),
        )

    def forward(self, images):
        return self.layers(images)


@pytest.mark.parametrize(
    ("factory", "shape", "last"), [(lenet5, (1, 28, 28), "fc2"), (Grouped, (3, 12, 12), "layers.8")]
)
def test_a_small_network_is_loaded_with_its_shapes(factory, shape, last, tmp_path):
    torch.manual_seed(0)
    network = factory().eval()
    images = torch.rand(4, *shape)
    config = [{"op_types": ["Conv2d", "Linear"], "sparse_ratio": 0.5, "exclude_op_names": [last]}]
    pruner = StressPruner(network, config, temperature=0)
    _, masks = pruner.compress()
    pruner.unwrap_model()
    small = ModelSpeedup(network, images, masks).speedup_model()
    nni_stress.save(small, tmp_path / "network.safetensors")
    again = nni_stress.load(tmp_path / "network.safetensors", factory).eval()
    assert torch.equal(again(images), small(images))
    assert repr(again) == repr(small)
    assert sum(p.numel() for p in again.parameters()) < sum(
        p.numel() for p in factory().parameters()
    )


@pytest.mark.parametrize(
    "memory_format",
    [torch.contiguous_format, torch.channels_last],
    ids=["contiguous", "channels last"],
)
def test_a_loaded_network_has_the_memory_format_of_its_factory(memory_format, tmp_path):
    network = lenet5().to(memory_format=torch.channels_last)
    images = torch.rand(4, 1, 28, 28)
    nni_stress.save(network, tmp_path / "network.safetensors")
    again = nni_stress.load(
        tmp_path / "network.safetensors", lambda: lenet5().to(memory_format=memory_format)
    )
    assert again.conv1(images).is_contiguous(memory_format=memory_format)
    assert torch.allclose(again(images), network(images), atol=1e-6)


class Tied(nn.Module):
    """One weight has two names, one layer is in two places, and a buffer is computed."""

    def __init__(self, width=8):
        super().__init__()
        self.words = nn.Embedding(11, width)
        self.first = self.second = nn.Linear(width, width)
        self.head = nn.Linear(width, 11, bias=False)
        self.head.weight = self.words.weight
        self.register_buffer("scale", torch.arange(1.0, width + 1), persistent=False)

    def forward(self, words):
        return self.head(self.second(torch.relu(self.first(self.words(words)))) * self.scale)


def test_what_is_one_tensor_is_one_in_the_loaded_network(tmp_path):
    torch.manual_seed(0)
    network, words = Tied(), torch.randint(11, (2, 5))
    config = [{"op_names": ["first"]}]
    pruner = StressPruner(network, config, budget={"parameters": 0.5}, example_input=words)
    pruner.compress()
    small = pruner.synthesize(words)
    nni_stress.save(small, tmp_path / "network.safetensors")
    again = nni_stress.load(tmp_path / "network.safetensors", Tied)
    assert again.head.weight is again.words.weight and again.first is again.second
    assert torch.equal(again(words), small(words))
    assert len(again.scale) == again.first.in_features < 8

    small.head.weight = nn.Parameter(small.head.weight + 1)  # what the user has untied stays so
    nni_stress.save(small, tmp_path / "network.safetensors")
    again = nni_stress.load(tmp_path / "network.safetensors", Tied)
    assert again.head.weight is not again.words.weight
    assert torch.equal(again(words), small(words))


def test_integers_of_a_file_only_make_a_network_smaller(tmp_path):
    """Sizes in a file are taken, but no others than the factory's network has."""
    file = tmp_path / "network.safetensors"
    metadata = {"fc2": {"forward": 1, "nowhere": 7}, "conv1": {"stride.0": 10**9, "padding.0": 9}}
    safetensors.torch.save_file(lenet5().state_dict(), file, {"nni_stress": json.dumps(metadata)})
    network = nni_stress.load(file, lenet5)
    assert vars(network.conv1).keys() == vars(lenet5().conv1).keys()
    assert network.conv1.stride == lenet5().conv1.stride
    assert network.conv1.padding == lenet5().conv1.padding
    assert "forward" not in vars(network.fc2)


def test_an_error_names_a_file_without_this_network(tmp_path):
    file = tmp_path / "network.safetensors"
    with pytest.raises(FileNotFoundError, match="no network file at"):
        nni_stress.load(file, lenet5)
    file.write_bytes(b"garbage")
    with pytest.raises(ValueError, match="damaged or not a network file"):
        nni_stress.load(file, lenet5)
    nni_stress.save(lenet5(), file)
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="damaged or not a network file"):
        nni_stress.load(file, lenet5)
    nni_stress.save(nn.Linear(2, 2), file)
    with pytest.raises(ValueError, match="holds another network"):
        nni_stress.load(file, lenet5)
    tensors = {**lenet5().state_dict(), "fc2.bias": torch.zeros(2, 5)}
    safetensors.torch.save_file(tensors, file)
    with pytest.raises(ValueError, match=r"tensor fc2\.bias should be 1-dimensional"):
        nni_stress.load(file, lenet5)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("[1]", "its shapes must be a mapping of layers"),
        ("3", "its shapes must be a mapping of layers"),
        ('{"fc2": [3]}', "layer 'fc2' cannot have the shape"),
        ('{"nowhere": {}}', "layer 'nowhere' cannot have the shape"),
        ('{"fc2": {"out_features": {"a": 1}}}', "cannot have out_features"),
        ('{"fc2": {"out_features": true}}', "cannot have out_features"),
        ('{"fc2": {"num_features": 3}}', "cannot have num_features"),
        ('{"conv1": {"stride.0": 0}}', "cannot have stride.0 = 0"),
        ('{"conv1": {"stride.0": "2"}}', "cannot have stride.0 = '2'"),
        ('{"fc2": {"out_features": 9}}', "must have the shape [9, 500]"),
        ('{"conv1": {"out_channels": 1000000000}}', "cannot have out_channels = 1000000000"),
        ('{"conv2": {"groups": 3}}', "must be a multiple of its groups"),
        ("[" * 100_000, "nested 64 deep"),
        ("{" * 3, "damaged or not a network file"),
        ('{"fc2": {"out_features": ' + "9" * 5000 + "}}", "at most 100 digits"),
    ],
)
def test_metadata_must_be_those_of_the_tensors(metadata, words, tmp_path):
    file = tmp_path / "network.safetensors"
    safetensors.torch.save_file(lenet5().state_dict(), file, {"nni_stress": metadata})
    with pytest.raises(DamagedFileError, match=re.escape(words)) as error:
        nni_stress.load(file, lenet5)
    assert "\n" not in str(error.value) and str(file) in str(error.value)


def test_metadata_may_be_missing_only_if_no_layer_is_smaller(tmp_path):
    file = tmp_path / "network.safetensors"
    safetensors.torch.save_file(nn.Linear(3, 2).state_dict(), file)
    assert nni_stress.load(file, lambda: nn.Linear(3, 2)).out_features == 2
    with pytest.raises(DamagedFileError, match=r"weight must have the shape \[4, 8\] by in_feat"):
        nni_stress.load(file, lambda: nn.Linear(8, 4))


def test_a_file_of_holes_is_not_read(tmp_path):
    """Its header announces a weight of 6 GB, which the file has, and a bias to match."""
    file = tmp_path / "network.safetensors"
    numbers = 1_500_000_000
    weight = {"dtype": "F32", "shape": [numbers, 1], "data_offsets": [0, 4 * numbers]}
    metadata = {"nni_stress": json.dumps({"": {"out_features": numbers}})}
    header = json.dumps({"__metadata__": metadata, "weight": weight}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(file, 8 + len(header) + 4 * numbers)
    with pytest.raises(DamagedFileError, match=r"must have at most .* bytes, but has 6,000,000"):
        nni_stress.load(file, lambda: nn.Linear(1, 2, bias=False))
    file.write_bytes((10**12).to_bytes(8, "little") + header)
    with pytest.raises(DamagedFileError, match="its header must have at most"):
        nni_stress.load(file, lambda: nn.Linear(1, 2, bias=False))


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize(("factory", "shape"), [(lenet5, (1, 28, 28)), (Grouped, (3, 12, 12))])
def test_onnx_runtime_agrees_with_the_small_network(factory, shape, dynamic, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    network = factory()
    images = torch.rand(1, *shape)
    pruner = StressPruner(
        network,
        [{"op_types": ["Conv2d", "Linear"]}],
        budget={"parameters": 0.4},
        example_input=images,
    )
    pruner.compress()
    small = pruner.synthesize(images).train()
    file = tmp_path / "network.onnx"
    nni_stress.export_onnx(small, file, images, dynamic_batch=dynamic)
    assert small.training and [path.name for path in tmp_path.iterdir()] == ["network.onnx"]
    images = torch.rand(5 if dynamic else 1, *shape)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    assert torch.allclose(torch.from_numpy(answer), small.eval()(images), atol=1e-5)


def test_an_onnx_file_that_disagrees_is_not_written(tmp_path):
    pytest.importorskip("onnxruntime")

    class Forgetful(nn.Module):  # its output differs at every call, which no file can reproduce
        calls = 0

        def forward(self, images):
            self.calls += 1
            return images * self.calls

    with pytest.raises(ValueError, match="ONNX Runtime disagrees with the network"):
        nni_stress.export_onnx(Forgetful(), tmp_path / "network.onnx", torch.ones(2, 3))
    assert not list(tmp_path.iterdir())
