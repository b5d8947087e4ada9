"""On a GPU: the offspring are those of a CPU, and stress never makes the host wait."""

import copy
from dataclasses import replace

import nni
import pytest
import torch
from nni.compression.utils.evaluator import TorchEvaluator
from torch.utils._pytree import tree_map

from nni_stress import FusedAdam, StressPruner, Task, export_onnx
from nni_stress.graph import cost, serialization
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.following.cutting import cut
from nni_stress.graph.following.reference import difference, run_without
from nni_stress.graph.verification import halves
from nni_stress.hparams import STRESSORS
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.resources import RESOURCES
from nni_stress.trial.founding import make_founder
from nni_stress.trial.offspring import make_offspring
from nni_stress.trial.placement import device_of, placed
from nni_stress.trial.training import train
from nni_stress.utils.batches import answer
from reports.contest.methods.base import Trial
from tests.helpers.pipelines import kept, named, plain_evaluator
from tests.unit.graph.following.networks import CASES
from tests.unit.pruning.test_pruner import config, network
from tests.unit.reports.contest.test_rivals import RIVALS
from tests.unit.trial.test_offspring import QUICK, trial_spec
from trials.lenet5 import make_task

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.fixture(scope="module")
def task():
    return placed(replace(make_task("digits", None, 32, 4), device="cuda"))


@pytest.fixture(scope="module")
def lineage(task, tmp_path_factory):
    lineage = Lineage(tmp_path_factory.mktemp("lineage"))
    make_founder(task, trial_spec(FOUNDER), lineage, None)
    return lineage


@pytest.mark.parametrize("strength", ["magnitude", "taylor"])
@pytest.mark.parametrize("stressor", STRESSORS)
def test_it_trains_and_prunes(stressor, strength):
    model = network().cuda()
    pruner = StressPruner(
        model,
        config(),
        plain_evaluator(model),
        4,
        stress_peak=1.0,
        stressor=stressor,
        strength=strength,
        temperature=0.3,
    )
    _, masks = pruner.compress()
    assert kept(masks, "conv2") == 25 and masks["conv2"]["weight"].is_cuda
    small = pruner.synthesize(torch.rand(2, 1, 28, 28, device="cuda"))
    assert (
        small.conv2.weight.is_cuda
        and small.conv2.out_channels == 25
        and small.fc1.out_features == 250
    )


@pytest.mark.parametrize(
    "arguments",
    [{}, {"sampling": "bernoulli"}, {"synapse_sparsity": 0.5}, {"encoding": "synapse"}],
)
def test_a_seed_means_the_same_on_every_device(arguments):
    def offspring(device):
        torch.manual_seed(0)
        return named(
            StressPruner(
                network().to(device), config(), temperature=0.3, seed=3, **arguments
            ).compress()[1]
        )

    here, there = offspring("cpu"), offspring("cuda")
    assert here.keys() == there.keys() and all(
        torch.equal(here[key], there[key].cpu()) for key in here
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"stressor": "nested_silence"},
        {"stressor": "silence"},
        {"stressor": "attenuate"},
        {"stressor": "survival"},
        {"stressor": "weaken"},
        {"stressor": "attenuate", "stress_ramp": 0.0},
        {"stressor": "nested_silence", "strength": "taylor"},
        {"stressor": "silence", "strength": "l2"},
    ],
)
def test_stress_never_waits_for_the_device(settings):
    """Except after the first step here, where strengths are computed and the offspring is drawn.

    It would wait at each renewal, too.
    """
    model = network().cuda()
    batch = (torch.rand(4, 1, 28, 28, device="cuda"), torch.randint(10, (4,), device="cuda"))

    def training(
        wrapped, optimizer, training_step, lr_schedulers=None, max_steps=None, max_epochs=None
    ):
        for step in range(max_steps):
            torch.cuda.set_sync_debug_mode("error" if 2 <= step < max_steps - 1 else "default")
            try:
                optimizer.zero_grad()
                training_step(batch, wrapped).backward()
                optimizer.step()
            finally:
                torch.cuda.set_sync_debug_mode("default")

    evaluator = TorchEvaluator(
        training,
        nni.trace(FusedAdam)(model.parameters(), lr=0.01),
        lambda batch, model: torch.nn.functional.cross_entropy(model(batch[0]), batch[1]),
    )
    _, masks = StressPruner(
        model,
        config(),
        evaluator,
        10,
        stress_peak=1.0,
        stress_onset=0.0,
        stress_renewals=0,
        temperature=0.3,
        **settings,
    ).compress()
    assert kept(masks, "conv2") == 25


