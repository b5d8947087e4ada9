"""One trial's work, on scikit-learn's digits: what an offspring is made of, and what is recorded of it."""

import copy
import dataclasses

import pytest
import torch

from nni_stress import FusedAdam
from nni_stress.evolution.early_stopping import CHECKS
from nni_stress.evolution.selection import Rules, select
from nni_stress.graph import cost, serialization
from nni_stress.hparams import Arguments
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.lineage.trial_spec import TrialSpec
from nni_stress.trial.offspring import make_founder, make_offspring, stress_and_synthesize
from nni_stress.trial.training import Training
from nni_stress.utils.atomic_files import read_json
from trials.lenet5 import make_task
from trials.models import lenet5

QUICK = {"stress_epochs": 0.2, "recovery_epochs": 0.2, "candidates": 1}


@pytest.fixture(scope="module")
def task():
    return make_task("digits", None, 32, 1)


@pytest.fixture(scope="module")
def lineage(task, tmp_path_factory):
    lineage = Lineage(tmp_path_factory.mktemp("lineage"))
    make_founder(task, trial_spec(FOUNDER), lineage, None)
    return lineage


def trial_spec(uid, **changes):
    settings = {"other": None, "seed": 0, "arguments": {}, "origins": True, **changes}
    ancestor = settings.pop("ancestor", None if uid == FOUNDER else FOUNDER)
    return TrialSpec(uid, int(uid[1:4]), ancestor, **settings)


@pytest.mark.parametrize(("resource", "share"), [("parameters", 0.3), ("macs", 0.4)])
def test_the_environmental_factor_is_a_share_of_the_resource(task, lineage, resource, share):
    uid = f"g001-0{len(resource) % 10}"
    made = make_offspring(
        task,
        trial_spec(uid, resource=resource, arguments={**QUICK, "environmental_factor": share}),
        lineage,
    )
    founder = lineage.record(FOUNDER)
    used = (
        made.synapses / founder.synapses if resource == "parameters" else made.macs / founder.macs
    )
    assert (
        0.9 * share <= used <= share
    )  # a cluster of the small layers is some 2 % of the multiply-accumulates
    assert made.latency is None and made.efficiency == founder.synapses / made.synapses
    assert lineage.record(uid) == made and 0 <= made.untrained <= 1


def test_what_is_constrained_is_scarce_too_with_one_parent_and_with_two(task, lineage):
    quick = {**QUICK, "environmental_factor": 0.5, "temperature": 1.0}
    ones = [
        make_offspring(task, trial_spec(uid, arguments=quick, constrained={"macs": 0.5}), lineage)
        for uid in ("g001-40", "g001-41")
    ]
    two = make_offspring(
        task,
        trial_spec(
            "g002-40",
            ancestor="g001-40",
            other="g001-41",
            arguments=quick,
            constrained={"macs": 0.6},
        ),
        lineage,
    )
    founder = lineage.record(FOUNDER)
    for one in ones:
        assert one.macs <= 0.5 * founder.macs and one.synapses <= 0.5 * founder.synapses
    assert two.macs <= 0.6 * sum(one.macs for one in ones) / 2
    assert two.synapses <= 0.5 * sum(one.synapses for one in ones) / 2


def test_latency_is_recorded_where_it_matters(task, lineage):
    made = make_offspring(
        task,
        trial_spec("g001-50", latency=True, arguments={**QUICK, "environmental_factor": 0.1}),
        lineage,
    )
    assert (
        0 < made.latency < 1.5
    )  # measured beside the founder; a tenth of the synapses takes no longer, noise aside


def test_worth_moves_the_environment_towards_early_or_late_layers(task, lineage):
    """How many clusters of the first and the last hidden layer survive, as their worth changes."""
    kept = {}
    for early, late in ((1.0, 1.0), (100.0, 1.0), (1.0, 100.0)):
        founder = serialization.load(lineage.network_path(FOUNDER), task.network)
        arguments = Arguments(
            environmental_factor=0.2, early_worth=early, late_worth=late, temperature=0.0, **QUICK
        )
        shapes = cost.architecture(stress_and_synthesize(founder, task, arguments, 0))
        kept[early, late] = shapes["conv1"][0], shapes["fc1"][0]
    assert kept[100.0, 1.0][0] >= kept[1.0, 1.0][0] and kept[1.0, 100.0][1] > kept[1.0, 1.0][1]
    assert kept[100.0, 1.0] != kept[1.0, 100.0]


