"""One measurement: one network, made small by one tool."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import torch
from torch import nn

from nni_stress.graph import cost
from nni_stress.graph.following.follow import follow
from nni_stress.graph.following.reference import difference
from nni_stress.graph.following.structure import Structure
from nni_stress.graph.verification import Answer, answer_of, doubled, runs
from nni_stress.utils.batches import answer, tensors_in
from nni_stress.utils.messages import one_line

from ..meter import Meter
from .entries import Entry
from .last_layers import last_layers
from .preparing import prepared
from .tools import PACKAGES, TOOLS, Job, Made


def measure(entry: Entry, tool: str) -> dict[str, Any]:
    """Make a network small by a tool, and see what has become of it.

    Parameters
    ----------
    entry
        The network.
    tool
        A name in :data:`reports.zoo.tools.TOOLS`.

    Returns
    -------
    dict
        ``ok``: whether there is a small network that runs; else ``error``, in one line.

        ``whole``: {"parameters", "macs"} of the network.

        ``followed``: whether its clusters could be found; not for Torch-Pruning.

        ``parameters``, ``macs``: shares that are left.

        ``difference``: the largest of the output to the masked network's, relative to the largest
        value; None for Torch-Pruning. ``masked``: the same of the masked to the whole network.

        ``other_batch``: whether it runs with each example twice; None if the whole one does not.

        ``seconds``: of inspection, draw and cut. ``megabytes``: by how much the process grew.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> found = measure(Entry("small", lambda: network, lambda: torch.rand(3, 4)), "budget")
    >>> found["ok"], found["macs"]
    (True, 0.5)
    """
    found: dict[str, Any] = {}
    missing = entry.missing or _missing(tool)
    if missing:
        return {"ok": False, "error": f"the package {missing} is not installed"}
    try:
        _measure(entry, tool, found)
    except Exception as error:  # of any library
        found["error"] = one_line(error)
    return {"ok": "error" not in found, **found}


def _missing(tool: str) -> str | None:
    package = PACKAGES.get(tool)
    return package if package and importlib.util.find_spec(package) is None else None


def _measure(entry: Entry, tool: str, found: dict[str, Any]) -> None:
    network, inputs = prepared(entry)
    parameters, macs = cost.synapses(network), cost.macs(network, inputs)
    found["whole"] = {"parameters": parameters, "macs": macs}
    runs_doubled = runs(network, doubled(inputs)) is None
    structure = None
    if tool not in PACKAGES:
        found["followed"] = False
        structure = follow(network, inputs)
        found["followed"] = True
    run = _runner(inputs, structure)
    whole = run(network)
    outputs = entry.outputs
    if outputs is None:
        outputs = tuple(last_layers(network, inputs))
    meter = Meter()
    job = Job(network, inputs, list(outputs), entry.resource, entry.heads, run, meter)
    try:
        small, expected = _warmed_up(tool, job)
    finally:
        found["seconds"] = round(meter.seconds, 2)
        found["megabytes"] = round(meter.growth / 1e6)
    _compare(small, expected, whole, run, found)
    found["parameters"] = round(cost.synapses(small) / parameters, 4)
    found["macs"] = round(cost.macs(small, inputs) / max(macs, 1), 4)
    found["other_batch"] = runs(small, doubled(inputs)) is None if runs_doubled else None


def _runner(inputs: Any, structure: Structure | None) -> Any:
    def run(network: nn.Module) -> Answer:
        if structure is None:
            with torch.no_grad():
                return Answer(answer(network, inputs), [])
        return answer_of(network, lambda: answer(network, inputs), structure)

    return run


def _warmed_up(tool: str, job: Job) -> Made:
    """Use a tool once before, as what is imported and allocated once does not count."""
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    inputs = torch.rand(2, 4)
    run = _runner(inputs, None)
    TOOLS[tool](Job(network, inputs, ["2"], "parameters", None, run, Meter()))
    return TOOLS[tool](job)


def _compare(
    small: nn.Module, expected: Answer | None, whole: Answer, run: Any, found: dict[str, Any]
) -> None:
    output = run(small)
    if not all(torch.isfinite(one).all() for one in tensors_in(output.output)):
        raise ValueError("an output of the small network is not finite")
    if expected is None:
        found["difference"] = None
        return
    found["difference"] = _difference(expected, output)
    changed = _difference(whole, expected)
    found["masked"] = changed if math.isfinite(changed) else None
    if not math.isfinite(found["difference"]):
        found["difference"] = None
        raise ValueError("the small network's output has another shape than the masked one's")


def _difference(first: Answer, second: Answer) -> float:
    """The difference at the last layers, where a network chooses by values what it returns."""
    ones, others = (answer.heads or answer.output for answer in (first, second))
    off = difference(ones, others)
    return float(f"{off:.2e}")