def test_generations_with_one_parent_and_with_two(task, lineage, tmp_path):
    founder = lineage.record(FOUNDER)
    assert founder.validation > 0.8
    ones = [
        make_offspring(
            task,
            trial_spec(
                uid,
                latency=True,
                arguments={
                    **QUICK,
                    "environmental_factor": 0.3,
                    "temperature": 0.3,
                    "candidates": 30,
                    "recovery_epochs": 1.0,
                },
            ),
            lineage,
        )
        for uid in ("g001-00", "g001-01")
    ]
    two = make_offspring(
        task,
        trial_spec(
            "g002-00",
            ancestor="g001-00",
            other="g001-01",
            arguments={
                **QUICK,
                "environmental_factor": 0.6,
                "temperature": 0.3,
                "recovery_epochs": 1.0,
            },
        ),
        lineage,
    )
    for one in (*ones, two):
        made = serialization.load(lineage.network_path(one.uid), task.network)
        assert (
            made.conv1.weight.is_cuda
            and cost.synapses(made) == one.synapses
            and one.efficiency > 3
            and one.validation > 0.5
        )
    assert all(one.latency > 0 for one in ones)
    made = serialization.load(lineage.network_path(two.uid), task.network)
    export_onnx(made, tmp_path / "small.onnx", task.example_input)
    assert (tmp_path / "small.onnx").stat().st_size > 0


@pytest.mark.parametrize("keywords", [False, True])
def test_a_task_of_the_cpu_is_moved_and_its_fidelity_needs_no_change(keywords):
    inputs, targets = torch.rand(16, 4), torch.rand(16, 2)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 2)

        def forward(self, values):
            return {"answer": self.layer(values)}

    seen = []

    def fidelity(network, split):
        outputs = network(values=inputs) if keywords else network(inputs)
        seen.append((network.layer.weight.device.type, outputs["answer"].device.type))
        return -(outputs["answer"] - targets).abs().mean()

    task = Task(
        network=Network,
        example_input=inputs[:2],
        loader=lambda generator: [({"values": inputs} if keywords else inputs, targets)],
        loss=lambda outputs, targets: torch.nn.functional.mse_loss(outputs["answer"], targets),
        fidelity=fidelity,
        founder_epochs=1,
        founder_learning_rate=0.1,
        screening=(inputs, targets),
    )
    assert device_of(task).type == "cuda" and device_of(replace(task, device="cpu")).type == "cpu"
    there = placed(task)
    assert placed(there) is there and there.screening[0].is_cuda
    network = there.network()
    before = there.fidelity(network, "validation")
    train(network, there, 50, 0.05, seed=0)
    assert there.fidelity(network, "validation") > before
    assert set(seen) == {("cuda", "cpu")} and not network._forward_hooks


def test_an_environment_of_latency(task, lineage):
    made = make_offspring(
        task,
        trial_spec("g001-20", resource="latency", arguments={**QUICK, "environmental_factor": 0.9}),
        lineage,
    )
    # A step of so small a network is as long as it takes to start its operators.
    assert made.latency > 0 and made.synapses <= lineage.record(FOUNDER).synapses


@pytest.mark.parametrize("method", RIVALS)
def test_the_pruners_that_we_are_compared_with(task, lineage, method):
    prune, space = RIVALS[method]
    knobs = {name: values["_value"][-1] for name, values in space.items()}
    founder, network = (
        serialization.load(lineage.network_path(FOUNDER), task.network) for _ in range(2)
    )
    knobs["learning_rate"] = 0.004
    small = prune(Trial(task, network, "macs", 1 / 4, 0.5, knobs, seed=0))
    assert 0.98 <= 4 * RESOURCES["macs"].measure(small, founder, task.example_input) <= 1


@pytest.mark.parametrize("name", CASES)
def test_a_network_is_followed_and_cut_as_on_a_cpu(name):
    """Tolerance 1e-4, with convolutions in full precision."""
    torch.manual_seed(0)
    network = CASES[name].make().eval()
    inputs = CASES[name].inputs()
    expected = ClusterGraph(network, inputs)
    network.cuda()
    inputs = tree_map(lambda value: value.cuda(), inputs)
    with torch.device("cuda"), torch.no_grad():
        try:
            answer(network, inputs)
        except RuntimeError:
            pytest.skip("keeps a tensor of its own on the CPU")
    full_precision = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with torch.device("cuda"), full_precision, torch.no_grad():
        graph = ClusterGraph(network, inputs)
        assert (graph.groups, graph.clusters) == (expected.groups, expected.clusters)
        groups = [(own, group.blocks) for group, own in zip(graph.groups, graph.clusters)]
        removed = {cluster for half in halves(groups) for cluster in half}
        wanted = run_without(network, graph.structure, removed, inputs)
        small = copy.deepcopy(network)
        cut(small, graph.structure, removed)
        assert difference(wanted, answer(small, inputs)) < 1e-4
