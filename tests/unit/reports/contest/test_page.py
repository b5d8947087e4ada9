"""The page of a contest: what it shows, whatever was measured."""

import csv
import json
import re
import statistics
import sys
import types
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

import reports
from nni_stress.utils.atomic_files import read_json
from nni_stress.visualization.markup import tag
from reports.contest.plan import EQUAL_SECONDS, EVOLUTION, PARTS, RIVALS, UNSTRUCTURED, Cell
from reports.contest.planted import METHODS, Truth, draw, plant, record
from reports.contest.records import cell_path, collect, write_record
from reports.contest.report import page as pages
from reports.contest.report.facts import compare, rival
from reports.contest.report.page import FILES, html, markdown, write_report
from reports.contest.report.sections import (
    SECTIONS,
    architectures,
    cells,
    costs,
    differences,
    equal_seconds,
    fidelity,
    final_training,
    frontiers,
    hyperparameters,
    sections,
    uses,
)
from reports.contest.report.sections.environment import environment_facts
from reports.contest.report.sentences import second_line, sentence
from reports.contest.report.verdict import verdicts
from reports.contest.report.warnings import warnings

TABLES = (
    *(fidelity, differences, equal_seconds, costs, uses),
    *(final_training, hyperparameters, architectures),
)
EQUAL = f"AGPPruner{EQUAL_SECONDS}"
TRUTHS = {
    "two budgets": Truth({EVOLUTION: 0.02}),
    "one budget": Truth({EVOLUTION: 0.02}, axes={"parameters": (44.0,)}),
    "equal values": Truth(noise=0.0),
    "one of all": Truth(noise=0.0, axes={"macs": (44.0,)}, seeds=(1,), founders=(1,)),
    "a wide range": Truth(axes={"latency": (2.0, 5000.0)}),
    "all methods and axes": Truth(
        {"SlimPruner": -0.5},
        methods=(EVOLUTION, *PARTS, *RIVALS, *UNSTRUCTURED, EQUAL),
        axes={"parameters": (10.0, 44.0, 100.0), "macs": (10.0, 25.0), "latency": (2.0,)},
        seeds=(1, 2, 3),
    ),
    "the evolution alone": Truth(methods=(EVOLUTION,)),
}


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


@pytest.fixture(params=TRUTHS)
def facts(request):
    return compare(draw(TRUTHS[request.param]))


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contest") / "planted"
    return plant(folder, Truth({EVOLUTION: 0.02}, methods=(*METHODS, EQUAL)))


def body(facts):
    return ElementTree.fromstring(re.search("<body>.*</body>", html(facts), re.DOTALL)[0])


def test_page_and_markdown_show_the_same(facts):
    page, twin = " ".join(Page(html(facts)).texts), markdown(facts).replace("\\", "")
    lines = [*warnings(facts), *map(sentence, verdicts(facts)), *map(second_line, verdicts(facts))]
    for line in lines:
        assert line in page and line in twin
    for section in TABLES:
        for table in section.block(facts).tables:
            for _name, fields in (row for rows in table.rows.values() for row in rows):
                for field in fields:
                    assert field.text in page and field.text in twin
                    assert field.note in page and field.note in twin


def test_every_table_is_as_wide_as_its_head(facts):
    for section in (*TABLES, cells):
        for table in section.block(facts).tables:
            rows = [fields for rows in table.rows.values() for _, fields in rows]
            assert rows and all(len(fields) == len(table.head) - 1 for fields in rows)


def test_axes_have_ticks_and_room_for_what_they_show(facts):
    charts = [svg for svg in body(facts).iter("svg") if svg.get("class") == "chart"]
    assert charts
    for chart in charts:
        width = float(chart.get("viewBox").split()[2])
        texts = [text for text in chart.iter("text") if text.text]
        columns = [text for text in texts if re.fullmatch(r"[\d.,]+x", text.text)]
        rows = [text for text in texts if re.fullmatch(r"-?[\d.]+", text.text)]
        assert len(columns) >= 3 and len({text.text for text in columns}) == len(columns)
        assert len(rows) >= 3 and len({text.text for text in rows}) == len(rows)
        (upwards,) = [text for text in texts if "rotate" in text.get("transform", "")]
        middle = float(re.search(r"translate\((\S+)", upwards.get("transform"))[1])
        assert middle + 8 < min(float(text.get("x")) - 7.5 * len(text.text) for text in rows)
        assert max(float(text.get("x")) + 4 * len(text.text) for text in columns) < width
        places = [
            tuple(map(float, pair.split(",")))
            for line in chart.iter("polyline")
            for pair in line.get("points").split()
        ]
        height = float(chart.get("viewBox").split()[3])
        assert places and all(0 < x < width and 0 < y < height for x, y in places)


