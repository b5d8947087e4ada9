"""One trial on scikit-learn's digits: what the offspring is made of, and what is recorded."""

import copy
import dataclasses

import pytest
import torch

from nni_stress import FusedAdam
from nni_stress.evolution.early_stopping import CHECKS
from nni_stress.evolution.rules import Rules
from nni_stress.evolution.selection import select
from nni_stress.graph import cost, serialization
from nni_stress.hparams import Arguments
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.lineage.trial_spec import TrialSpec
from nni_stress.trial.founding import make_founder
from nni_stress.trial.offspring import make_offspring, stress_and_synthesize
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
    assert 0.9 * share <= used <= share  # a cluster of a small layer is about 2 % of the MACs
    assert made.latency is None and made.efficiency == founder.synapses / made.synapses
    assert lineage.record(uid) == made and 0 <= made.untrained <= 1


def test_the_record_says_how_an_offspring_was_chosen(task, lineage):
    arguments = {**QUICK, "environmental_factor": 0.1, "candidates": 12}
    made = make_offspring(task, trial_spec("g001-45", arguments=arguments), lineage)
    assert 1 < made.judged <= 12 and 0 < made.untrained_loss < 10
    assert lineage.record("g001-45") == made
    arguments["candidates"] = 1
    alone = make_offspring(task, trial_spec("g001-46", arguments=arguments), lineage)
    assert alone.judged is None and alone.untrained_loss is None


def test_constrained_resources_are_scarce_with_one_parent_and_with_two(task, lineage):
    quick = {**QUICK, "environmental_factor": 0.5, "temperature": 1.0}
    parents = [
        make_offspring(task, trial_spec(uid, arguments=quick, constrained={"macs": 0.5}), lineage)
        for uid in ("g001-40", "g001-41")
    ]
    child = make_offspring(
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
    for parent in parents:
        assert parent.macs <= 0.5 * founder.macs and parent.synapses <= 0.5 * founder.synapses
    assert child.macs <= 0.6 * sum(parent.macs for parent in parents) / 2
    assert child.synapses <= 0.5 * sum(parent.synapses for parent in parents) / 2


def test_latency_is_recorded_if_the_spec_says_so(task, lineage):
    made = make_offspring(
        task,
        trial_spec("g001-50", latency=True, arguments={**QUICK, "environmental_factor": 0.1}),
        lineage,
    )
    assert made.latency > 0


def test_worth_shifts_the_budget_towards_early_or_late_layers(task, lineage):
    """Compares the numbers of clusters that survive in the first and the last hidden layer."""
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
    before = cost.architecture(founder)
    after = {}
    for redundancy in (0.0, 20.0):
        arguments = Arguments(
            environmental_factor=0.2, redundancy=redundancy, temperature=0.0, **QUICK
        )
        ancestor = serialization.load(lineage.network_path(FOUNDER), task.network)
        small = cost.architecture(stress_and_synthesize(ancestor, task, arguments, 0))
        shares = [small[layer][0] / before[layer][0] for layer in ("conv1", "conv2", "fc1")]
        after[redundancy] = max(shares) / min(shares)
    assert after[20.0] < 1.2 < after[0.0]  # conv1 has 20 clusters: rounded to a twentieth


def test_an_offspring_of_two_parents_has_clusters_of_both_and_keeps_to_its_budget(task, lineage):
    uids = ("g001-80", "g001-81")
    parents = [
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
    assert made.synapses == pytest.approx(
        0.5 * (parents[0].synapses + parents[1].synapses) / 2, rel=0.03
    )
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


def test_a_recovery_is_checked_evenly_and_its_seconds_are_recorded(task, lineage):
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
    """A lineage in which any fidelity is faithful, with one offspring of 30 % of the synapses."""
    lineage = Lineage(folder)
    lineage.update_state(**Rules(generations=3, tolerance=1.0, **rules)._asdict())
    make_founder(task, trial_spec(FOUNDER), lineage, None)
    make_offspring(
        task,
        trial_spec("g001-00", arguments={**QUICK, "environmental_factor": 0.3}, early_ending=True),
        lineage,
    )
    return lineage


def test_an_offspring_that_cannot_survive_is_not_trained(task, tmp_path):
    """A faithful rival of its generation is already smaller than the offspring can become."""
    lineage = contested(task, tmp_path)
    arguments = {**QUICK, "environmental_factor": 0.5}
    skipped = make_offspring(
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
    rival = lineage.record("g001-00")
    founder = lineage.record(FOUNDER)
    assert len(rival.curve) == len(whole.curve) == len(other.curve) == CHECKS + 1
    assert not {"stress", "recovery"} & set(skipped.seconds) and skipped.curve == [
        skipped.untrained
    ] == [skipped.validation]
    assert skipped.forecast == pytest.approx(
        rival.validation
    ) and skipped.efficiency == pytest.approx(whole.efficiency, rel=0.05)
    assert [
        one.uid
        for one in select(lineage.records()[1:], [founder], founder, Rules.of(lineage.read_state()))
    ] == ["g001-03"]


def test_with_constraints_the_recovery_of_an_offspring_that_cannot_survive_ends(task, tmp_path):
    """Its use of constrained resources is known only after synthesis, so it is stressed."""
    lineage = contested(task, tmp_path, constraints={"macs": 1.0})
    arguments = {**QUICK, "environmental_factor": 0.5}
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


def test_a_loss_that_is_not_finite_ends_the_trial(task, lineage):
    broken = dataclasses.replace(
        task, loss=lambda outputs, targets: task.loss(outputs, targets) * float("nan")
    )
    with pytest.raises(FloatingPointError, match="the training loss became nan"):
        make_offspring(broken, trial_spec("g001-70", arguments=QUICK), lineage)
    assert lineage.record("g001-70") is None


@pytest.mark.slow
def test_training_in_bfloat16_keeps_fidelity_and_float32_synapses(task, lineage, tmp_path):
    """Tolerance: 0.01 of the validation fidelity, which is 4 of 400 images."""
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
    )  # the computation did differ


def test_the_fused_optimizer_takes_the_steps_of_adam():
    """Tolerance: rounding in another order, over 20 steps."""

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
def test_a_training_resumes_in_another_memory_format(before, after):
    """Tolerance: rounding in another order, over 10 steps."""
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
