"""Wrong arguments give one clear line each and leave the network as it was."""

import pytest
import torch
from torch import nn

import nni_stress
from nni_stress import Screen, StressPruner
from tests.unit.pruning.test_pruner import evaluator
from trials.models import lenet5

IMAGES = torch.rand(4, 1, 28, 28)
INF = float("inf")
NAN = float("nan")


def ratio(**settings):
    return {"config_list": [{"op_names": ["conv2", "fc1"], **settings}]}


def budget(**arguments):
    return dict(
        config_list=[{"op_types": ["Conv2d", "Linear"]}],
        **{"budget": {"macs": 0.5}, "example_input": IMAGES, **arguments},
    )


WRONG = [
    # what is compressed
    ({"model": "lenet5"}, TypeError, "model must be a torch.nn.Module, but got 'lenet5'"),
    ({"model": None}, TypeError, "model must be a torch.nn.Module, but got None"),
    (
        {"config_list": {"op_names": ["fc1"], "sparse_ratio": 0.5}},
        TypeError,
        "config_list must be a list of mappings",
    ),
    (
        {"config_list": ["fc1"]},
        TypeError,
        "config_list must be a list of mappings, but got .'fc1'.",
    ),
    (
        {"config_list": []},
        ValueError,
        "no module of the model has a sparsity to reach under the config list",
    ),
    ({"config_list": [{}]}, ValueError, "NNI refuses the config list: .*Missing key: .*op_types"),
    (
        {"config_list": [{"op_types": ["Conv3d"], "sparse_ratio": 0.5}]},
        ValueError,
        "no module of the model",
    ),
    (
        {"config_list": [{"sparse_ratio": 0.5}]},
        ValueError,
        "NNI refuses the config list: .*Missing key",
    ),
    (
        {"config_list": [{"op_names": ["fc9"], "sparse_ratio": 0.5}]},
        ValueError,
        "op_names must name modules .* but got 'fc9'",
    ),
    (
        {"config_list": [{"op_names": "fc1", "sparse_ratio": 0.5}]},
        TypeError,
        "op_names must be a list of names, but got 'fc1'",
    ),
    (ratio(sparse_rate=0.5), ValueError, "NNI refuses the config list: .*Wrong key 'sparse_rate'"),
    (ratio(sparse_ratio=-0.1), ValueError, r"sparse_ratio must lie in \[0, 1\], but got -0.1"),
    (ratio(sparse_ratio=1.1), ValueError, r"sparse_ratio must lie in \[0, 1\], but got 1.1"),
    (ratio(sparse_ratio=NAN), ValueError, r"sparse_ratio must lie in \[0, 1\], but got nan"),
    (ratio(sparse_ratio="half"), TypeError, "sparse_ratio must be a number, but got 'half'"),
    (ratio(sparse_ratio=None), TypeError, "sparse_ratio must be a number, but got None"),
    (ratio(sparse_ratio=True), TypeError, "sparse_ratio must be a number, but got True"),
    (ratio(sparse_threshold="low"), TypeError, "sparse_threshold must be a number, but got 'low'"),
    (ratio(sparse_threshold=NAN), ValueError, "sparse_threshold must be finite, but got nan"),
    (
        ratio(sparse_ratio=0.5, max_sparse_ratio=2),
        ValueError,
        r"max_sparse_ratio must lie in \[0, 1\], but got 2",
    ),
    (
        ratio(sparse_ratio=0.5, min_sparse_ratio=-1),
        ValueError,
        r"min_sparse_ratio must lie in \[0, 1\], but got -1",
    ),
    (
        ratio(sparse_ratio=0.5, min_sparse_ratio=0.8, max_sparse_ratio=0.2),
        ValueError,
        "must not exceed .* but got 0.8 and 0.2",
    ),
    (
        ratio(sparse_ratio=0.5, granularity="rows"),
        ValueError,
        "NNI refuses the config list: .*Key 'granularity'",
    ),
    (ratio(sparse_ratio=0.5, target_names=["gain"]), ValueError, "the config list names 'gain'"),
    (
        ratio(target_settings={"weight": {"sparse_ratio": 7}}),
        ValueError,
        r"sparse_ratio must lie in \[0, 1\], but got 7",
    ),
    ({"evaluator": 3}, TypeError, "evaluator must be one of NNI's evaluators or None, but got 3"),
    ({"existed_wrappers": 3}, TypeError, "existed_wrappers must be .* but got 3"),
    # length of the stress phase, and seed
    (
        {"training_steps": 0},
        ValueError,
        "training_steps must be a whole number of at least 1, but got 0",
    ),
    (
        {"training_steps": 1.5},
        ValueError,
        "training_steps must be a whole number of at least 1, but got 1.5",
    ),
    (
        {"training_steps": True},
        ValueError,
        "training_steps must be a whole number of at least 1, but got True",
    ),
    (
        {"steps_per_epoch": -1},
        ValueError,
        "steps_per_epoch must be a whole number of at least 1, but got -1",
    ),
    ({"seed": 1.5}, TypeError, "seed must be a whole number, but got 1.5"),
    ({"seed": "one"}, TypeError, "seed must be a whole number, but got 'one'"),
    # genetics and stress
    ({"gain": 1}, ValueError, "unknown stress parameter 'gain'; known are temperature, strength"),
    ({"temperature": -1}, ValueError, r"temperature must lie in \[0, 10\], but got -1"),
    ({"temperature": NAN}, ValueError, "temperature must lie in .* but got nan"),
    ({"temperature": "hot"}, TypeError, "temperature must be a number, but got 'hot'"),
    (
        {"strength": "weight"},
        ValueError,
        "strength must be one of magnitude, l2, taylor, or registered by you .*, but got 'weight'",
    ),
    ({"sampling": "once"}, ValueError, "sampling must be one of exact, bernoulli, but got 'once'"),
    (
        ratio(sparse_ratio=0.5, internal_metric_block=2) | {"sampling": "bernoulli"},
        ValueError,
        "internal_metric_block=2",
    ),
    (
        {"encoding": "layer"},
        ValueError,
        "encoding must be one of cluster, synapse, but got 'layer'",
    ),
    ({"synapse_sparsity": 1.0}, ValueError, r"synapse_sparsity must lie in \[0, 1\), but got 1.0"),
    ({"stressor": "shout"}, ValueError, "stressor must be one of attenuate.* but got 'shout'"),
    ({"stress_peak": 2}, ValueError, r"stress_peak must lie in \[0, 1\], but got 2"),
    ({"stress_peak": INF}, ValueError, "stress_peak must lie in .* but got inf"),
    ({"stress_onset": "late"}, TypeError, "stress_onset must be a number, but got 'late'"),
    ({"stress_ramp": 1.5}, ValueError, r"stress_ramp must lie in \[0, 1\], but got 1.5"),
    ({"stress_plateau": -1}, ValueError, "stress_plateau must lie in .* but got -1"),
    (
        {"stress_shape": "square"},
        ValueError,
        "stress_shape must be one of linear, cubic, cosine, but got 'square'",
    ),
    (
        {"stress_unit": "hours"},
        ValueError,
        "stress_unit must be one of share, steps, epochs, but got 'hours'",
    ),
    (
        {"stress_unit": "epochs"},
        ValueError,
        "stress_unit='epochs' needs steps_per_epoch, but got none",
    ),
    (
        {"stress_overrides": {"fc1": {"stress_unit": "epochs"}}},
        ValueError,
        "stress_unit='epochs' needs steps_per_epoch, but got none",
    ),
    ({"stress_overrides": 3}, TypeError, "stress_overrides must be .* but got 3"),
    (
        {"stress_overrides": {"fc1": 3}},
        TypeError,
        "stress_overrides of 'fc1' must be .* but got 3",
    ),
    ({"stress_overrides": {"fc(": {}}}, ValueError, r"'fc\(' is not a valid regular expression"),
    (
        {"stress_overrides": {"fc7": {"stress_peak": 0.1}}},
        ValueError,
        "'fc7' matches none of conv2, fc1",
    ),
    (
        {"stress_overrides": {"fc1": {"stress_peak": 7}}},
        ValueError,
        "stress_peak must lie in .* but got 7",
    ),
    (
        {"stress_overrides": {"fc1": {"stress_peek": 0.1}}},
        ValueError,
        "unknown stress parameter 'stress_peek'",
    ),
    (
        {"stress_overrides": {"fc1": {"temperature": 1}}},
        ValueError,
        "only stress settings .* but got 'temperature'",
    ),
    (
        {"stress_overrides": {"fc1": {"stress_renewals": 1}}},
        ValueError,
        "only stress settings .* but got 'stress_renewals'",
    ),
    ({"stress_range": 1.5}, ValueError, r"stress_range must lie in \[0, 1\], but got 1.5"),
    ({"stress_renewals": 0.5}, ValueError, "stress_renewals must be a whole number, but got 0.5"),
    # budget
    (
        budget(budget={"watts": 0.5}),
        ValueError,
        "budget must be .* of parameters, macs, latency, but got {'watts': 0.5}",
    ),
    (budget(budget=0.5), ValueError, "budget must be {resource: share} .* but got 0.5"),
    (budget(budget={}), ValueError, "budget must be {resource: share} .* but got {}"),
    (
        budget(budget={"latency": 0.5, "macs": 0.5}),
        ValueError,
        "a budget of latency stands alone, .* but got {'latency': 0.5, 'macs'",
    ),
    (
        budget(budget={"parameters": 0.5, "macs": 0}),
        ValueError,
        r"share in \(0, 1\], but got 0 of macs",
    ),
    (budget(budget={"parameters": 0}), ValueError, r"share in \(0, 1\], but got 0 of parameters"),
    (budget(budget={"macs": 1.5}), ValueError, "but got 1.5 of macs"),
    (budget(budget={"macs": "half"}), ValueError, "but got 'half' of macs"),
    (
        budget(example_input=None),
        ValueError,
        "a budget needs example_input, to follow the network, but got none",
    ),
    (budget(example_input="image"), ValueError, "the network cannot be followed"),
    (
        budget(example_input=torch.rand(2, 3, 28, 28)),
        ValueError,
        "the network cannot be followed: .* got 3 channels",
    ),
    (
        budget(encoding="synapse"),
        ValueError,
        "a budget needs encoding='cluster'.* but got encoding='synapse'",
    ),
    (
        ratio(sparse_ratio=0.5) | {"budget": {"macs": 0.5}, "example_input": IMAGES},
        ValueError,
        "without sparse_ratio",
    ),
    (budget(floor=0), ValueError, "floor must be a whole number of at least 1, but got 0"),
    (
        budget(multiple=1.5),
        ValueError,
        "multiple must be a whole number of at least 1, but got 1.5",
    ),
    # screening
    (
        {"candidates": 5},
        ValueError,
        "candidates=5 needs a budget .* but got budget=None and a screen of NoneType",
    ),
    (
        budget(candidates=5),
        ValueError,
        "candidates=5 needs .* a Screen to judge on, but got .* a screen of NoneType",
    ),
    (
        budget(candidates=5, screen=IMAGES),
        ValueError,
        "a Screen to judge on, but got .* a screen of Tensor",
    ),
    (
        budget(candidates=0),
        ValueError,
        "candidates must be a whole number of at least 1, but got 0",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "words"), WRONG)
