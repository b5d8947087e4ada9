"""Stress in a training loop of the user's own: the same as by NNI's evaluators, in any loop."""

import copy
import logging

import nni
import pytest
import torch
from nni.compression.utils.evaluator import TorchEvaluator
from torch import nn
from torch.nn import functional

from nni_stress import StressPruner
from tests.helpers.networks import Transformer
from tests.helpers.workers import free_ports
from tests.unit.pruning.test_pruner import same_masks
from trials.models import lenet5


def normed():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 4),
    )


NETWORKS = {
    "lenet": (lenet5, (1, 28, 28)),
    "normed": (normed, (3, 12, 12)),
    "transformer": (Transformer, (5, 12)),
}
LAYERS = {"op_types": ["Conv2d", "Linear"]}
STEPS = 8


def batches(name, count=STEPS):
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.rand(6, *NETWORKS[name][1], generator=generator),
            torch.randint(3, (6,), generator=generator),
        )
        for _ in range(count)
    ]


def made(name):
    torch.manual_seed(0)
    return NETWORKS[name][0]()


def loss_of(batch, network):
    return functional.cross_entropy(network(batch[0]).flatten(1), batch[1])


def budget(name):
    return {"config_list": [LAYERS], "budget": {"macs": 0.4}, "example_input": batches(name)[0][0]}


def train(network, optimizer, data):
    for batch in data:
        optimizer.zero_grad()
        loss_of(batch, network).backward()
        optimizer.step()


def train_as_many_do(network, optimizer, data):
    """Mixed precision, a scheduler, gradients of two batches for a step."""
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for batch in data:
        for part in (slice(0, 3), slice(3, 6)):
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_of([values[part] for values in batch], network)
            loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()