def test_every_rival_is_in_one_panel_of_its_axis():
    families = [name for names in frontiers._FAMILIES.values() for name in names]
    assert sorted(families) == sorted((*PARTS, *RIVALS))
    facts = compare(draw(TRUTHS["all methods and axes"]))
    for panels in [one for one in body(facts).iter("div") if one.get("class") == "panels"]:
        names = ["".join(item.itertext()) for item in panels.iter("li")]
        assert {name: names.count(name) for name in RIVALS} == dict.fromkeys(RIVALS, 1)
        assert names.count(EVOLUTION) == len(list(panels.iter("figure"))) == 4


def test_no_request_leaves_the_page_and_every_link_is_a_record(planted):
    text = html(compare(collect(planted)))
    page = Page(text)
    assert not {"script", "iframe", "object", "embed", "img", "link", "form"} & set(page.tags)
    files = {link for link in page.links if link not in FILES}
    assert len(files) == len(collect(planted).records)
    assert all((planted / link).is_file() for link in files)
    assert "url(" not in text and "default-src 'none'" in text


def test_the_tables_show_the_values_of_the_records(planted):
    facts = compare(collect(planted))
    (axis,) = facts.axes
    (table,) = fidelity.block(facts).tables
    shown = {name: fields for rows in table.rows.values() for name, fields in rows}
    assert set(shown) == set(METHODS)
    for method, fields in shown.items():
        for budget, field in zip(axis.budgets, fields):
            places = [
                cell_path(planted, Cell("parameters", budget, method, 1, seed))
                for seed in range(1, 11)
            ]
            tests = [read_json(place)["test"] for place in places]
            assert field.text == f"{100 * statistics.fmean(tests):.2f}"
            assert field.link == str(places[0].relative_to(planted))
            is_rival = rival(facts.entries, "parameters", budget).key.method == method
            assert ("the rival" in field.note) == is_rival
    folder = write_report(facts, planted).parent
    with (folder / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(facts.results.records) == (len(METHODS) + 1) * 2 * 10
    stored = json.loads((folder / "report.json").read_text())
    assert stored["verdicts"][0]["sentence"] == sentence(verdicts(facts)[0])
    assert len(stored["cells"]) == len(rows) and stored["warnings"] == []


def test_the_order_is_evolution_parts_rivals_by_validation_and_others():
    results = draw(TRUTHS["all methods and axes"]._replace(gains={"FPGMPruner": 0.03}))
    parameters = fidelity.block(compare(results)).tables[0].rows
    own, rivals, others = [[name for name, _ in rows] for rows in parameters.values()]
    assert own == [EVOLUTION, *PARTS] and others == list(UNSTRUCTURED)
    assert rivals[0] == "FPGMPruner" and set(rivals) == set(RIVALS)


def test_equal_seconds_stand_beside_equal_steps(planted):
    (table,) = equal_seconds.block(compare(collect(planted))).tables
    rows = dict(table.rows[""])
    assert list(rows) == [EVOLUTION, "AGPPruner", EQUAL]
    assert rows[EQUAL][0].note.startswith("300 s; lead ")
    section = sections()[SECTIONS.index("equal_seconds")]
    assert section.html(compare(draw(Truth()))) == []


def test_costs_and_uses_are_medians():
    results = draw(Truth(methods=METHODS[:3], axes={"parameters": (10.0,)}, seeds=(1, 2, 3)))
    changed = {
        cell: found._replace(
            epochs={"search": cell.seed, "final": 12.5},
            seconds={"search": 10.0 * cell.seed, "final": 3000.0},
            uses={"parameters": 0.1, "macs": 0.25 * cell.seed, "latency": 0.5, "clusters": 0.5},
            curve=[0.5, 0.8, 0.85, 0.86 + 0.01 * cell.seed, 0.84],
        )
        for cell, found in results.records.items()
    }
    facts = compare(results._replace(records=changed))
    first = {
        section: next(iter(section.block(facts).tables[0].rows.values()))[0][1]
        for section in (costs, uses, final_training)
    }
    assert first[costs] == [("2 epochs", "20 s", None), ("12.5 epochs", "3,000 s", None)]
    assert [field.text for field in first[uses]] == ["10x", "2x", "2x", "2x"]
    assert first[final_training] == [("+3.00", "epoch 3 of 4", None)]


def test_seconds_of_different_machines_stay_apart():
    results = draw(Truth(seeds=(1, 2, 3)))

    def change(cell, found):
        if cell.seed < 3 or cell.method == EVOLUTION:
            return found
        origin = {**found.origin, "environment": {"processor": "<b>other", "cores": "2"}}
        return found._replace(origin=origin, seconds={"search": 700.0, "final": 900.0})

    records = {cell: change(cell, found) for cell, found in results.records.items()}
    facts = compare(results._replace(records=records))
    block = costs.block(facts)
    rows = {name: fields for rows in block.tables[0].rows.values() for name, fields in rows}
    assert rows["TaylorPruner"][0].note == "120 s / 700 s"
    assert rows[EVOLUTION][0].note == "120 s / \N{EN DASH}"
    assert "2 machines" in block.remark and "<b>other" not in html(facts)
    ran_on = dict(environment_facts(facts.results))
    assert ran_on["processor"] == "planted (26 cells); <b>other (10 cells)"
    assert ran_on["cores"] == "2" and ran_on["threads"] == "1"
    assert "Parameters: the records are of 2 machines" in html(facts)


def test_names_from_records_never_become_markup(tmp_path):
    folder = plant(tmp_path / "c", Truth(seeds=(1, 2, 3)))
    evil = "<script>alert(1)</script>|`x`](javascript:alert(1))"
    cell = Cell("parameters", 10.0, EVOLUTION, 1, 1)
    trials = [{"validation": 1.0, "epochs": 1.0, "knobs": {evil: evil}}]
    origin = {"commit": evil, evil: evil, "environment": {"processor": evil}}
    changes = {"trials": trials, "origin": origin, "architecture": {evil: [1, 2]}}
    write_record(folder, cell, record(cell, 0.9, 0.9, **changes))
    stray = folder / "cells" / "parameters" / "10x" / "<img src=x>" / "1.json"
    stray.parent.mkdir()
    stray.write_text("{}")
    facts = compare(collect(folder))
    page = Page(html(facts))
    assert "script" not in page.tags and "img" not in page.tags
    assert not [link for link in page.links if "javascript" in link]
    assert "is of no cell of this contest" in facts.results.problems[0]
    assert not re.search(r"(?<!\\)<script|(?<!\\)\]\(javascript", markdown(facts))


def test_odd_origins_and_trials_are_shown(tmp_path):
    folder = plant(tmp_path / "c", Truth(seeds=(1, 2, 3)))
    for seed, trials, origin in (
        (1, [], {}),
        (2, [{"knobs": 3}, {"knobs": {"a": None}}], {"environment": [1], "commit": None}),
        (3, [{"knobs": {"a": [1], "b": 0.12345}, "validation": 1}], {"threads": {"a": 1}}),
    ):
        cell = Cell("parameters", 10.0, EVOLUTION, seed, seed)
        write_record(folder, cell, record(cell, 0.9, 0.9, trials=trials, origin=origin, curve=[]))
    assert write_report(compare(collect(folder)), folder).exists()


def test_every_file_of_sections_is_registered():
    folder = Path(reports.__file__).parent / "contest" / "report" / "sections"
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert files == set(SECTIONS) and len(SECTIONS) == len(files)


def test_a_new_section_takes_its_place_on_the_page(monkeypatch):
    section = types.ModuleType("reports.contest.report.sections.greeting")
    section.html = lambda facts: [tag("p", "Hello from the section.")]
    section.markdown = lambda facts: ["Hello from the section."]
    monkeypatch.setitem(sys.modules, section.__name__, section)
    known = ("fidelity", "greeting", "problems")
    monkeypatch.setattr("reports.contest.report.sections.SECTIONS", known)
    facts = compare(draw(Truth(seeds=(1, 2, 3))))
    assert "Hello from the section." in Page(html(facts)).texts
    assert markdown(facts).endswith("\n\nHello from the section.\n")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("lenet5", "Contest lenet5"),
        ("contest", "Contest of trials.lenet5:make_task"),
        ("Contest", "Contest of trials.lenet5:make_task"),
        ("contest-lenet5", "Contest lenet5"),
        ("contested", "Contest contested"),
    ],
)
def test_the_title_does_not_say_contest_twice(name, title):
    facts = compare(draw(Truth(seeds=(1, 2, 3)))._replace(name=name))
    assert f"<title>{title}</title>" in html(facts) and f"<h1>{title}</h1>" in html(facts)
    assert markdown(facts).replace("\\", "").startswith(f"# {title}\n")


def test_no_test_data_choose_what_is_compared(planted, tmp_path):
    """The page of a contest whose test fidelities are all the same names the same rivals."""
    results = collect(planted)
    same = {cell: found._replace(test=0.5) for cell, found in results.records.items()}
    chosen = [
        [one.rivals for one in verdicts(compare(found))[0].judgements]
        for found in (results, results._replace(records=same))
    ]
    assert chosen[0] == chosen[1]
    assert pages.html(compare(results._replace(records=same)))


def test_a_contest_without_records_has_a_page(tmp_path):
    results = draw(Truth())._replace(records={}, founders={})
    facts = compare(results)
    assert "there are too few records to judge at 10x and 44x" in html(facts)
    assert "120 of 120 cells are missing" in markdown(facts)
    assert write_report(facts, tmp_path).exists()
