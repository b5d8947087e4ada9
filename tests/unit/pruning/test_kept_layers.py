"""What must stay: the network's outputs under any ratio, and the error where nothing can go."""

import copy
import logging

import pytest
import torch
from nni.compression.pruning import AGPPruner
from torch import nn
from torch.nn import functional

from nni_stress import StressPruner
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.output_layers import output_layers
from nni_stress.graph.synthesis import synthesize
from tests.helpers.pipelines import plain_evaluator

ALL = {"op_types": ["Conv1d", "Conv2d", "Conv3d", "Linear"], "sparse_ratio": 0.5}


class Residual(nn.Module):
    """Its output is the sum of two layers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(8, 4)
        self.shortcut = nn.Linear(6, 4)

    def forward(self, inputs):
        return functional.log_softmax(
            self.second(torch.relu(self.first(inputs))) + self.shortcut(inputs), dim=1
        )


class Heads(nn.Module):
    """A detector: a mapping of two outputs, one of them a part of a layer's."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.boxes = nn.Conv2d(8, 5, 1)
        self.scores = nn.Linear(8, 3)
        self.last = None

    def forward(self, images):
        features = torch.relu(self.norm(self.body(images)))
        self.last = features
        boxes = self.boxes(features)
        scores = self.scores(features.mean([2, 3]))
        return {"boxes": torch.sigmoid(boxes[:, :4]), "scores": scores}