def test_wrong_arguments_are_named_and_leave_the_network_alone(arguments, error, words):
    network = lenet5()
    parameters = dict(network.named_parameters())
    given = {"model": network, **ratio(sparse_ratio=0.5), **arguments}
    with pytest.raises(error, match=words) as caught:
        StressPruner(
            given.pop("model"), given.pop("config_list"), given.pop("evaluator", None), **given
        )
    assert "\n" not in str(caught.value)
    assert all(parameter is parameters[name] for name, parameter in network.named_parameters())
    assert not any(hasattr(module, "_nni_wrapper") for module in network.modules())


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        ({}, {}, "the length of the stress phase must be given"),
        ({}, {"max_steps": 0}, "max_steps must be a whole number of at least 1, but got 0"),
        (
            {},
            {"max_steps": "many"},
            "max_steps must be a whole number of at least 1, but got 'many'",
        ),
        (
            {},
            {"max_epochs": -2},
            "max_epochs must be a whole number of at least 1, but got -2",
        ),
        (
            {},
            {"max_epochs": 2},
            r"compress\(max_epochs=2\) needs steps_per_epoch, but got none",
        ),
    ],
)
def test_the_length_of_the_stress_phase_must_be_known(arguments, given, words):
    network = lenet5()
    pruner = StressPruner(
        network, **ratio(sparse_ratio=0.5), evaluator=evaluator(network), **arguments
    )
    with pytest.raises(ValueError, match=words):
        pruner.compress(**given)


