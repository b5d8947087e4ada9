"""Stress acts on every kind of cluster: what is silent is as if it had been removed."""

import nni
import pytest
import torch
from nni.compression.utils.evaluator import TorchEvaluator
from torch import nn

from nni_stress import StressPruner
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.direct_readings import read_directly
from nni_stress.graph.following.reference import difference, run_without
from nni_stress.hparams import STRESSORS
from nni_stress.utils.batches import answer, tensors_in
from tests.unit.graph.following.networks import CASES
from tests.unit.graph.following.test_contract import WAYS, made, plain, run
from tests.unit.pruning.test_pruner import same_masks

TYPES = {
    *("Linear", "Bilinear", "Embedding", "EmbeddingBag", "LSTM", "GRU", "RNN"),
    *(f"Conv{kind}{n}d" for kind in ("", "Transpose") for n in (1, 2, 3)),
    "MultiheadAttention",
}


def factors(pruner):
    """The factor of each cluster at present."""
    ((kind, values),) = pruner.stress_state()["phase"]["stressed"]
    assert kind == "StressedClusters"
    return values.clone()


def types_of(network):
    """Torch's types of the layers of a network."""
    kinds = {base.__name__ for m in network.modules() for base in type(m).__mro__}
    return sorted(kinds & TYPES)


def under_stress(network, inputs, steps, at_each_step, lr=0.0, runs=None, **more):
    """A pruner whose training calls a function after each step but the last."""

    def training(model, optimizer, training_step, lr_schedulers, max_steps, max_epochs):
        for step in range(runs or max_steps):
            optimizer.zero_grad()
            training_step(inputs, model).backward()
            optimizer.step()
            if step + 1 < (runs or max_steps):  # then the offspring is synthesized
                at_each_step(pruner)

    def loss(batch, model):
        output = plain(answer(model, batch))
        return sum(t.float().pow(2).mean() for t in tensors_in(output))

    traced = nni.trace(torch.optim.SGD)(network.parameters(), lr=lr)
    settings = {"stress_onset": 0.0, "stress_ramp": 0.0, "stress_peak": 1.0, **more}
    pruner = StressPruner(
        network, evaluator=TorchEvaluator(training, traced, loss), training_steps=steps, **settings
    )
    return pruner


@pytest.mark.parametrize(
    ("name", "attention"), [(name, attention) for name, attention in WAYS if CASES[name].groups]
)
def test_a_silent_cluster_is_as_if_removed(name, attention):
    network, inputs = made(name)
    twin, _ = made(name)
    graph = ClusterGraph(twin, inputs, attention)
    silent = []

    def compare(pruner):
        gone = {number for number, factor in enumerate(factors(pruner).tolist()) if not factor}
        silent.append(gone)
        wanted = plain(run_without(twin, graph.structure, gone, graph.inputs))
        assert difference(wanted, run(network, inputs)) < 1e-5

    pruner = under_stress(
        network,
        inputs,
        4,
        compare,
        config_list=[{"op_types": types_of(network)}],
        budget={"parameters": 0.6},
        example_input=inputs,
        attention=attention,
    )
    pruner.compress()
    assert any(silent)


def test_clusters_that_more_than_layers_read_are_found():
    for name, expected in (("operators.ReadTwice", 8), ("operators.SqueezeExcite", 0)):
        network, inputs = made(name)
        assert len(read_directly(network, ClusterGraph(network, inputs))) == expected


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6, 3)

    def forward(self, images):
        features = self.second(torch.relu(self.norm(self.first(images))))
        return self.head(torch.relu(features).mean((2, 3)))


HALF = {"config_list": [{"op_names": ["first", "second"], "sparse_ratio": 0.5}]}
IMAGES = torch.rand(4, 2, 9, 9)