def state_of(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same_state(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def by_evaluator(name, loop, **arguments):
    """(masks, state of the trained network, state of the small one)"""
    network, data = made(name), batches(name)

    def training(model, optimizer, step, lr_schedulers=None, max_steps=None, max_epochs=None):
        loop(model, optimizer, data)

    optimizer = nni.trace(torch.optim.Adam)(network.parameters(), lr=0.01)
    evaluator = TorchEvaluator(training, optimizer, loss_of)
    pruner = StressPruner(network, evaluator=evaluator, seed=3, **arguments)
    torch.manual_seed(5)
    _, masks = pruner.compress(max_steps=STEPS)
    trained = state_of(network)
    return masks, trained, state_of(pruner.synthesize(data[0][0]))


def in_a_block(name, loop, optimizer=torch.optim.Adam, steps=STEPS, data=None, **arguments):
    network, data = made(name), data or batches(name)
    optimizer = optimizer(network.parameters(), lr=0.01)
    pruner = StressPruner(network, seed=3, **arguments)
    torch.manual_seed(5)
    with pruner.stress(optimizer, steps):
        loop(network, optimizer, data)
    trained = state_of(network)
    masks = pruner.get_masks()
    return masks, trained, state_of(pruner.synthesize(data[0][0], optimizer))


SETTINGS = {
    "renewed": {
        "stressor": "nested_silence",
        "strength": "taylor",
        "stress_renewals": 2,
        "stress_peak": 1.0,
        "stress_onset": 0.2,
    },
    "weaken": {"stressor": "weaken", "stress_peak": 1.0},
    "attenuate": {"stressor": "attenuate", "strength": "l2", "stress_onset": 0.0},
    "survival": {"stressor": "survival", "strength": "taylor", "sampling": "bernoulli"},
    "silence of synapses": {"stressor": "silence", "encoding": "synapse"},
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_bit_for_bit_what_compress_does(name, setting):
    arguments = dict(SETTINGS[setting])
    loop = train_as_many_do if setting in ("renewed", "weaken") else train
    if "encoding" in arguments or setting == "survival":  # the structure is learned while training
        arguments["config_list"] = [{**LAYERS, "sparse_ratio": 0.5}]
    else:
        arguments.update(budget(name))
    masks, trained, small = by_evaluator(name, loop, **arguments)
    own_masks, own_trained, own_small = in_a_block(name, loop, **arguments)
    assert same_masks(masks, own_masks)
    assert same_state(trained, own_trained)
    assert same_state(small, own_small)
    assert (
        sum(map(torch.numel, small.values()))
        < sum(tensor.numel() for tensor in made(name).state_dict().values())
        or "encoding" in arguments
    )


TAYLOR = {"stressor": "nested_silence", "strength": "taylor", "stress_onset": 0.1}


def doubling():
    """A scaler whose factor, a power of two, is another one at each step."""
    return torch.amp.GradScaler("cpu", init_scale=2.0**8, growth_interval=1)


def scaled(network, optimizer, data):
    """Train by a GradScaler; the gradients of one more batch, the first, are infinite."""
    scaler = doubling()
    for index, batch in enumerate([data[0], *data]):
        optimizer.zero_grad()
        loss = loss_of(batch, network)
        scaler.scale(loss * torch.inf if index == 0 else loss).backward()
        scaler.step(optimizer)
        scaler.update()


def with_closures(network, optimizer, data):
    for batch in data:

        def closure(batch=batch):
            optimizer.zero_grad()
            loss = loss_of(batch, network)
            loss.backward()
            return loss

        optimizer.step(closure)


def by_two_optimizers(network, optimizers, data):
    """The scaler takes its factor out of the gradients of each optimizer at its own step."""
    scaler = doubling()
    for batch in data:
        for optimizer in optimizers:
            optimizer.zero_grad()
        scaler.scale(loss_of(batch, network)).backward()
        for optimizer in optimizers:
            scaler.step(optimizer)
        scaler.update()


def fused(parameters, lr):
    return torch.optim.Adam(parameters, lr=lr, fused=True)


def two_optimizers(parameters, lr):
    parameters = list(parameters)
    return [torch.optim.Adam(half, lr=lr) for half in (parameters[:4], parameters[4:])]


@pytest.mark.parametrize(
    ("loop", "optimizer"),
    [
        (scaled, torch.optim.Adam),
        (scaled, fused),
        (with_closures, torch.optim.Adam),
        (by_two_optimizers, two_optimizers),
    ],
)
def test_steps_and_gradients_are_those_of_the_optimizer(loop, optimizer):
    """Steps that are skipped, by closures, or of several optimizers end where plain ones do."""

    def trained(optimizer, loop):
        network = made("lenet")
        given = optimizer(network.parameters(), lr=0.01)
        pruner = StressPruner(network, seed=3, **TAYLOR, **budget("lenet"))
        with pruner.stress(given, STEPS):
            loop(network, given, batches("lenet"))
            phase = pruner.stress_state()["phase"]
        assert phase["step"] == STEPS
        return phase["observer"]["strengths"], pruner.get_masks(), state_of(network)

    plain = trained(fused if optimizer is fused else torch.optim.Adam, train)
    got = trained(optimizer, loop)
    assert same_masks(plain[0], got[0])  # of Taylor
    assert same_masks(plain[1], got[1])
    assert same_state(plain[2], got[2])


def test_a_step_counts_once_all_optimizers_have_stepped_and_once_for_a_closure():
    network, data = made("normed"), batches("normed")
    often, seldom = two_optimizers(network.parameters(), lr=0.01)
    pruner = StressPruner(network, **budget("normed"))
    counted = []
    with pruner.stress([often, seldom], 3):
        for index in range(6):
            loss_of(data[index], network).backward()
            often.step()
            if index % 2:
                seldom.step()
            counted.append(pruner.stress_state()["phase"]["step"])
    assert counted == [0, 1, 1, 2, 2, 3]
    network = made("normed")
    lbfgs = torch.optim.LBFGS(network.parameters(), lr=0.1, max_iter=4)
    pruner = StressPruner(network, **TAYLOR, **budget("normed"))
    with pruner.stress(lbfgs, 2):
        with_closures(network, lbfgs, data[:2])
        assert pruner.stress_state()["phase"]["step"] == 2
    assert lbfgs.state[lbfgs.param_groups[0]["params"][0]]["func_evals"] > 2


def hooks_of(optimizer):
    return [*optimizer._optimizer_step_pre_hooks, *optimizer._optimizer_step_post_hooks]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_block_leaves_network_and_optimizer_clean(name, error):
    network, data = made(name), batches(name)
    fresh = made(name)
    before, structure = state_of(network), str(network)
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    pruner = StressPruner(network, **TAYLOR, stress_peak=1.0, **budget(name))

    def interrupted():
        yield from data[:5]
        raise error

    with pytest.raises(error), pruner.stress(optimizer, STEPS):
        train(network, optimizer, interrupted())
    assert hooks_of(optimizer) == []
    assert list(state_of(network)) == list(before) and str(network) == structure
    assert all(map(lambda one, other: one is other, network.parameters(), parameters))
    assert not torch.equal(parameters[0], next(iter(before.values())))
    fresh.load_state_dict(network.state_dict())
    assert torch.equal(fresh.eval()(data[0][0]), network.eval()(data[0][0]))
    with pytest.raises(ValueError, match="its training under stress was interrupted"):
        pruner.synthesize(data[0][0])
    network.train()
    with pruner.stress(optimizer, STEPS):  # a second try
        train(network, optimizer, data)
    small = pruner.synthesize(data[0][0], optimizer)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in parameters)
    assert all(type(module).__name__ != "ModuleWrapper" for module in small.modules())
    train(small, optimizer, data)  # goes on where it was


def test_a_block_goes_on_from_a_snapshot_bit_for_bit():
    expected = in_a_block("lenet", train, **TAYLOR, **budget("lenet"))
    network, data = made("lenet"), batches("lenet")
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    pruner = StressPruner(network, seed=3, **TAYLOR, **budget("lenet"))
    with pruner.stress(optimizer, STEPS):
        train(network, optimizer, data[:4])
        kept = copy.deepcopy((pruner.stress_state(), optimizer.state_dict()))
    network = made("lenet")
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    pruner = StressPruner(network, seed=3, **TAYLOR, **budget("lenet"))
    with pruner.stress(optimizer, STEPS):
        pruner.restore_stress(kept[0])
        optimizer.load_state_dict(kept[1])
        train(network, optimizer, data[4:])
    assert same_masks(expected[0], pruner.get_masks())
    assert same_state(expected[1], state_of(network))


def test_too_few_steps_are_said(caplog):
    network, data = made("normed"), batches("normed")
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    pruner = StressPruner(network, training_steps=20, **budget("normed"))
    with caplog.at_level(logging.WARNING), pruner.stress(optimizer):
        train(network, optimizer, data)
    assert "stress ended after 8 of 20 optimizer steps" in caplog.text
    assert sum(p.numel() for p in pruner.synthesize(data[0][0]).parameters()) < 1000


def test_after_the_last_step_the_offspring_trains_on():
    network, data = made("normed"), batches("normed")
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    pruner = StressPruner(network, **budget("normed"))
    with pruner.stress(optimizer, 5):
        train(network, optimizer, data[:5])
        drawn = pruner.get_masks()
        train(network, optimizer, data[5:])
    assert same_masks(drawn, pruner.get_masks())
    network.eval()
    masked = network(data[0][0])
    assert torch.allclose(pruner.synthesize(data[0][0], optimizer)(data[0][0]), masked, atol=1e-5)


def test_wrong_use_is_refused():
    network, data = made("normed"), batches("normed")
    copied = copy.deepcopy(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    pruner = StressPruner(network, **budget("normed"))
    other = torch.optim.SGD(copied.parameters(), lr=0.1)
    for given, steps, error, words in [
        ("sgd", 5, TypeError, "must be a torch.optim.Optimizer or a list of them, but got 'sgd'"),
        ([], 5, TypeError, "or a list of them, but got"),
        (other, 5, ValueError, "this SGD has none of its parameters"),
        ([optimizer, other], 5, ValueError, "this SGD has none of its parameters"),
        (optimizer, None, ValueError, r"stress\(steps=...\) or training_steps"),
        (optimizer, 0, ValueError, "^steps must be a whole number of at least 1, but got 0"),
        (optimizer, 5, ValueError, "was to last 5 optimizer steps, but none was taken"),
    ]:
        with pytest.raises(error, match=words), pruner.stress(given, steps):
            pass
        assert hooks_of(optimizer) == []
    with (
        pytest.raises(ValueError, match="outside any other block of stress"),
        pruner.stress(optimizer, 5),
        pruner.stress(optimizer, 5),
    ):
        pass
    with (
        pytest.raises(ValueError, match="must be called after the block"),
        pruner.stress(optimizer, 5),
    ):
        pruner.synthesize(data[0][0])
    with pruner.stress(optimizer, 5):
        train(network, optimizer, data[:5])
    pruner.synthesize(data[0][0], optimizer)
    with (
        pytest.raises(ValueError, match="has not synthesized its offspring yet"),
        pruner.stress(optimizer, 5),
    ):
        pass
    with pytest.raises(TypeError, match="must be the network itself"):
        StressPruner(torch.compile(copied, backend="eager"), **budget("normed"))


@pytest.mark.parametrize("with_example", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_compiled_network_trains_as_one_that_is_not(with_example):
    arguments = (
        budget("normed") if with_example else {"config_list": [{**LAYERS, "sparse_ratio": 0.5}]}
    )

    def compiled(network, optimizer, data):
        train(torch.compile(network, backend="eager"), optimizer, data)

    torch._dynamo.reset()
    plain = in_a_block("normed", train, **TAYLOR, **arguments)
    got = in_a_block("normed", compiled, **TAYLOR, **arguments)
    assert same_masks(plain[0], got[0]) and same_state(plain[1], got[1])


def _distributed(rank, world, port, folder):
    """One process: trains its share of every batch, and writes what came out."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=world
    )
    try:
        for where in ("before", "after"):
            torch.save(_trained_in_parallel(rank, world, where), folder / f"{where}-{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


def _trained_in_parallel(rank, world, where):
    """The masks, weights and small network; DistributedDataParallel wraps before the pruner does,
    or after it.
    """
    network, data = made("normed"), batches("normed")
    parallel = nn.parallel.DistributedDataParallel(network) if where == "before" else None
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    pruner = StressPruner(network, seed=3, temperature=0, **TAYLOR, **budget("normed"))
    parallel = parallel or nn.parallel.DistributedDataParallel(network)
    with pruner.stress(optimizer, STEPS):
        train(parallel, optimizer, [[values[rank::world] for values in batch] for batch in data])
    trained = {name: tensor.detach() for name, tensor in network.named_parameters()}
    masks = dict(pruner.get_masks())
    return masks, trained, pruner.synthesize(data[0][0]).state_dict()


def test_in_several_processes_all_draw_the_same_offspring(tmp_path):
    world = 2
    arguments = (world, free_ports(1)[0], tmp_path)
    torch.multiprocessing.spawn(_distributed, arguments, world)
    for where in ("before", "after"):
        first, *others = (torch.load(tmp_path / f"{where}-{rank}.pt") for rank in range(world))
        for masks, trained, small in others:
            assert same_masks(masks, first[0])
            assert same_state(trained, first[1])
            kept = [name for name in small if "running" not in name]
            assert all(torch.equal(small[name], first[2][name]) for name in kept)
        assert first[2]["0.weight"].shape[0] < 8