def test_much_redundancy_leaves_every_layer_the_same_share(task, lineage):
    founder = serialization.load(lineage.network_path(FOUNDER), task.network)
    before, after = cost.architecture(founder), {}
    for redundancy in (0.0, 20.0):
        arguments = Arguments(
            environmental_factor=0.2, redundancy=redundancy, temperature=0.0, **QUICK
        )
        ancestor = serialization.load(lineage.network_path(FOUNDER), task.network)
        small = cost.architecture(stress_and_synthesize(ancestor, task, arguments, 0))
        shares = [small[layer][0] / before[layer][0] for layer in ("conv1", "conv2", "fc1")]
        after[redundancy] = max(shares) / min(shares)
    assert after[20.0] < 1.2 < after[0.0]  # conv1 has 20 clusters: rounded to a twentieth


def test_an_offspring_of_two_parents_has_clusters_of_both_and_keeps_to_the_mean_of_their_resources(
    task, lineage
):
    uids = ("g001-80", "g001-81")
    ones = [
        make_offspring(
            task,
            trial_spec(uid, arguments={**QUICK, "environmental_factor": 0.3, "temperature": 10.0}),
            lineage,
        )
        for uid in uids
    ]
    made = make_offspring(
        task,
        trial_spec(
            "g002-80",
            ancestor=uids[0],
            other=uids[1],
            arguments={**QUICK, "environmental_factor": 0.5, "temperature": 0.0},
        ),
        lineage,
    )
    assert made.synapses == pytest.approx(0.5 * (ones[0].synapses + ones[1].synapses) / 2, rel=0.03)
    origins = [
        read_json(lineage.network_path(uid).with_name("origins.json")) for uid in (*uids, "g002-80")
    ]
    for layer, shape in made.architecture.items():
        first, second, child = (set(o[layer]) for o in origins)
        assert len(child) == shape[0] and child <= first | second
    child, first, second = (set(o["fc1"]) for o in (origins[2], origins[0], origins[1]))
    assert child - first and child - second  # of both
    assert made.other == uids[1] and lineage.record("g002-80") == made


def test_floor_and_multiple_hold(task, lineage):
    made = make_offspring(
        task,
        trial_spec(
            "g001-60", arguments={**QUICK, "environmental_factor": 0.3, "floor": 8, "multiple": 4}
        ),
        lineage,
    )
    sizes = {name: shape[0] for name, shape in made.architecture.items() if name != "fc2"}
    assert min(sizes.values()) >= 8 and all(size % 4 == 0 for size in sizes.values())


def test_the_same_seed_gives_the_same_offspring(task, lineage, tmp_path):
    made = []
    for folder in ("one", "two"):
        other = Lineage(tmp_path / folder)
        make_founder(task, trial_spec(FOUNDER), other, None)
        made.append(make_offspring(task, trial_spec("g001-00", arguments=QUICK), other))
    assert made[0]._replace(seconds={}) == made[1]._replace(seconds={})


def test_a_recovery_is_looked_at_evenly_and_its_seconds_are_told_apart(task, lineage):
    arguments = {**QUICK, "recovery_epochs": 0.4}
    made = make_offspring(task, trial_spec("g001-60", arguments=arguments), lineage)
    assert (
        len(made.curve) == CHECKS + 1
        and made.curve[0] == made.untrained
        and made.curve[-1] == made.validation
    )
    assert made.curve[-1] > made.curve[0] and made.forecast is None
    assert (
        set(made.seconds) == {"stress", "synthesis", "recovery", "evaluation", "overhead"}
        and min(made.seconds.values()) > 0
    )


def contested(task, folder, **rules):
    """A lineage in which any fidelity will do, with one offspring of a third of the synapses."""
    lineage = Lineage(folder)
    lineage.update_state(**Rules(generations=3, tolerance=1.0, **rules)._asdict())
    make_founder(task, trial_spec(FOUNDER), lineage, None)
    make_offspring(
        task,
        trial_spec("g001-00", arguments={**QUICK, "environmental_factor": 0.3}, early_ending=True),
        lineage,
    )
    return lineage