class Gated(nn.Module):
    """torch.fx cannot trace the condition on a value."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, inputs):
        if inputs.sum() > -1000:
            inputs = self.first(inputs)
        return self.second(torch.relu(inputs))


NETWORKS = {
    "linear": (
        lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 10)),
        torch.rand(2, 6),
        {"2"},
    ),
    "softmax": (
        lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 10), nn.Softmax(1)),
        torch.rand(2, 6),
        {"2"},
    ),
    "fully convolutional": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 10, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        ),
        torch.rand(2, 1, 8, 8),
        {"3"},
    ),
    "signal": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 8, 3),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(8, 6, 1),
            nn.Flatten(),
            nn.Linear(18, 4),
        ),
        torch.rand(2, 2, 8),
        {"6"},
    ),
    "volume": (
        lambda: nn.Sequential(
            nn.Conv3d(1, 6, 3), nn.BatchNorm3d(6), nn.ReLU(), nn.AvgPool3d(2), nn.Conv3d(6, 4, 1)
        ),
        torch.rand(2, 1, 6, 6, 6),
        {"4"},
    ),
    "sum": (Residual, torch.rand(2, 6), {"second", "shortcut"}),
    "heads": (Heads, torch.rand(2, 1, 6, 6), {"boxes", "scores"}),
}


@pytest.fixture(params=NETWORKS)
def case(request):
    make, inputs, outputs = NETWORKS[request.param]
    torch.manual_seed(1)
    return make().eval(), inputs, outputs


def shapes(outputs):
    if isinstance(outputs, dict):
        return {name: value.shape for name, value in outputs.items()}
    return outputs.shape


def count(network):
    return sum(weight.numel() for weight in network.parameters())


def close(first, second):
    if isinstance(first, dict):
        return all(close(first[name], second[name]) for name in first)
    return torch.allclose(first, second, atol=1e-5)


def test_output_layers_are_found_without_an_input(case):
    network, inputs, outputs = case
    assert output_layers(network) == outputs
    assert getattr(network, "last", None) is None  # tracing leaves nothing behind
    graph = ClusterGraph(network, inputs)
    assert graph.output_layers == outputs


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.0}, {"sampling": "bernoulli"}])
def test_a_ratio_for_all_layers_keeps_the_outputs_and_warns(case, settings, caplog):
    network, inputs, outputs = case
    before = shapes(network(inputs))
    size = count(network)
    with caplog.at_level(logging.WARNING):
        pruner = StressPruner(network, [ALL], **settings)
    (warning,) = [each.getMessage() for each in caplog.records if "stay" in each.getMessage()]
    assert warning.startswith(f"{', '.join(sorted(outputs))}: all outputs stay")
    _, masks = pruner.compress()
    assert all(masks[name][target].all() for name in outputs for target in ("weight", "bias"))
    expected = pruner.bound_model.eval()(inputs)
    small = pruner.synthesize(inputs).eval()
    assert shapes(small(inputs)) == before and count(small) < 0.9 * size
    assert close(small(inputs), expected)  # masked equals cut


def test_a_budget_cuts_all_kinds_of_convolutions_as_if_they_were_masked(case):
    network, inputs, _ = case
    before, size = shapes(network(inputs)), count(network)
    layers = {"op_types": ALL["op_types"]}
    pruner = StressPruner(network, [layers], budget={"parameters": 0.6}, example_input=inputs)
    pruner.compress()
    expected = pruner.bound_model.eval()(inputs)
    small = pruner.synthesize(inputs).eval()
    assert shapes(small(inputs)) == before and count(small) <= 0.6 * size
    assert close(small(inputs), expected)


def test_training_under_stress_leaves_the_outputs_alone(caplog):
    network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 5))
    evaluator = plain_evaluator(network, draw=lambda: (torch.rand(8, 4), torch.rand(8, 5)))
    pruner = StressPruner(network, [ALL], evaluator, training_steps=6)
    pruner.compress()
    assert pruner.synthesize(torch.rand(2, 4))[2].out_features == 5


def test_an_output_layer_that_is_named_is_refused():
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 10))
    before = copy.deepcopy(network.state_dict())
    for names in (["0", "2"], ["2"]):
        with pytest.raises(ValueError, match="op_names names '2', whose outputs are those of the"):
            StressPruner(network, [{"op_names": names, "sparse_ratio": 0.5}])
    assert network(torch.rand(2, 6)).shape == (2, 10)  # unwrapped, and whole
    assert list(network.state_dict()) == list(before)
    StressPruner(network, [{"op_names": ["0"], "sparse_ratio": 0.5}]).compress()


def test_only_the_output_layer_selected_leaves_nothing_to_remove():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 10))
    with pytest.raises(ValueError, match="nothing can be removed: the config list names only 2"):
        StressPruner(network, [{"op_types": ["Linear"], "sparse_ratio": 0.5}])


@pytest.mark.parametrize(
    "config",
    [
        [{**ALL, "exclude_op_names": ["2"]}],
        [{"op_types": ["Linear"], "sparsity": 0.5}, {"op_names": ["2"], "exclude": True}],
    ],
)
def test_what_nni_excludes_needs_no_warning(config, caplog):
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 10))
    with caplog.at_level(logging.WARNING):
        pruner = StressPruner(network, config)
    assert not caplog.records
    pruner.compress()
    small = pruner.synthesize(torch.rand(2, 6))
    assert (small[0].out_features, small[2].out_features) == (4, 10)


def test_single_weights_of_the_output_layer_may_go():
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 10))
    by_synapse = StressPruner(copy.deepcopy(network), [ALL], encoding="synapse", temperature=0.0)
    _, masks = by_synapse.compress()
    assert int(masks["2"]["weight"].sum()) == 40
    inputs_only = [
        {"op_names": ["0"], "sparse_ratio": 0.5},
        {"op_names": ["2"], "sparse_ratio": 0.5, "granularity": "in_channel"},
    ]
    pruner = StressPruner(network, inputs_only, temperature=0.0)
    assert int(pruner.compress()[1]["2"]["weight"].sum()) == 40


def test_a_schedule_of_nnis_keeps_the_outputs():
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 10))
    evaluator = plain_evaluator(network, draw=lambda: (torch.rand(8, 6), torch.rand(8, 10)))
    pruner = AGPPruner(StressPruner(network, [ALL], evaluator), interval_steps=2, total_times=3)
    pruner.compress(max_steps=8, max_epochs=None)
    assert pruner.get_masks()["2"]["weight"].all()
    assert int(pruner.get_masks()["0"]["bias"].sum()) == 4


def test_where_the_outputs_are_only_found_with_an_input_they_are_kept_at_synthesis(caplog):
    network = Gated()
    assert output_layers(network) == set()
    pruner = StressPruner(network, [ALL])
    pruner.compress()
    with caplog.at_level(logging.WARNING):
        small = pruner.synthesize(torch.rand(2, 6))
    assert "second: all outputs stay" in caplog.text
    assert (small.first.out_features, small.second.out_features) == (4, 4)


def test_masks_of_another_pruner_cut_no_output_either():
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 10))
    rows = torch.tensor([1.0, 0.0] * 5)
    masks = {"2": {"weight": rows[:, None].expand(10, 8), "bias": rows}}
    assert synthesize(network, torch.rand(2, 6), masks)[2].out_features == 10


def transposed():
    return nn.Sequential(nn.ConvTranspose1d(1, 4, 3), nn.Flatten(), nn.Linear(32, 2))


@pytest.mark.parametrize(
    ("make", "shape", "config", "words"),
    [
        (
            lambda: nn.Sequential(nn.Linear(6, 2)),
            (2, 6),
            {},
            ["0 (Linear) reaches the network's output"],
        ),
        (lambda: nn.Linear(6, 2), (2, 6), {}, ["(Linear) reaches the network's output"]),
        (
            transposed,
            (2, 1, 6),
            {"op_types": ["Linear"]},
            [
                "0 (ConvTranspose1d) is not selected by the config of clusters",
                "2 (Linear) reaches",
            ],
        ),
        (
            lambda: nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 2)),
            (2, 6),
            {"op_types": ["Conv2d"]},
            ["0 (Linear) is not selected by the config of clusters", "1 (Linear) reaches"],
        ),
        (
            lambda: nn.Sequential(*[nn.Linear(6, 6) for _ in range(12)]),
            (2, 6),
            {"op_types": ["Conv2d"]},
            ["and 4 more layers"],
        ),
    ],
)
def test_a_budget_that_nothing_can_be_removed_for_is_refused(make, shape, config, words):
    network = make()
    with pytest.raises(ValueError, match="nothing of the network can be removed: ") as error:
        StressPruner(
            network,
            [{"op_types": ALL["op_types"], **config}],
            budget={"parameters": 0.5},
            example_input=torch.rand(shape),
        )
    assert not [each for each in words if each not in str(error.value)], str(error.value)
    assert "\n" not in str(error.value)
    assert list(network.state_dict()) == list(make().state_dict())  # unwrapped again
