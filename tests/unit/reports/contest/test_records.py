"""Records of a contest become a page, or a line that names the problem; never a wrong number."""

import csv
import json
import re
import shutil
import subprocess
import sys
import types
from html.parser import HTMLParser
from pathlib import Path

import pytest

import reports
from nni_stress.utils.atomic_files import read_json, write_json
from nni_stress.visualization.markup import tag
from reports.__main__ import main
from reports.cell_records import cell_path, read_cell, write_cell
from reports.collect import collect
from reports.compare import compare
from reports.contest import EVOLUTION, Cell, importable_task
from reports.contest_file import read_contest
from reports.page import FILES, html, markdown, write_report
from reports.sections import (
    SECTIONS,
    differences,
    fidelity,
    frontier,
    latency,
    survivor,
    training_cost,
)
from reports.sections.environment import environment_facts
from reports.synthetic_contest import ENVIRONMENT, FOUNDER, METHODS, plant, trial

CELL = Cell("L1NormPruner", 10, 2)
REPORTS = Path(reports.__file__).parent


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [
            value
            for name, value in attributes
            if name in ("href", "src", "srcset", "data", "action")
        ]

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("contest") / "planted", gains={EVOLUTION: 0.02})


def test_the_report_is_written_and_its_path_printed_last(planted, capsys):
    done = subprocess.run(
        [sys.executable, "-m", "reports", str(planted)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(planted / "report.html")
    assert all((planted / name).stat().st_size > 1000 for name in FILES)


def test_no_request_leaves_the_page_and_every_link_is_a_record(planted):
    page = Page(html(compare(collect(planted))))
    assert not {"script", "iframe", "object", "embed", "img", "link", "form"} & set(page.tags)
    files = [link for link in page.links if link not in FILES]
    assert files and all((planted / link).is_file() for link in files)
    assert "url(" not in html(compare(collect(planted))) and "default-src 'none'" in html(
        compare(collect(planted))
    )


def test_the_tables_show_the_values_of_the_records(planted):
    facts = compare(collect(planted))
    first = fidelity.table(facts)
    for method, fields in first.rows:
        for budget, field in zip(facts.budgets, fields):
            tests = sorted(
                max(read_cell(planted, Cell(method, budget, seed)), key=lambda t: t["validation"])[
                    "test"
                ]
                for seed in range(1, 6)
            )
            assert field.text == f"{100 * tests[2]:.2f}" and field.link == str(
                cell_path(planted, Cell(method, budget, 1)).relative_to(planted)
            )
    rows = list(csv.DictReader((write_report(facts, planted).parent / "report.csv").open()))
    assert (
        len(rows) == len(METHODS) * 2 * 5 * 2
        and sum(row["chosen"] == "True" for row in rows) == len(METHODS) * 10
    )
    stored = json.loads((planted / "report.json").read_text())
    assert stored["verdict"] == facts.verdict and len(stored["trials"]) == len(rows)


def test_page_and_markdown_show_the_same_tables(planted):
    facts = compare(collect(planted))
    page, twin = " ".join(Page(html(facts)).texts), markdown(facts).replace("\\", "")
    assert facts.verdict in page and facts.verdict in twin
    for section in (fidelity, differences, frontier, latency, training_cost):
        table = section.table(facts)
        for _name, fields in table.rows:
            for field in fields:
                assert (
                    field.text in page
                    and field.text in twin
                    and field.note in page
                    and field.note in twin
                )


def test_every_file_of_sections_is_registered():
    files = {path.stem for path in (REPORTS / "sections").glob("*.py")} - {"__init__"}
    assert files == set(SECTIONS)
    assert len(SECTIONS) == len(files)


def test_a_new_section_takes_its_place_on_the_page(planted, monkeypatch):
    section = types.ModuleType("reports.sections.greeting")
    section.html = lambda facts: [tag("p", "Hello from the section.")]
    section.markdown = lambda facts: ["Hello from the section."]
    monkeypatch.setitem(sys.modules, section.__name__, section)
    monkeypatch.setattr("reports.sections.SECTIONS", ("fidelity", "greeting", "problems"))
    facts = compare(collect(planted))
    assert "Hello from the section." in Page(html(facts)).texts
    assert markdown(facts).endswith("\n\nHello from the section.\n")


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


def test_the_recorded_contest_still_gives_the_same_report(monkeypatch):
    monkeypatch.chdir(REPORTS.parent)  # the command in the report has a relative path
    folder = REPORTS / "results" / "lenet5"
    assert markdown(compare(collect(folder))) == (folder / "report.md").read_text()


def test_the_survivor_is_shown_layer_by_layer(planted):
    facts = compare(collect(planted))
    outcome = survivor.shown_outcome(facts)
    assert outcome.cell == Cell(EVOLUTION, 40, 1)
    assert survivor.clusters_by_layer(facts, outcome) == [("conv", 20, 5), ("fc", 500, 50)]


def test_the_best_trial_is_chosen_on_validation_data_only(tmp_path):
    folder = plant(tmp_path / "c")
    write_cell(
        folder, CELL, [trial(CELL, 0, 0.95, validation=0.8), trial(CELL, 1, 0.5, validation=0.9)]
    )
    assert collect(folder).outcomes[CELL].chosen.test == 0.5


def test_networks_above_the_budget_do_not_count(tmp_path):
    folder = plant(tmp_path / "c")
    large = {"synapses": 20_000, "efficiency": 5.0}
    write_cell(folder, CELL, [trial(CELL, 0, 0.95, **large), trial(CELL, 1, 0.5)])
    assert collect(folder).outcomes[CELL].chosen.test == 0.5
    write_cell(folder, CELL, [trial(CELL, 0, 0.95, **large), trial(CELL, 1, 0.95, **large)])
    found = collect(folder)
    assert CELL not in found.outcomes and "no trial came down to 10x" in found.problems[0]


def test_seconds_of_different_machines_stay_apart(tmp_path):
    folder = plant(tmp_path / "c")
    assert (
        collect(folder).environments == [ENVIRONMENT]
        and dict(environment_facts(collect(folder)))["processor"] == "planted"
    )
    write_json(folder / "environment.json", {"processor": "<b>other", "cores": "2"})
    for seed in (1, 2):
        write_cell(
            folder,
            CELL._replace(seed=seed),
            [trial(CELL, n, 0.9, seconds={"recovery": 90.0}, latency=0.5) for n in range(2)],
        )
    facts = compare(collect(folder))
    for section, both, one in (
        (latency, "3.33x / 2.00x", "3.33x / \N{EN DASH}"),
        (training_cost, "20 s / 180 s", "20 s / \N{EN DASH}"),
    ):
        table = section.table(facts)
        assert (
            dict(table.rows)["L1NormPruner"][0].text == both
            and dict(table.rows)["TaylorPruner"][0].text == one
        )
        assert "2 machines" in table.remark
    ran_on = dict(environment_facts(facts.results))
    assert (
        ran_on["processor"] == "planted (48 cells); <b>other (2 cells)" and ran_on["cores"] == "2"
    )
    assert "<b>other" not in html(facts)


def _change(path, change):
    data = read_json(path)
    change(data)
    write_json(path, data)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_text(path.read_text()[:60]), "is damaged"),
        (lambda path: path.write_bytes(b"\xff\x00"), "is damaged"),
        (lambda path: path.write_text("[]"), "is of another cell"),
        (lambda path: _change(path, lambda d: d.update(seed=3)), "is of another cell"),
        (
            lambda path: _change(path, lambda d: d["trials"][0].update(test="0.9")),
            "test of trial 0 must be a number, but got '0.9'",
        ),
        (
            lambda path: path.write_text(
                path.read_text().replace('"test": 0', '"test": NaN, "x": 0')
            ),
            "must be a number, but got nan",
        ),
        (
            lambda path: _change(path, lambda d: d["trials"].append(d["trials"][0])),
            "has two trials of one number",
        ),
        (
            lambda path: _change(
                path, lambda d: d["trials"].append({**d["trials"][0], "trial": 7})
            ),
            "has 3 trials, but the contest gives it 2",
        ),
        (
            lambda path: _change(path, lambda d: d["trials"][0].update(epochs=50)),
            "took 52 epochs, but the contest gives each cell 4",
        ),
        (
            lambda path: _change(path, lambda d: d["trials"][0].update(synapses=3)),
            "trial 0 has 3 synapses and an efficiency of 10",
        ),
        (
            lambda path: _change(path, lambda d: d["trials"][0].update(architecture=None)),
            "architecture of trial 0 must be a mapping",
        ),
        (
            lambda path: _change(path, lambda d: d["trials"][0].pop("macs")),
            "macs of trial 0 must be a number, but got None",
        ),
        (
            lambda path: _change(path, lambda d: d["trials"].pop()),
            "has 1 of 2 trials, and is missing until it has all",
        ),
        (lambda path: _change(path, lambda d: d.update(trials={"a": 1})), "trials must be a list"),
        (
            lambda path: _change(path, lambda d: d.update(environment=["<b>"])),
            "environment must be a mapping of texts",
        ),
    ],
)
def test_a_record_that_cannot_be_used_is_named_and_shown_as_missing(
    tmp_path, capsys, damage, words
):
    folder = plant(tmp_path / "c")
    damage(cell_path(folder, CELL))
    found = collect(folder)
    assert CELL not in found.outcomes and len(found.outcomes) == len(METHODS) * 10 - 1
    (problem,) = found.problems
    assert (
        words in problem
        and str(cell_path(folder, CELL).relative_to(folder)) in problem
        and "\n" not in problem
    )
    facts = compare(found)
    assert (
        facts.entries["L1NormPruner", 10].missing == [2]
        and facts.entries["L1NormPruner", 10].against.pairs == 4
    )
    main([str(folder)])
    assert words in capsys.readouterr().err and "4 of 5 seeds" in (folder / "report.md").read_text()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "founder.json").unlink(), "no founder at"),
        (lambda folder: (folder / "founder.json").write_text("{"), "founder.json is damaged"),
        (
            lambda folder: (folder / "founder.json").write_text(
                json.dumps({**FOUNDER, "test": float("nan")})
            ),
            "test must be a number, but got nan",
        ),
        (
            lambda folder: write_json(folder / "founder.json", {"synapses": 1}),
            "must hold synapses, macs",
        ),
        (lambda folder: (folder / "contest.yml").unlink(), "no contest file at"),
        (lambda folder: (folder / "contest.yml").write_text("task: ["), "is not YAML"),
        (lambda folder: shutil.rmtree(folder), "neither a folder, nor one of"),
    ],
)
def test_without_contest_or_founder_there_is_an_error_and_no_page(tmp_path, capsys, damage, words):
    folder = plant(tmp_path / "c")
    damage(folder)
    with pytest.raises(SystemExit) as stop:
        main([str(folder)])
    assert (
        words in str(stop.value)
        and "\n" not in str(stop.value)
        and not (folder / "report.html").exists()
    )


