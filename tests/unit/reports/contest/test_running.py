"""A contest from Python, of a task that is defined there: run, interrupted, resumed, refused."""

import dataclasses
import html
import json
import math

import pytest
import torch
from torch import nn

import nni_stress
from nni_stress.graph import cost, serialization
from reports.contest.plan import EQUAL_SECONDS, EVOLUTION, SCRATCH, Cell, in_equal_seconds
from reports.contest.records import cell_path, collect, network_path
from tests.unit.trial.test_in_process import make_task

METHODS = [
    EVOLUTION,
    "one-shot StressPruner",
    SCRATCH,
    "L1NormPruner",
    f"L1NormPruner{EQUAL_SECONDS}",
]
SETTINGS = {
    "methods": METHODS,
    "budgets": [2],
    "seeds": [1, 2],
    "search_epochs": 2.0,
    "final_epochs": 3.0,
}
VARYING = {"seconds": 0, "latency": 0}


def quiet(line):
    """Show nothing."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    state = torch.get_rng_state()
    folder = tmp_path_factory.mktemp("contest")
    result = nni_stress.compare(make_task(), folder, show=quiet, **SETTINGS)
    assert torch.equal(state, torch.get_rng_state())
    return result


def results(result):
    """What does not depend on how busy the machine is."""
    found = collect(result.page.parent)
    assert not found.problems
    return {
        cell: (record.curve, record.test, record.architecture, dict(record.epochs))
        for cell, record in found.records.items()
        if not in_equal_seconds(cell.method)
    }


def test_every_method_has_equal_steps_and_meets_the_budget(whole):
    records = collect(whole.page.parent).records
    assert len(records) == len(METHODS) * 2
    for cell, record in records.items():
        assert 1 / record.uses["parameters"] >= 1.96 and record.uses["clusters"] <= 1
        assert record.validation == max(record.curve)
        if not in_equal_seconds(cell.method):
            # The final training may end early, where fidelity no longer rises.
            assert sum(record.epochs.values()) <= 5.0
            assert len(record.curve) - 1 <= math.ceil(5.0 - record.epochs["search"])
    evolution = records[Cell("parameters", 2, EVOLUTION, 1, 1)]
    assert evolution.epochs["search"] == 0.5 and len(evolution.trials) == 1
    scratch = records[Cell("parameters", 2, SCRATCH, 1, 1)]
    assert scratch.architecture == evolution.architecture and scratch.epochs["search"] == 0


def test_networks_are_kept(whole):
    folder, task = whole.page.parent, make_task()
    for cell, record in collect(folder).records.items():
        network = serialization.load(network_path(folder, cell), task.network)
        assert cost.architecture(network) == record.architecture
        assert task.fidelity(network, "test") == pytest.approx(record.test)


def test_it_returns_records_sentences_and_a_page(whole):
    assert {one["method"] for one in whole.records if one["seed"] == 1} == set(METHODS)
    (sentence,) = whole.verdict
    assert sentence in str(whole) and html.escape(sentence, quote=False) in whole.page.read_text()
    shown = whole._repr_html_()
    assert shown.startswith("<iframe") and "L1NormPruner" in shown
    assert "<h1" not in shown  # the page is within the frame, and its styles stay there


def test_interrupted_it_goes_on(whole, tmp_path):
    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nni_stress.compare(make_task(), tmp_path, show=interrupt, **SETTINGS)
    first = cell_path(tmp_path, Cell("parameters", 2, EVOLUTION, 1, 1))
    before, lines = first.read_bytes(), []
    again = nni_stress.compare(make_task(), tmp_path, show=lines.append, **SETTINGS)
    assert results(again) == results(whole)
    assert first.read_bytes() == before and len(lines) == len(METHODS) * 2 - 1
    assert not list(tmp_path.glob("cells/**/*.lock"))


@pytest.mark.slow
def test_several_processes_give_the_same_records(whole, tmp_path):
    found = nni_stress.compare(make_task(), tmp_path, processes=2, show=quiet, **SETTINGS)
    assert results(found) == results(whole)


def test_a_cell_that_finds_no_network_is_said_and_missing(whole, tmp_path):
    folder, lines = whole.page.parent, []
    few = {**SETTINGS, "methods": [EVOLUTION], "budgets": [10_000.0], "seeds": [1]}
    found = nni_stress.compare(
        make_task(),
        tmp_path,
        founders=[folder / "founders" / "1.safetensors"],
        show=lines.append,
        **few,
    )
    assert len(lines) == 1 and "found no network: " in lines[0] and found.records == []


def test_what_does_not_compare_is_refused(whole):
    folder = whole.page.parent
    task = make_task()

    def fails(said, task, folder, **changes):
        with pytest.raises((TypeError, ValueError, FileNotFoundError), match=said):
            nni_stress.compare(task, folder, show=quiet, **{**SETTINGS, **changes})

    other = dataclasses.replace(task, fidelity=lambda network, split: 0.123)
    fails(r"holds a contest of another task, on which .* not 0\.123: name", other, folder)
    fails("holds a contest of another final_epochs, name another", task, folder, final_epochs=4)
    fails("methods must be a list of names among", task, folder, methods=["L3NormPruner"])
    fails("unknown field 'trials'", task, folder, trials=3)
    fails("task must be an nni_stress.Task or name a function, but got Linear", nn.Linear(1, 1), "")
    missing = folder / "nothing.safetensors"
    fails(f"no founder at {missing}", task, folder.with_name("other"), founders=[missing])
    founder = json.loads((folder / "founders" / "1.json").read_text())
    assert founder["parameters"] == cost.synapses(task.network())