def test_training_needs_an_evaluator():
    with pytest.raises(
        ValueError, match="training under stress needs an evaluator, but got max_steps=3"
    ):
        StressPruner(lenet5(), **ratio(sparse_ratio=0.5)).compress(max_steps=3)
    with pytest.raises(
        ValueError, match=r"strength='taylor' is gathered .* needs an evaluator, but got none"
    ):
        StressPruner(lenet5(), **ratio(sparse_ratio=0.5), strength="taylor").compress()


@pytest.mark.parametrize(
    ("inputs", "targets", "words"),
    [
        (torch.rand(3, 1), torch.rand(2), "as many targets as inputs, but got 2 and 3"),
        (torch.rand(0, 1), torch.rand(0), "but got 0 and 0"),
    ],
)
def test_a_screen_needs_examples(inputs, targets, words):
    with pytest.raises(ValueError, match=words):
        Screen(inputs, targets, nn.functional.mse_loss)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("arguments", [ratio(sparse_ratio=0.5), budget()])
def test_weights_that_are_not_finite_are_refused_by_name(arguments, value):
    network = lenet5()
    network.conv2.weight.data[3, 0, 0, 0] = value
    with pytest.raises(
        ValueError,
        match=r"conv2\.weight must be finite to be drawn from, but holds NaN or infinite values",
    ):
        StressPruner(network, **arguments).compress()