def test_an_offspring_that_cannot_survive_is_not_even_stressed(task, tmp_path):
    """A rival of its generation that is faithful, and more efficient than it will be, is there already."""
    lineage, arguments = contested(task, tmp_path), {**QUICK, "environmental_factor": 0.5}
    spared = make_offspring(
        task, trial_spec("g001-01", arguments=arguments, early_ending=True), lineage
    )
    whole = make_offspring(task, trial_spec("g001-02", arguments=arguments), lineage)
    other = make_offspring(
        task,
        trial_spec(
            "g001-03", arguments={**arguments, "environmental_factor": 0.2}, early_ending=True
        ),
        lineage,
    )
    rival, founder = lineage.record("g001-00"), lineage.record(FOUNDER)
    assert len(rival.curve) == len(whole.curve) == len(other.curve) == CHECKS + 1
    assert not {"stress", "recovery"} & set(spared.seconds) and spared.curve == [
        spared.untrained
    ] == [spared.validation]
    assert spared.forecast == pytest.approx(
        rival.validation
    ) and spared.efficiency == pytest.approx(whole.efficiency, rel=0.05)
    assert [
        one.uid
        for one in select(lineage.records()[1:], [founder], founder, Rules.of(lineage.read_state()))
    ] == ["g001-03"]


def test_where_constraints_decide_it_is_stressed_and_its_recovery_ends_early(task, tmp_path):
    """What it will use of the other resources is known only once it is there."""
    lineage, arguments = (
        contested(task, tmp_path, constraints={"macs": 1.0}),
        {**QUICK, "environmental_factor": 0.5},
    )
    ended = make_offspring(
        task, trial_spec("g001-01", arguments=arguments, early_ending=True), lineage
    )
    whole = make_offspring(task, trial_spec("g001-02", arguments=arguments), lineage)
    assert (
        ended.seconds["stress"] > 0 and ended.seconds["recovery"] < 0.5 * whole.seconds["recovery"]
    )
    assert (
        ended.curve == [ended.untrained] == [ended.validation]
        and ended.untrained < ended.forecast <= 2.0
    )


def test_what_is_not_finite_is_lost_with_its_reason(task, lineage):
    broken = dataclasses.replace(
        task, loss=lambda outputs, targets: task.loss(outputs, targets) * float("nan")
    )
    with pytest.raises(FloatingPointError, match="the training loss became nan"):
        make_offspring(broken, trial_spec("g001-70", arguments=QUICK), lineage)
    assert lineage.record("g001-70") is None


def test_in_bfloat16_offspring_are_as_good_and_their_synapses_float32(task, lineage, tmp_path):
    """Tolerance: a point of the validation fidelity; 400 images, so four of them."""
    made = {}
    for type in (None, torch.bfloat16):
        other = dataclasses.replace(task, autocast=type, founder_epochs=8)
        folder = Lineage(tmp_path / str(type))
        founder = make_founder(other, trial_spec(FOUNDER), folder, None)
        offspring = make_offspring(
            other, trial_spec("g001-00", arguments={**QUICK, "recovery_epochs": 4}), folder
        )
        network = serialization.load(folder.network_path("g001-00"), task.network)
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
        made[type] = founder.validation, offspring.validation, weights(network)
    one, other = made.values()
    assert other[0] > one[0] - 0.01 and other[1] > one[1] - 0.01
    assert one[2].shape != other[2].shape or not torch.equal(
        one[2], other[2]
    )  # it did compute otherwise


def test_the_fused_optimizer_takes_the_steps_of_adam():
    """Tolerance: what rounding in another order amounts to in twenty steps."""

    def trained(optimizer):
        torch.manual_seed(0)
        network = lenet5()
        task = dataclasses.replace(make_task("digits", None, 32, 1), optimizer=optimizer)
        training = Training(network, task, 20 / 31, 1e-3, seed=0)
        assert len(list(training)) == 20
        return weights(network)

    torch.testing.assert_close(trained(FusedAdam), trained(torch.optim.Adam), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (torch.contiguous_format, torch.channels_last),
        (torch.channels_last, torch.contiguous_format),
    ],
)
def test_a_training_goes_on_in_another_memory_format(before, after):
    """Tolerance: what rounding in another order amounts to in ten steps."""
    task = dataclasses.replace(
        make_task("digits", None, 32, 1),
        loader=lambda generator: (
            [(torch.rand(8, 1, 28, 28, generator=generator), torch.arange(8))] * 10
        ),
    )

    def fresh(memory_format):
        torch.manual_seed(0)
        network = lenet5().to(memory_format=memory_format)
        return network, Training(network, task, 2, 1e-3, seed=0)

    network, training = fresh(before)
    for _ in training:
        if training.step == 10:
            state = copy.deepcopy(training.state())
    other, resumed = fresh(after)
    resumed.restore(state)
    assert len(list(resumed)) == 10
    torch.testing.assert_close(weights(other), weights(network), rtol=0, atol=2e-5)


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