@pytest.mark.parametrize("known", [True, False])
def test_attenuation_acts_behind_the_norm_and_wrappers_are_out_of_the_way(known):
    network = Small()
    network.norm.bias.data += 1.0
    twin = Small()
    seen = []

    def compare(pruner):
        assert network.first.weight is network.first._nni_wrapper.weight
        group = next(own for own in groups if own.layers == ("first",))
        factor = factors(pruner)[clusters[groups.index(group)]].float()
        assert 0 < float(factor.min()) < 1
        state = {name.replace("_nni_wrapper.", ""): v for name, v in network.state_dict().items()}
        state = {name: v for name, v in state.items() if not name.endswith("_mask")}
        twin.load_state_dict({name: state[name] for name in twin.state_dict()})
        twin.second.weight.data *= factor[:, None, None]
        last = factors(pruner)[clusters[groups.index(next(g for g in groups if g != group))]]
        twin.head.weight.data *= last.float()
        assert torch.allclose(twin.eval()(IMAGES), run(network, (IMAGES,)), atol=1e-6)
        seen.append(factor)

    graph = ClusterGraph(Small(), IMAGES)
    groups, clusters = graph.groups, graph.clusters
    under_stress(
        network,
        (IMAGES,),
        4,
        compare,
        stressor="attenuate",
        example_input=IMAGES if known else None,
        **HALF,
    ).compress()
    assert len(seen) == 3


def test_weakening_decays_what_reads_weak_clusters():
    network = Small()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    pruner = under_stress(
        network,
        (IMAGES,),
        20,
        lambda pruner: None,
        stressor="weaken",
        temperature=0.02,
        example_input=IMAGES,
        **HALF,
    )
    pruner.compress()
    pruner.unwrap_model()
    strength = before["first.weight"].abs().flatten(1).sum(1)
    ratio = (network.second.weight / before["second.weight"]).detach()
    assert torch.allclose(ratio[:, strength.argmax()], torch.ones(()), atol=1e-5)
    assert float(ratio[:, strength.argmin()].max()) < 0.02
    assert torch.equal(network.first.weight, before["first.weight"])
    assert torch.equal(network.norm.weight, before["norm.weight"])


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("strength", ["magnitude", "taylor"])
@pytest.mark.parametrize("stressor", STRESSORS)
def test_an_interrupted_training_goes_on_bit_for_bit(stressor, strength, known):
    """The coming offspring is drawn anew before and after the interruption."""
    more = {"stressor": stressor, "strength": strength, "lr": 0.1}
    more["example_input"] = IMAGES if known else None
    snapshots = []

    def keep(pruner):
        if pruner.stress_state()["phase"]["step"] == 12:
            state = pruner.stress_state()
            snapshots.append(torch.utils._pytree.tree_map(_cloned, state))

    torch.manual_seed(0)
    network = Small()
    again = Small()
    under = under_stress(network, (IMAGES,), 24, keep, **more, **HALF)
    _, masks = under.compress()
    resumed = []

    def resume(pruner):
        if not resumed:
            resumed.append(pruner)
            pruner.restore_stress(snapshots[0])

    # one step, which the snapshot overwrites, and twelve that are left
    second = under_stress(again, (IMAGES,), 24, resume, runs=13, **more, **HALF)
    _, masks_again = second.compress()
    under.unwrap_model()
    second.unwrap_model()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert same_masks(masks, masks_again)


def coming(pruner):
    """The scores of the coming offspring, by which its clusters are ranked."""
    return pruner.stress_state()["phase"]["coming"]["scores"]["first"]["weight"].flatten().clone()


NESTED = {"stressor": "nested_silence", "example_input": IMAGES, **HALF}


def test_nested_silence_keeps_the_strongest_also_beyond_the_coming_number():
    network = Small()
    graph = ClusterGraph(Small(), IMAGES)
    (clusters,) = (c for g, c in zip(graph.groups, graph.clusters) if g.layers == ("first",))
    weakest_first = network.first.weight.detach().abs().flatten(1).sum(1).argsort()
    numbers = []

    def look(pruner):
        active = factors(pruner)[clusters]
        numbers.append(int(active.sum()))
        assert active[weakest_first].bool().tolist() == [
            place >= 8 - numbers[-1] for place in range(8)
        ]

    more = {"temperature": 0.0, "stress_range": 1.0}
    under_stress(network, (IMAGES,), 60, look, **NESTED, **more).compress()
    assert set(numbers) == set(range(2, 9))


@pytest.mark.parametrize("stressor", ["nested_silence", "survival"])
def test_a_layer_never_falls_silent(stressor):
    config_list = [{"op_names": ["first", "second"], "sparse_ratio": 0.99}]
    graph = ClusterGraph(Small(), IMAGES)
    numbers = []

    def look(pruner):
        own = factors(pruner)
        numbers.append([int(own[list(clusters)].sum()) for clusters in graph.clusters])

    more = {"stressor": stressor, "stress_range": 1.0, "temperature": 0.01}
    under_stress(
        Small(), (IMAGES,), 40, look, config_list=config_list, example_input=IMAGES, **more
    ).compress()
    assert len(numbers) == 39 and min(min(own) for own in numbers) == 1


