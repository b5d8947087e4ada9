"""Every file of a network computes what the network does; its size and fidelity are recorded."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from nni_stress import Task, export_onnx
from nni_stress.deployment.export import export
from nni_stress.exceptions import ExportError
from nni_stress.graph import serialization
from nni_stress.lineage.store import Lineage, Record

FILES = ["network.safetensors", "network.onnx", "network.pt2", "network.int8.onnx"]


class Convolutional(nn.Module):
    """Norms have statistics, which a file in training mode would change."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.head = nn.Linear(8 * 9, 4)
        self.layers[1].running_mean.uniform_(-0.5, 0.5)
        self.layers[1].running_var.uniform_(0.5, 2)

    def forward(self, images):
        return self.head(self.layers(images).flatten(1))


class TwoInputs(nn.Module):
    """One input is not used, one output is none of a tensor, and there is a default."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 16), nn.Linear(3, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, left, unused, right, scale=1.0):
        both = self.left(left) + scale * self.right(right)
        hidden = torch.relu(both + torch.zeros(len(left), 16))  # its length is no constant
        return {"hidden": [hidden, None], "logits": self.head(hidden)}


class Transformer(nn.Module):
    """Its mask of -inf must not be quantized."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens, mask):
        hidden = self.encoder(self.embedding(tokens), src_key_padding_mask=~mask)
        return self.head((hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))


class OfFour(nn.Linear):
    """It takes batches of four examples only."""

    def forward(self, values):
        return super().forward(values.view(4, 6)).view(4, -1)


def images(count):
    return (torch.rand(count, 1, 8, 8),)


def pairs(count):
    return torch.rand(count, 6), torch.rand(count, 2), torch.rand(count, 3)


def sentences(count):
    lengths = torch.randint(3, 9, (count, 1))
    return torch.randint(20, (count, 8)), torch.arange(8) < lengths


def rows(count):
    return (torch.rand(count, 6),)


def logits_of(outputs):
    return outputs["logits"] if isinstance(outputs, dict) else outputs


def made(factory, examples, batch=100):
    """A network and its task: fidelity is the share of answers that are the network's own."""
    torch.manual_seed(0)
    network = factory().eval()
    splits = {}
    with torch.no_grad():
        for split in ("validation", "test"):
            parts = [examples(batch) for _ in range(100 // batch)]
            splits[split] = [(inputs, logits_of(network(*inputs)).argmax(1)) for inputs in parts]

    def fidelity(judged, split):
        device = next(judged.parameters()).device  # as many of the users' functions do
        with torch.no_grad():
            right = [
                logits_of(judged(*(one.to(device) for one in inputs))).argmax(1) == own
                for inputs, own in splits[split]
            ]
        return torch.cat(right).float().mean()

    task = Task(
        network=factory,
        example_input=examples(4),
        loader=lambda generator: splits["validation"],
        loss=nn.functional.cross_entropy,
        fidelity=fidelity,
        founder_epochs=1,
        founder_learning_rate=0.1,
        screening=splits["validation"][0],
    )
    return network, task, splits


def with_network(folder, network):
    lineage = Lineage(folder)
    record = Record("g000-00", 0, None, {}, 1.0, 1.0, 10, 20, 1.0, None, {}, {})
    lineage.add(record, lambda path: serialization.save(network, path))
    return lineage


def share_right(file, split):
    """The same fidelity, by ONNX Runtime alone."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (inputs, own), *_ = split
    names = [entry.name for entry in session.get_inputs()]
    outputs = session.run(None, {name: one.numpy() for name, one in zip(names, inputs)})
    return float((torch.from_numpy(outputs[-1]).argmax(1) == own).float().mean())


@pytest.mark.parametrize(
    ("factory", "examples"),
    [(Convolutional, images), (TwoInputs, pairs), (Transformer, sentences)],
)
def test_every_file_agrees_with_the_network_and_is_measured(factory, examples, tmp_path):
    onnx = pytest.importorskip("onnx")
    network, task, splits = made(factory, examples)
    lineage = with_network(tmp_path / "lineage", network)
    exported = export(lineage, tmp_path / "to", task, "g000-00", ("onnx", "pt2"), int8=True)
    assert list(exported.files) == FILES
    written = json.loads((tmp_path / "to" / "record.json").read_text())["files"]
    assert written == {name: file.as_json() for name, file in exported.files.items()}
    for name, file in exported.files.items():
        assert file.bytes == (tmp_path / "to" / name).stat().st_size
        assert file.milliseconds > 0 and file.relative > 0 and file.examples == 1
    assert exported.files["network.onnx"].difference < 1e-5

    inputs = examples(7)
    with torch.no_grad():
        expected = logits_of(network(*inputs))
        again = torch.export.load(tmp_path / "to" / "network.pt2").module()
        assert torch.allclose(logits_of(again(*inputs)), expected, atol=1e-6)

    small = exported.files["network.int8.onnx"]
    graph = onnx.load(tmp_path / "to" / "network.int8.onnx").graph
    assert any(one.data_type == onnx.TensorProto.INT8 for one in graph.initializer)
    assert small.difference > 1e-5 and small.calibration == "100 screening examples"
    for split, fidelity in (("validation", small.validation), ("test", small.test)):
        found = share_right(tmp_path / "to" / "network.int8.onnx", splits[split])
        assert fidelity == pytest.approx(found, abs=1e-6) and fidelity >= 0.85
    for name in FILES:  # whoever gets the file learns nothing of the code or the machine
        assert b"test_export.py" not in (tmp_path / "to" / name).read_bytes()


def test_a_network_that_takes_one_batch_size_is_exported_for_that(tmp_path):
    pytest.importorskip("onnxruntime")
    network, task, _ = made(lambda: OfFour(6, 5), rows, batch=4)
    task = replace(task, screening=None)
    lineage = with_network(tmp_path / "lineage", network)
    exported = export(lineage, tmp_path / "to", task, "g000-00", ("pt2",), int8=True)
    assert list(exported.files) == ["network.safetensors", "network.pt2", "network.int8.onnx"]
    assert {file.examples for file in exported.files.values()} == {4}
    small = exported.files["network.int8.onnx"]
    assert small.any_batch is False and small.validation > 0.8
    assert small.calibration == "100 training examples"
    with pytest.raises(ValueError, match="cannot follow the network for any batch size"):
        export_onnx(network, tmp_path / "network.onnx", task.example_input)
    assert not (tmp_path / "network.onnx").exists()


def test_a_fidelity_that_fails_costs_the_quantized_file_only(tmp_path):
    pytest.importorskip("onnxruntime")
    network, task, _ = made(lambda: nn.Linear(6, 5), rows)

    def fidelity(judged, split):
        return float(judged.weight.sum())

    lineage = with_network(tmp_path / "lineage", network)
    task = replace(task, fidelity=fidelity)
    with pytest.raises(ExportError, match=r"^not written: network.int8.onnx \(.*'weight'") as error:
        export(lineage, tmp_path / "to", task, "g000-00", (), int8=True)
    assert list(error.value.exported.files) == ["network.safetensors"]
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == [
        "ancestors.json",
        "network.safetensors",
        "record.json",
    ]
