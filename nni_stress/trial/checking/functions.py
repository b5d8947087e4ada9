"""Steps that call the functions of a task: do they return what a trial needs?"""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

import torch

from ...graph import cost, serialization
from ...hparams import Arguments
from ...utils.batches import answer, tensors_in
from ...utils.module_modes import evaluating
from ..compression import screen_of
from ..contract import batches_per_epoch, fidelity_of, network_of, scalar, task_of
from ..epochs import Epochs
from ..errors import InputError
from ..placement import device_of, placed
from ..training import mixed_precision
from .work import Work, described, expecting

_BATCHES = "Task.loader must return batches (inputs, targets), given a torch.Generator"
_SLOW = 2.0  # seconds: what takes longer is not done a second time only to compare


def plan(work: Work) -> str:
    """The evolution that is to come: arguments of the tuner, search space, folder."""
    work.plan = work.make_plan()
    arguments = work.plan.arguments
    line = (
        f"{work.plan.source}: {arguments.generations} generations x {arguments.population_size} "
        f"offspring, {work.plan.concurrency} at a time, to save {arguments.resource}"
    )
    if arguments.maturation_epochs:
        line += f", then {arguments.maturation_epochs:g} epochs of maturation"
    return line


def task(work: Work) -> str:
    """The task itself."""
    work.task = task_of(work.make_task)
    device = device_of(work.task)
    work.task = placed(work.task)
    return f"trains on {device}"


def network(work: Work) -> str:
    """The founder's network, from its file if there is one."""
    torch.manual_seed(0)
    with expecting("Task.network must return a torch.nn.Module"):
        work.network = network_of(work.task)
    if work.founder is not None and work.founder.exists():
        with expecting(f"the founder's file {work.founder} must hold a network of Task.network"):
            work.network = serialization.load(work.founder, work.task.network)
    parameters = cost.synapses(work.network)
    if not parameters:
        raise InputError(
            f"Task.network must have weights, but {type(work.network).__name__} has none"
        )
    return f"{type(work.network).__name__}, {parameters:,} parameters"


def example(work: Work) -> str:
    """The network's outputs for the example input."""
    inputs = work.task.example_input
    words = f"Task.network must run on Task.example_input, {described(inputs)}"
    with expecting(words), evaluating(work.network), torch.no_grad():
        outputs = answer(work.network, inputs)
    return f"{described(inputs)} gives {described(outputs)}"


def length(work: Work) -> str:
    """The number of batches of an epoch."""
    with expecting(_BATCHES):
        work.batches = batches_per_epoch(work.task)
    return f"{work.batches:,} batches an epoch"


def batch(work: Work) -> str:
    """The first batch."""
    began = time.perf_counter()
    work.batch = _first_batch(work)
    taken = time.perf_counter() - began
    inputs, targets = work.batch
    if not _finite(inputs):
        raise InputError(
            f"Task.loader must give finite inputs, but its first batch, {described(inputs)}, "
            "holds NaN or infinity"
        )
    if taken < _SLOW and not _equal(work.batch, _first_batch(work)):
        work.warn(
            "Task.loader must draw from the generator that it is given, but gave two first batches "
            "for the same seed: the evolution's seed will not determine it"
        )
    return f"inputs {described(inputs)}, targets {described(targets)}"


def _first_batch(work: Work) -> tuple[Any, Any]:
    torch.manual_seed(0)
    with expecting(_BATCHES):
        return Epochs(work.task, torch.Generator().manual_seed(0)).next_batch()


def loss(work: Work) -> str:
    """The loss of the untrained network for the first batch."""
    inputs, targets = work.batch
    work.network.train()
    with torch.no_grad(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with mixed_precision(work.network, work.task), torch.enable_grad():
            with expecting(f"Task.network must run on batches' inputs, {described(inputs)}"):
                outputs = answer(work.network, inputs)
            words = f"outputs, {described(outputs)}, and a batch's targets, {described(targets)}"
            with expecting(f"Task.loss must take the network's {words}"):
                value = scalar(work.task.loss(outputs, targets))
    if not _finite(outputs):
        raise InputError(
            f"Task.network must have finite outputs, but those for the first batch, "
            f"{described(outputs)}, hold NaN or infinity"
        )
    if not torch.isfinite(value):
        raise InputError(f"Task.loss must be finite, but is {value.item()} for {words}")
    for warning in said:
        if "size" in str(warning.message):  # as of a loss that compares each with each
            work.warn(f"Task.loss, for {words}: {' '.join(str(warning.message).split())}")
    return f"{value.item():.4g} for the first batch, untrained"


def fidelity(work: Work) -> str:
    """Fidelity on both splits: its type, its range, and whether it is the same twice."""
    before = {name: tensor.clone() for name, tensor in work.network.state_dict().items()}
    validation, work.measured.validation = _judge(work, "validation")
    test, work.measured.test = _judge(work, "test")
    again = validation
    if work.measured.validation < 5 * _SLOW:
        again, _ = _judge(work, "validation")
    changed = [
        name
        for name, tensor in work.network.state_dict().items()
        if not torch.equal(tensor, before[name])
    ]
    if changed:
        raise InputError(
            f"Task.fidelity must leave the network as it is, but changed {changed[0]}: does it "
            "call network.eval()?"
        )
    rules = work.plan.arguments.rules()
    if not math.isclose(validation, again, rel_tol=1e-4, abs_tol=max(1e-6, rules.tolerance / 10)):
        raise InputError(
            "Task.fidelity must return the same number for the same network, but returned "
            f"{validation:g} and {again:g} for the split 'validation': does it call network.eval()?"
        )
    doubt = rules.warning(validation)
    if doubt:
        work.warn(f"Task.fidelity: {doubt}")
    return f"{validation:.4g} (validation), {test:.4g} (test), untrained"


def _judge(work: Work, split: str) -> tuple[float, float]:
    """Fidelity of the network, and the seconds that it took."""
    work.network.train()  # as between two epochs
    began = time.perf_counter()
    with expecting(f"Task.fidelity must judge a network on the split {split!r}"):
        value = fidelity_of(work.task, work.network, split)
    return value, time.perf_counter() - began


def screening(work: Work) -> str:
    """The examples on which candidates are judged, where the search space has candidates."""
    most = max(arguments.candidates for arguments in work.plan.drawn)
    if work.task.screening is None and most <= 1:
        return "not needed, as there are no candidates"
    try:
        screen = screen_of(work.task, Arguments(candidates=max(2, int(most))))
    except ValueError as error:
        raise InputError(
            str(error) if "Task.screening" in str(error) else f"Task.screening: {error}"
        ) from error
    assert screen is not None
    with expecting(
        f"Task.screening must be as batches are, but is {described(work.task.screening)}"
    ):
        value = screen(work.network, screen.examples)
    if not math.isfinite(value):
        raise InputError(f"Task.loss must be finite, but is {value} for Task.screening")
    work.screened = True
    return f"{screen.examples:,} examples, loss {value:.4g}"


def _finite(values: Any) -> bool:
    return all(
        bool(torch.isfinite(one).all()) for one in tensors_in(values) if one.is_floating_point()
    )


def _equal(first: Any, second: Any) -> bool:
    pairs = list(zip(tensors_in(first), tensors_in(second)))
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)