@pytest.mark.parametrize(("renewals", "expected"), [(0, []), (1, [21]), (3, [11, 21, 31])])
def test_the_coming_offspring_is_drawn_anew_at_equal_distances_as_strengths_change(
    renewals, expected
):
    network = Small()
    seen = []

    def strengthen(pruner):
        seen.append(coming(pruner))
        with torch.no_grad():
            network.first._nni_wrapper.weight.mul_(torch.rand(8, 1, 1, 1) + 0.5)

    pruner = under_stress(
        network, (IMAGES,), 41, strengthen, temperature=0.3, stress_renewals=renewals, **NESTED
    )
    _, masks = pruner.compress()
    changed = [step + 1 for step in range(1, 40) if not torch.equal(seen[step], seen[step - 1])]
    assert changed == expected
    survivors = masks["first"]["weight"].flatten(1).any(1)
    assert seen[-1][survivors].min() > seen[-1][~survivors].max()  # the last one is synthesized


def test_a_renewal_changes_nothing_as_long_as_strengths_stay():
    """Not even by chance, although draws are random at this temperature."""
    seen = []
    pruner = under_stress(
        Small(),
        (IMAGES,),
        41,
        lambda pruner: seen.append(coming(pruner)),
        temperature=0.5,
        stress_renewals=3,
        **NESTED,
    )
    pruner.compress()
    assert len(seen) == 40 and all(torch.equal(scores, seen[0]) for scores in seen)


def test_the_same_seed_gives_the_same_offspring_and_another_seed_another():
    def offspring(seed):
        torch.manual_seed(0)
        more = {"lr": 0.1, "temperature": 0.5, "strength": "taylor", "seed": seed}
        pruner = under_stress(Small(), (IMAGES,), 20, lambda pruner: None, **more, **NESTED)
        return pruner.compress()[1]

    assert same_masks(offspring(1), offspring(1))
    assert not all(same_masks(offspring(1), offspring(seed)) for seed in (2, 3, 4))


class Twins(nn.Module):
    """Two of the four hidden units are alike, and so are the other two, which are weaker."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 1)
        row = torch.tensor([1.0, 2.0, 3.0])
        self.first.weight.data = torch.stack([row, row, row / 4, row / 4])
        self.first.bias.data = torch.ones(4)
        self.second.weight.data.fill_(1.0)

    def forward(self, inputs):
        return self.second(torch.relu(self.first(inputs)))


@pytest.mark.parametrize("stressor", ["nested_silence", "attenuate"])
@pytest.mark.parametrize("ratio", [0.25, 0.75])
def test_a_cluster_that_is_often_silent_is_as_strong_as_its_twin_that_never_is(ratio, stressor):
    """The loss is linear, so that the effect of a cluster does not depend on others."""
    network, inputs = Twins(), torch.rand(6, 3)
    observed, silent = {}, []

    def training(model, optimizer, training_step, lr_schedulers, max_steps, max_epochs):
        for _ in range(max_steps):
            optimizer.zero_grad()
            training_step(inputs, model).backward()
            optimizer.step()
            phase = pruner.stress_state()["phase"]
            observed.update(phase["observer"]["strengths"]["first"])
            if phase["step"] < max_steps:
                silent.append(int((factors(pruner) == 0).sum()))

    traced = nni.trace(torch.optim.SGD)(network.parameters(), lr=0.0)
    pruner = StressPruner(
        network,
        [{"op_names": ["first"], "sparse_ratio": ratio}],
        TorchEvaluator(training, traced, lambda batch, model: model(batch).mean()),
        60,
        example_input=inputs,
        strength="taylor",
        temperature=0.3 if stressor == "attenuate" else 0.0,
        stressor=stressor,
        stress_range=0.0,
        stress_peak=0.5,
        stress_onset=0.0,
        stress_ramp=0.0,
    )
    pruner.compress()
    assert (stressor == "attenuate") or 0.3 < sum(map(bool, silent)) / 60 < 0.7
    first, twin, third, its_twin = observed["weight"].flatten().tolist()
    assert first == pytest.approx(twin, rel=1e-5) and third == pytest.approx(its_twin, rel=1e-5)
    assert first == pytest.approx(4 * third, rel=1e-5)


def _cloned(value):
    return value.clone() if isinstance(value, torch.Tensor) else value
