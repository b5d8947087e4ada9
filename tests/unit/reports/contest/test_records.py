"""Records of a contest become a page, or a line that names the problem; never a wrong number."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nni_stress.utils.atomic_files import read_json, write_json
from reports.__main__ import main
from reports.contest.file import begin, read_contest
from reports.contest.plan import EVOLUTION, Cell, importable_task
from reports.contest.planted import METHODS, Truth, draw, plant, record
from reports.contest.records import cell_path, collect, founder_path, write_record
from reports.contest.report.facts import compare
from reports.contest.report.page import FILES

CELL = Cell("parameters", 10.0, "L1NormPruner", 2, 2)
TRUTH = Truth({EVOLUTION: 0.02}, seeds=(1, 2, 3, 4, 5))
ROOT = Path(__file__).parents[4]


@pytest.fixture
def folder(tmp_path):
    return plant(tmp_path / "c", TRUTH)


def test_the_report_is_written_and_its_path_printed_last(folder):
    done = subprocess.run(
        [sys.executable, "-m", "reports", str(folder)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(folder / "report.html")
    assert all((folder / name).stat().st_size > 1000 for name in FILES)


def test_what_is_planted_is_read_again(folder):
    drawn, read = draw(TRUTH, folder=folder), collect(folder)
    assert read.problems == [] and read.contest == drawn.contest
    assert read.records == drawn.records and read.founders == drawn.founders


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("trials.lenet5:make_task", "trials.lenet5:make_task"),
        ("trials.nothing:make_task", "nni_stress.trials.nothing:make_task"),
        ("trials.py:make_task", "trials.py:make_task"),
        ("mine.task:make_task", "mine.task:make_task"),
    ],
)
def test_an_example_task_is_imported_from_the_package_where_there_is_no_checkout(task, expected):
    assert importable_task(task) == expected


def _change(path, change):
    data = read_json(path)
    change(data)
    write_json(path, data)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_text(path.read_text()[:60]), "is damaged"),
        (lambda path: path.write_bytes(b"\xff\x00"), "is damaged"),
        (lambda path: path.write_text("[]"), "must hold a mapping, but got []"),
        (lambda path: _change(path, lambda d: d.update(seed=3)), "is of another cell"),
        (
            lambda path: _change(path, lambda d: d.update(test="0.9")),
            "test: TypeCheckError: str is neither float or int",
        ),
        (
            lambda path: path.write_text(
                path.read_text().replace('"test": 0', '"test": NaN, "x": 0')
            ),
            "finite",
        ),
        (lambda path: _change(path, lambda d: d.update(test=1e300)), "finite, and below 1e+09"),
        (lambda path: _change(path, lambda d: d.pop("curve")), "must have curve"),
        (
            lambda path: _change(path, lambda d: d["curve"].append("a")),
            "curve: TypeCheckError: item 13",
        ),
        (
            lambda path: _change(path, lambda d: d["epochs"].update(final=50)),
            "took 56 epochs, but the contest gives each cell 18",
        ),
        (
            lambda path: _change(path, lambda d: d["epochs"].pop("final")),
            "epochs and seconds must have final and search",
        ),
        (lambda path: _change(path, lambda d: d["uses"].pop("macs")), "uses must have macs"),
        (
            lambda path: _change(path, lambda d: d["uses"].update(parameters=0.2)),
            "its network came down to 5x, not 10x",
        ),
        (lambda path: _change(path, lambda d: d.update(architecture=None)), "architecture: "),
        (lambda path: _change(path, lambda d: d.update(trials={"a": 1})), "trials: "),
        (lambda path: _change(path, lambda d: d.update(origin=["<b>"])), "origin: "),
    ],
)
def test_a_record_that_cannot_be_used_is_named_and_shown_as_missing(folder, capsys, damage, words):
    damage(cell_path(folder, CELL))
    found = collect(folder)
    assert CELL not in found.records and len(found.records) == len(METHODS) * 10 - 1
    (problem,) = found.problems
    assert words in problem and "\n" not in problem
    assert str(cell_path(folder, CELL).relative_to(folder)) in problem
    entry = compare(found).entry(*CELL[:3])
    assert entry.missing == [2] and len(entry.records) == 4
    main([str(folder)])
    assert words in capsys.readouterr().err
    twin = (folder / "report.md").read_text()
    assert "4 of 5 seeds" in twin and "1 of 60 cells are missing: L1NormPruner 1." in twin


def test_equal_seconds_may_take_more_epochs(tmp_path):
    methods = (*METHODS, "AGPPruner in equal seconds")
    folder = plant(tmp_path / "c", TRUTH._replace(methods=methods))
    found = collect(folder)
    assert found.problems == [] and len(found.records) == len(methods) * 10


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{")])
def test_records_without_their_founder_are_left_out(folder, damage):
    damage(founder_path(folder, 2))
    found = collect(folder)
    assert {cell.founder for cell in found.records} == {1, 3}
    assert sum("there is no record of founder 2" in line for line in found.problems) == 24
    main([str(folder)])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "contest.yml").unlink(), "no contest file at"),
        (lambda folder: (folder / "contest.yml").write_text("task: ["), "is not YAML"),
        (lambda folder: shutil.rmtree(folder), "neither a folder, nor one of"),
    ],
)
def test_without_a_contest_there_is_an_error_and_no_page(folder, damage, words):
    damage(folder)
    with pytest.raises(SystemExit) as stop:
        main([str(folder)])
    assert words in str(stop.value) and "\n" not in str(stop.value)
    assert not (folder / "report.html").exists()


def test_absent_cells_support_no_claim(folder):
    for path in (folder / "cells" / "parameters" / "44x").glob("*/*.json"):
        if path.parent.name not in ("evolution", "evolution-without-stress"):
            path.unlink()
    main([str(folder)])
    twin = (folder / "report.md").read_text().replace("\\", "")
    assert "too few records to judge at 44x; it is ahead of the best rival at 10x" in twin
    assert "| missing |" in twin


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"axes": {}}, "axes must be {resource: budgets and methods}, but got"),
        ({"axes": {"weight": {}}}, "axes must be of parameters, macs, latency, but got 'weight'"),
        ({"axes": {"macs": [10]}}, "macs must be {budgets, methods}"),
        ({"axes": {"macs": {"budgets": [], "methods": [EVOLUTION]}}}, "budgets must be a list of"),
        (
            {"axes": {"macs": {"budgets": [10, 1], "methods": [EVOLUTION]}}},
            "budgets must be a list of numbers above 1",
        ),
        (
            {"axes": {"macs": {"budgets": [10], "methods": ["L1Pruner"]}}},
            "methods must be a list of names among evolution",
        ),
        (
            {"axes": {"macs": {"budgets": [10], "methods": ["AGPPruner"]}}},
            "methods of macs must have 'evolution'",
        ),
        (
            {"axes": {"macs": {"budgets": [10], "methods": [EVOLUTION, "LevelPruner"]}}},
            "LevelPruner removes single synapses, and saves no macs",
        ),
        ({"seeds": [1, 1]}, "seeds must differ from each other"),
        ({"seeds": [0.5]}, "seeds must be a list of whole numbers"),
        ({"founders": [1, 2, 3, 4, 5, 6]}, "each founder needs a seed"),
        ({"search_epochs": 0}, "search_epochs must be a number above 0, but got 0"),
        ({"processes": 0}, "processes must be a whole number of at least 1, but got 0"),
        ({"learning_rates": {"evolution": -1}}, "learning_rates must be {method: number above 0}"),
        ({"task": "lenet5"}, "task must name a function"),
        ({"bugdets": [10]}, "unknown field 'bugdets'; known are task, axes"),
        ({"task_arguments": {"__nni_obj__": 1}}, "__nni_obj__"),
    ],
)
def test_a_wrong_contest_file_is_refused(folder, change, words):
    file = folder / "contest.yml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **change}))
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        read_contest(file)
    assert "\n" not in str(error.value)


def test_a_folder_takes_no_contest_whose_records_would_not_compare(folder, tmp_path):
    file = tmp_path / "other.yml"
    content = yaml.safe_load((folder / "contest.yml").read_text())
    file.write_text(yaml.safe_dump({**content, "final_epochs": 3}))
    with pytest.raises(ValueError, match="holds a contest of another final_epochs"):
        begin(file, folder)
    file.write_text(yaml.safe_dump({**content, "seeds": [*range(1, 8)]}))
    assert len(begin(file, folder).seeds) == 7
    assert len(collect(folder).records) == len(METHODS) * 10


def test_a_record_is_written_where_it_is_read(folder):
    write_record(folder, CELL, record(CELL, 0.5, 0.25))
    found = collect(folder).records[CELL]
    assert (found.test, found.validation) == (0.5, 0.25)
