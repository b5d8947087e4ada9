"""Modules in several places, and parameters that several modules have."""

import pytest
import torch
from torch import nn

from nni_stress import StressPruner


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(5, 8)
        self.first = self.second = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, values):
        return self.head(self.second(self.first(self.stem(values).relu()).relu()))


class LanguageModel(nn.Module):
    """Embedding and output layer share their weight."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20, 16)
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 20, bias=False)
        self.head.weight = self.words.weight

    def forward(self, words):
        stream = self.words(words)
        return self.head(self.norm(stream + self.down(self.up(stream).relu())))


class Pair(nn.Module):
    """Two layers share their weight."""

    def __init__(self):
        super().__init__()
        self.stem, self.one, self.other = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.other.weight = self.one.weight
        self.head = nn.Linear(8, 3)

    def forward(self, values):
        return self.head(self.other(self.one(self.stem(values).relu()).relu()))


CASES = {
    "a module in two places": (Twice, torch.rand(4, 5), ["Linear"], ("first", "second")),
    "tied embedding": (LanguageModel, torch.arange(8).view(2, 4), ["Linear"], ("words", "head")),
    "both named": (
        LanguageModel,
        torch.arange(8).view(2, 4),
        ["Linear", "Embedding"],
        ("words", "head"),
    ),
    "two layers": (Pair, torch.rand(4, 5), ["Linear"], ("one", "other")),
}


@pytest.mark.parametrize("mode", ["budget", "ratio"])
@pytest.mark.parametrize("case", CASES)
def test_what_is_one_stays_one(case, mode):
    make, inputs, types, (one, other) = CASES[case]
    torch.manual_seed(0)
    network = make()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(inputs).square().mean().backward()
    optimizer.step()
    config = {"op_types": types}
    arguments = {"budget": {"macs": 0.5}, "example_input": inputs}
    if mode == "ratio":
        config, arguments = {**config, "sparse_ratio": 0.5}, {}
    pruner = StressPruner(network, [config], temperature=0, **arguments)
    pruner.compress()
    masked = network(inputs)
    masked.sum().backward()  # while wrapped, too, there is one parameter
    small = pruner.synthesize(inputs, optimizer)
    assert torch.allclose(small(inputs), masked, atol=1e-5)
    assert small.get_submodule(one).weight is small.get_submodule(other).weight
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert trained == {id(p) for p in small.parameters()}
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in make().parameters())


def of_numpy(tensor, folder):
    return torch.from_numpy(tensor.numpy())


def of_a_file(tensor, folder):
    file = folder / str(len(list(folder.iterdir())))
    torch.save(tensor, file)
    return torch.load(file, mmap=True)


def of_several_processes(tensor, folder):
    return tensor.share_memory_()


def test_wrapped_and_unwrapped_the_parameters_are_the_models_own():
    network = Pair()
    own = dict(network.named_parameters(remove_duplicate=False))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    config = [{"op_types": ["Linear"], "exclude_op_names": ["head"], "sparse_ratio": 0.5}]
    pruner = StressPruner(network, config)
    before = {name: tensor.detach().clone() for name, tensor in own.items()}
    network(torch.rand(4, 5)).square().sum().backward()
    optimizer.step()  # it was made before
    assert {id(parameter) for parameter in network.parameters()} == set(map(id, own.values()))
    pruner.unwrap_model()
    assert list(network.state_dict()) == list(own)
    for name, parameter in network.named_parameters(remove_duplicate=False):
        assert parameter is own[name] and not torch.equal(parameter, before[name])


@pytest.mark.parametrize("memory", [torch.clone, of_numpy, of_a_file, of_several_processes])
def test_weights_in_foreign_memory_are_pruned_and_left_alone(memory, tmp_path):
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    for parameter in network.parameters():
        own = parameter.data.clone()
        parameter.data = own.clone() if memory is torch.clone else memory(own, tmp_path)
    weights = [parameter.detach() for parameter in network[0].parameters()]
    before = [weight.clone() for weight in weights]
    inputs = torch.rand(3, 4)
    config = [{"op_names": ["0"], "sparse_ratio": 0.5}]
    pruner = StressPruner(network, config, example_input=inputs)
    _, masks = pruner.compress()
    masks["0"]["weight"].zero_()
    small = pruner.synthesize(inputs)
    assert small[0].weight.shape == (4, 4)
    assert all(map(torch.equal, weights, before))
