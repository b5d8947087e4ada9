"""Small contests through the real nnictl: run, resumed and terminated."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

import nni_stress
from nni_stress.nni_runtime.loopback import check_port
from nni_stress.nni_runtime.orphans import stop_managers
from nni_stress.trial.task import load_task
from reports.cell_records import cell_path, read_cell
from reports.collect import collect
from reports.compare import compare
from reports.contest import Cell
from reports.contest_file import begin
from reports.running import run_contest
from tests.helpers.running import config_of
from tests.integration.test_experiment import no_process_is_left


@pytest.mark.slow
def test_a_small_contest_runs_through_nnictl_and_resumes(tmp_path, port):
    methods, folder = (
        ["evolution", "evolution in a uniform environment", "AGPPruner", "L1NormPruner"],
        tmp_path / "c",
    )
    file = tmp_path / "small.yml"
    file.write_text(
        yaml.safe_dump(
            {
                "task": "trials.lenet5:make_task",
                "task_arguments": {"data": "digits", "founder_epochs": 6},
                "methods": methods,
                "budgets": [8, 30],
                "seeds": [1, 2, 3],
                "trials": 4,
                "epochs": 2,
                "evolution": {
                    "generations": 2,
                    "tolerance": 0.1,
                    "stress_epochs": 0.25,
                    "space": {"learning_rate": {"_type": "loguniform", "_value": [0.001, 0.008]}},
                },
            }
        )
    )
    lines = []
    begin(file, folder)
    assert run_contest(folder, port, show=lines.append) == []
    results = collect(folder)
    assert not results.problems and len(results.outcomes) == len(methods) * 2 * 3 == len(lines)
    assert all(
        one.chosen.efficiency >= 0.98 * cell.budget for cell, one in results.outcomes.items()
    )
    facts = compare(results)
    assert (
        all(len(entry.outcomes) == 3 for entry in facts.entries.values())
        and "10x" not in facts.verdict
    )
    gone = Cell("L1NormPruner", 30, 2)
    kept = {cell: cell_path(folder, cell).read_bytes() for cell in results.outcomes if cell != gone}
    before = read_cell(folder, gone)
    cell_path(folder, gone).unlink()
    assert run_contest(folder, port) == []
    assert all(cell_path(folder, cell).read_bytes() == content for cell, content in kept.items())
    again = read_cell(folder, gone)
    assert [(t["knobs"], t["test"], t["synapses"]) for t in again] == [
        (t["knobs"], t["test"], t["synapses"]) for t in before
    ]
    assert not (folder / "work").exists() and no_process_is_left(tmp_path)


@pytest.mark.slow
def test_an_evolution_in_one_process_gives_the_same_records(tmp_path, port):
    content = {
        "methods": ["evolution"],
        "budgets": [8],
        "seeds": [1],
        "trials": 2,
        "epochs": 1,
        "evolution": {
            "generations": 2,
            "tolerance": 0.5,
            "stress_epochs": 0.25,
            "space": {"learning_rate": {"_type": "loguniform", "_value": [0.001, 0.008]}},
        },
    }
    task = {"data": "digits", "founder_epochs": 4}
    file, folder = tmp_path / "small.yml", tmp_path / "nnictl"
    named = {"task": "trials.lenet5:make_task", "task_arguments": task, "concurrency": 1}
    file.write_text(yaml.safe_dump({**content, **named}))
    begin(file, folder)
    assert run_contest(folder, port) == []
    torch.set_num_threads(1)
    result = nni_stress.compare(
        load_task("trials.lenet5:make_task", task),
        tmp_path / "process",
        founder=folder / "founder.safetensors",
        **content,
    )
    cell = Cell("evolution", 8, 1)
    expected, found = (
        [(t["knobs"], t["test"], t["architecture"]) for t in read_cell(one, cell)]
        for one in (folder, tmp_path / "process")
    )
    assert found == expected and len(result.records) == len(found) == 2


def start_contest(folder, port, methods):
    """Start a contest, and wait until a trial is under way."""
    file = folder.with_name("small.yml")
    file.write_text(
        yaml.safe_dump(
            {
                "task": "trials.lenet5:make_task",
                "task_arguments": {"data": "digits", "founder_epochs": 1},
                "methods": methods,
                "budgets": [8],
                "seeds": [1, 2],
                "trials": 4,
                "epochs": 60,
                "evolution": {
                    "generations": 2,
                    "tolerance": 0.1,
                    "stress_epochs": 0.25,
                    "space": {},
                },
            }
        )
    )
    command = [sys.executable, "-m", "reports", "contest", str(file), "--folder", str(folder)]
    contest = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.time() + 120
    while not list(folder.glob("work/**/trial.log")):
        assert time.time() < deadline and contest.poll() is None
        time.sleep(0.5)
    return contest


@pytest.mark.slow
@pytest.mark.parametrize("methods", [["evolution"], ["L1NormPruner"]])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_contest_that_is_ended_leaves_no_experiment_behind(tmp_path, port, methods, number):
    folder = tmp_path / "c"
    contest = start_contest(folder, port, methods)
    contest.send_signal(number)
    _, errors = contest.communicate(timeout=60)
    assert contest.returncode == 1 and "interrupted; all records are kept" in errors
    assert no_process_is_left(folder)


def test_the_managers_of_a_contest_that_is_killed_end_with_it(tmp_path, port):
    folder = tmp_path / "c"
    contest = start_contest(folder, port, ["evolution"])
    with pytest.raises(ValueError, match=f"another process is running the contest in {folder}"):
        run_contest(folder, port)
    contest.kill()
    contest.communicate()
    assert no_process_is_left(folder)
    check_port(port)


def test_the_next_start_stops_managers_that_were_left(experiment, tmp_path, port):
    config_of(tmp_path)
    running = experiment()
    running.until(running.running_trial)
    assert stop_managers(tmp_path / "elsewhere") == 0
    assert stop_managers(tmp_path) == 1
    assert no_process_is_left(tmp_path / "nni")
    check_port(port)