def test_names_from_records_never_become_markup(tmp_path):
    folder = plant(tmp_path / "c")
    evil = "<script>alert(1)</script>|`x`](javascript:alert(1))"
    write_cell(
        folder,
        Cell(EVOLUTION, 40, 1),
        [
            trial(
                Cell(EVOLUTION, 40, 1),
                n,
                0.9,
                uid=evil,
                ancestor=evil,
                knobs={evil: evil},
                architecture={evil: [1, 2]},
            )
            for n in range(2)
        ],
    )
    stray = folder / "cells" / "<img src=x>" / "10x-1.json"
    stray.parent.mkdir()
    stray.write_text("{}")
    facts = compare(collect(folder))
    page = Page(html(facts))
    assert (
        "script" not in page.tags
        and "img" not in page.tags
        and not [link for link in page.links if "javascript" in link]
    )
    assert "is of no cell of this contest" in facts.results.problems[0]
    assert not re.search(r"(?<!\\)<script|(?<!\\)\]\(javascript", markdown(facts))


def test_absent_cells_are_shown_as_missing_and_support_no_claim(tmp_path):
    folder = plant(tmp_path / "c", gains={EVOLUTION: 0.02})
    for seed in range(1, 6):
        for method in METHODS[2:]:
            cell_path(folder, Cell(method, 40, seed)).unlink()
    facts = compare(collect(folder))
    assert (
        "at 40x there are too few records to judge" in facts.verdict
        and "beats the best of NNI's own pruners at 10x" in facts.verdict
    )
    assert [field.text for field in dict(fidelity.table(facts).rows)["TaylorPruner"]][
        1
    ] == "missing"
    shutil.rmtree(folder / "cells")
    empty = compare(collect(folder))
    assert (
        "too few records to judge" in empty.verdict
        and "missing" in html(empty)
        and "missing" in markdown(empty)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budgets": []}, "budgets must be a list of numbers above 1, but got []"),
        ({"budgets": [10, 1]}, "budgets must be a list of numbers above 1"),
        ({"seeds": [1, 1]}, "seeds must differ from each other"),
        ({"seeds": [0.5]}, "seeds must be a list of whole numbers"),
        ({"methods": ["L1Pruner"]}, "methods must be a list of names among evolution"),
        ({"trials": 0}, "trials must be a whole number of at least 1, but got 0"),
        ({"epochs": float("inf")}, "epochs must be a number above 0"),
        (
            {"task": "lenet5"},
            "task must name a function, as trials.lenet5:make_task, but got 'lenet5'",
        ),
        (
            {"evolution": {}},
            "evolution must be {generations, tolerance, stress_epochs, space}, but got nothing",
        ),
        (
            {"evolution": {"generations": 3, "tolerance": 0.1, "stress_epochs": 0.5, "space": {}}},
            "generations must divide the 2 trials, but got 3",
        ),
        (
            {"evolution": {"generations": 1, "tolerance": 0.1, "stress_epochs": 2, "space": {}}},
            "stress_epochs must lie in [0, 2)",
        ),
        ({"bugdets": [10]}, "unknown field 'bugdets'; known are task, methods"),
        ({"task_arguments": {"__nni_obj__": 1}}, "__nni_obj__"),
    ],
)
def test_a_wrong_contest_file_is_refused(tmp_path, change, words):
    import yaml

    folder = plant(tmp_path / "c")
    file = folder / "contest.yml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **change}))
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        read_contest(file)
    assert "\n" not in str(error.value)


def test_the_contest_file_of_lenet5_is_valid():
    contest = read_contest(Path(__file__).parents[3] / "reports" / "compare.yml")
    assert contest.budgets == (10, 20, 44, 100) and len(contest.seeds) >= 5
    assert (
        len(
            [
                method
                for method in contest.methods
                if method.endswith("Pruner") and method != "RandomPruner"
            ]
        )
        >= 8
    )
