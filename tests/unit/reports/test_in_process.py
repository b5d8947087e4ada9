"""A contest from Python, of a task that is defined there."""

import dataclasses
import html

import pytest
import torch
from torch import nn

import nni_stress
from reports.cell_records import cell_path, read_cell
from reports.contest import Cell
from tests.unit.trial.test_in_process import make_task

SETTINGS = {
    "methods": ["evolution", "L1NormPruner"],
    "budgets": [2],
    "seeds": [1],
    "trials": 2,
    "epochs": 1.0,
    "evolution": {
        "generations": 1,
        "tolerance": 0.9,
        "space": {"learning_rate": {"_type": "loguniform", "_value": [0.001, 0.01]}},
    },
}


def records(result):
    """What does not depend on the machine's other work."""
    return [{**one, "seconds": 0, "latency": 0} for one in result.records]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    state = torch.get_rng_state()
    folder = tmp_path_factory.mktemp("contest")
    result = nni_stress.compare(make_task(), folder, show=lambda line: None, **SETTINGS)
    assert torch.equal(state, torch.get_rng_state())
    return result


def test_it_returns_records_a_verdict_and_a_page(whole):
    chosen = [one for one in whole.records if one["chosen"]]
    assert [one["method"] for one in chosen] == SETTINGS["methods"]
    assert all(one["efficiency"] > 1.96 for one in chosen)
    assert whole.verdict in str(whole)
    assert html.escape(whole.verdict, quote=False) in whole.page.read_text()
    shown = whole._repr_html_()
    assert shown.startswith("<iframe") and "L1NormPruner" in shown
    assert "<h1" not in shown  # the page is within the frame, and its styles stay there


def test_interrupted_it_goes_on(whole, tmp_path):
    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nni_stress.compare(make_task(), tmp_path, show=interrupt, **SETTINGS)
    first = cell_path(tmp_path, Cell("evolution", 2, 1)).read_bytes()
    lines = []
    again = nni_stress.compare(make_task(), tmp_path, show=lines.append, **SETTINGS)
    assert records(again) == records(whole)
    assert cell_path(tmp_path, Cell("evolution", 2, 1)).read_bytes() == first
    assert len(lines) == 1 and not (tmp_path / "work").exists()
    assert len(read_cell(tmp_path, Cell("L1NormPruner", 2, 1))) == 2


def test_what_does_not_compare_is_refused(whole):
    folder = whole.page.parent
    task = make_task()

    def fails(said, task, folder, **changes):
        with pytest.raises((TypeError, ValueError), match=said):
            nni_stress.compare(task, folder, **{**SETTINGS, **changes})

    other = dataclasses.replace(task, fidelity=lambda network, split: 0.123)
    fails(r"holds a contest of another task, on which .* not 0\.123: name", other, folder)
    fails("holds a contest of another trials, name another folder", task, folder, trials=4)
    fails("methods must be a list of names among", task, folder, methods=["L3NormPruner"])
    fails("generations must divide the 2 trials", task, folder, evolution={"generations": 3})
    fails("task must be an nni_stress.Task or name a function, but got Linear", nn.Linear(1, 1), "")
    assert records(nni_stress.compare(task, folder, **SETTINGS)) == records(whole)