@pytest.mark.parametrize("nothing", [0, 0.0])
def test_a_ratio_of_0_changes_nothing(nothing):
    network = lenet5().eval()
    answer = network(IMAGES)
    pruner = StressPruner(network, **ratio(sparse_ratio=nothing))
    _, masks = pruner.compress()
    assert all(mask.all() for targets in masks.values() for mask in targets.values())
    assert torch.equal(pruner.synthesize(IMAGES)(IMAGES), answer)


@pytest.mark.parametrize("all_of_it", [1, 1.0])
@pytest.mark.parametrize("encoding", ["cluster", "synapse"])
def test_a_ratio_of_1_leaves_every_layer_its_strongest(all_of_it, encoding):
    network = lenet5()
    strongest = network.conv2.weight.detach().flatten(1).abs().mean(1).argmax()
    _, masks = StressPruner(
        network, **ratio(sparse_ratio=all_of_it), encoding=encoding, temperature=0
    ).compress()
    for targets in masks.values():
        alive = targets["weight"].flatten(1).any(1)
        assert int(alive.sum()) == 1 and (encoding == "synapse" or int(targets["bias"].sum()) == 1)
        assert encoding == "cluster" or int(targets["weight"].sum()) == 1
    assert encoding == "synapse" or masks["conv2"]["weight"][strongest].all()


def test_a_budget_of_everything_changes_nothing():
    network = lenet5().eval()
    answer = network(IMAGES)
    pruner = StressPruner(network, **budget(budget={"parameters": 1}))
    pruner.compress()
    assert torch.equal(pruner.synthesize(IMAGES)(IMAGES), answer)


def test_epochs_are_steps_where_their_length_is_known():
    network = lenet5()
    trained = evaluator(network)
    pruner = StressPruner(network, **ratio(sparse_ratio=0.5), evaluator=trained, steps_per_epoch=3)
    pruner.compress(max_epochs=2)
    assert pruner._ancestor.phase.step == 6


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'StresPruner'"):
        nni_stress.StresPruner  # noqa: B018, it must raise
