"""The page of `status --html`: its content, its validity, and how a browser renders it."""

import html.parser
import random
import re
import shutil
import subprocess
from itertools import pairwise

import pytest

from nni_stress.utils.atomic_files import write_json
from nni_stress.visualization.axes import limits, log_limits, log_ticks, ticks
from nni_stress.visualization.facts import constraints, summary, untrained_loss_line
from nni_stress.visualization.family_tree import Edge, family_tree, tooltip
from nni_stress.visualization.html_page import lineage_page, page, title
from nni_stress.visualization.scatter import draw_scatter, scatter_plot
from nni_stress.visualization.snapshot import overview
from nni_stress.visualization.table import offspring_table
from tests.unit.cli.test_status import evolve

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)
VOID = {"meta", "base"}
KINDS = {
    "founder": {"trained": 1},
    "begun": {"trained": 0},
    "open": {"trained": 10},
    "several": {"survivors": 3, "chance": random.Random(4)},
    "parents": {"survivors": 3, "parents": 2},
    "weak": {"tolerance": 0, "patience": 1, "seed": 5},
    "macs": {"resource": "macs", "constraints": {"parameters": 0.2, "macs": 0.3}},
    "big": {
        "population_size": 20,
        "generations": 10,
        "survivors": 3,
        "parents": 2,
        "chance": random.Random(4),
    },
}


class Reader(html.parser.HTMLParser):
    """Reads a page strictly: every element must be closed, in order."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.elements = []
        self.texts = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else None, data))

    def all(self, attribute):
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_valid_and_self_contained(tmp_path, kind):
    evolve(tmp_path / "lineage", **KINDS[kind])
    facts = overview(tmp_path / "lineage")
    text = page(facts)
    read = Reader(text)
    names = [child.uid for generation in facts.generations for child in generation.offspring]
    ids = read.all("id")
    assert len(ids) == len(set(ids)) and set(ids) == {*names, *(f"node-{name}" for name in names)}
    assert all(href.startswith("#") and href[1:] in ids for href in read.all("href"))
    assert (
        not read.all("src")
        and "http://" not in text
        and "https://" not in text
        and "url(" not in text
    )
    assert not {tag for tag, _ in read.elements} & {"script", "link", "img", "iframe"}
    assert read.elements[2] == (
        "meta",
        {"charset": "utf-8"},
    )  # after html and head, so that the encoding is known early
    shown = " ".join(data for _, data in read.texts)
    assert all(loss.reason in shown for loss in facts.losses) and all(
        name in shown for name in names
    )


def test_markup_in_a_record_stays_text(tmp_path):
    lineage = evolve(tmp_path)
    bad = "</title></style><script>alert(1)</script><img src=x onerror='alert(1)'>\x00\ud800\""
    record = lineage.record("g001-01")
    write_json(
        tmp_path / "offspring" / "g001-01" / "record.json",
        record._replace(arguments={bad: bad, "nested": {"a": [bad]}}, seconds={bad: bad})._asdict(),
    )
    lineage.add_failure("g001-02", bad)
    lineage.update_state(finished=bad, search_space=bad)
    (tmp_path / "aside" / "<script>").mkdir(parents=True)
    honest = Reader(page(overview(evolve(tmp_path / "other").folder)))
    text = page(overview(tmp_path))
    read = Reader(text)
    assert {tag for tag, _ in read.elements} == {tag for tag, _ in honest.elements}
    assert {name for _, attributes in read.elements for name in attributes} <= {
        name for _, attributes in honest.elements for name in attributes
    }
    assert any("<script>alert(1)</script>" in data for _, data in read.texts)
    text.encode()


def test_the_tree_shows_every_offspring_and_its_ancestors(tmp_path):
    lineage = evolve(tmp_path, survivors=3, parents=2)
    lineage.add_failure("g005-09", "belongs to no generation")
    facts = overview(tmp_path)
    tree = family_tree(facts)
    records = {record.uid: record for record in lineage.records()}
    assert set(tree.nodes) == set(records)
    assert len({(node.column, node.height) for node in tree.nodes.values()}) == len(records)
    assert all(0 < node.height < tree.rows for node in tree.nodes.values())
    wanted = {(record.ancestor, uid) for uid, record in records.items() if record.ancestor}
    assert {edge[:2] for edge in tree.edges if edge.kind != "other"} == wanted
    assert {edge[:2] for edge in tree.edges if edge.kind == "other"} == {
        (r.other, u) for u, r in records.items() if r.other
    }
    steps = [
        Edge(ancestor.uid, record.uid, "best")
        for ancestor, record in zip(facts.line, facts.line[1:])
    ]
    assert [edge for edge in tree.edges if edge.kind == "best"] == steps
    assert {uid for uid, node in tree.nodes.items() if node.best} == {
        record.uid for record in facts.line
    }
    assert {uid for uid, node in tree.nodes.items() if node.kind == "survivor"} == facts.survivors
    words = tooltip(tree.nodes["g002-01"].offspring)
    record = records["g002-01"]
    assert (
        f"from {record.ancestor} and {record.other}" in words
        and f"fidelity {record.validation:.4f}" in words
    )
    assert f"temperature {record.arguments['temperature']:.3g}" in words


def test_the_tree_shows_lost_and_waiting_offspring(tmp_path):
    lineage = evolve(tmp_path, trained=6)
    lineage.add_failure("g002-01", "no memory")
    tree = family_tree(overview(tmp_path))
    assert {uid: node.kind for uid, node in tree.nodes.items() if uid > "g002"} == {
        "g002-00": "recorded",
        "g002-01": "lost",
        "g002-02": "waiting",
        "g002-03": "waiting",
    }
    assert tree.titles[0] == ("founder", "") and tree.titles[2] == ("generation 2", "in progress")


def test_the_figure_shows_every_record(tmp_path):
    evolve(tmp_path, chance=random.Random(4))
    facts = overview(tmp_path)
    shown = scatter_plot(facts)
    assert {number: len(children) for number, children in shown.points.items()} == {
        g.number: sum(child.record is not None for child in g.offspring) for g in facts.generations
    }
    assert shown.tolerated == pytest.approx(0.95 - 0.2) and shown.founder == "g000-00"
    assert shown.frontier == [(record.efficiency, record.validation) for record in facts.frontier]
    assert shown.bottom == min(
        record.validation for points in shown.points.values() for _, record in points
    )


def test_one_low_fidelity_does_not_squeeze_the_other_points(tmp_path):
    lineage = evolve(tmp_path, tolerance=0.02)
    record = lineage.record("g003-01")
    write_json(
        tmp_path / "offspring" / "g003-01" / "record.json",
        record._replace(validation=0.1)._asdict(),
    )
    assert 0.85 < scatter_plot(overview(tmp_path)).bottom < 0.93


def test_ticks_are_round_and_few():
    assert log_ticks(0.9, 45) == [1, 2, 5, 10, 20] and log_ticks(0.9, 2e5) == [
        1,
        10,
        100,
        1000,
        10_000,
        100_000,
    ]
    assert list(ticks(0.9712, 0.9968).values()) == ["0.975", "0.980", "0.985", "0.990", "0.995"]
    for seed in range(50):
        chance = random.Random(seed)
        low, high = sorted((chance.random(), chance.random()))
        found = ticks(low, high)
        assert (
            2 <= len(found) <= 9
            and all(low <= tick <= high for tick in found)
            and len(set(found.values())) == len(found)
        )


@pytest.mark.parametrize("value", [0.9, 93.5, 1e-4, 1.0, 0.0, -2.0])
def test_an_axis_of_equal_values_has_room_and_ticks(value):
    low, high = limits([value, value])
    assert low < value < high and high - low < 0.1 * (abs(value) or 20)
    assert len(ticks(low, high)) >= 3
    if value > 0:
        left, right = log_limits([value])
        assert left < value < right < 4 * left and len(log_ticks(left, right)) >= 3


@pytest.mark.parametrize("fidelity", [0.95, 93.5, 0.0001, -12.25])
def test_the_titles_of_axes_keep_clear_of_their_ticks(tmp_path, fidelity):
    lineage = evolve(tmp_path)
    rewrite(lineage, {r.uid: {"validation": fidelity} for r in lineage.records()})
    figure = draw_scatter(scatter_plot(overview(tmp_path)))
    texts = [text for text in figure.findall("text") if text.text]
    ends = [text for text in texts if text.get("text-anchor") == "end"]
    ticks_left = [float(text.get("x")) - 7.5 * len(text.text) for text in ends]
    (upwards,) = [text for text in texts if "rotate" in text.get("transform", "")]
    middle = float(re.search(r"translate\((\S+)", upwards.get("transform"))[1])
    assert len(ticks_left) >= 3 and middle + 8 < min(ticks_left)
    (across,) = [text for text in texts if text.text.startswith("efficiency (")]
    below = [float(text.get("y")) for text in texts if re.fullmatch(r"[\d.,]+x", text.text)]
    assert len(below) >= 3 and float(across.get("y")) - max(below) > 15


def test_a_legend_names_only_what_is_there(tmp_path):
    evolve(tmp_path / "founder", trained=1)
    evolve(tmp_path / "whole", chance=random.Random(4))

    def legends(folder):
        elements = Reader(page(overview(folder))).texts
        return {data for tag, data in elements if tag == "li"}

    assert "frontier: no offspring is better in both" not in legends(tmp_path / "founder")
    assert "frontier: no offspring is better in both" in legends(tmp_path / "whole")


def test_the_title_has_the_experiments_name_and_id(tmp_path):
    lineage = evolve(tmp_path / "first" / "lineage", trained=1)
    assert title(overview(lineage.folder)) == "Lineage first"
    lineage.update_state(experiment="ab12cd34")
    assert title(overview(lineage.folder)) == "Lineage first (experiment ab12cd34)"
    lineage.update_state(name="LeNet-5 <b>")
    read = Reader(page(overview(lineage.folder)))
    for tag in ("title", "h1"):
        first = next(data for name, data in read.texts if name == tag)
        assert first == "LeNet-5 <b> (experiment ab12cd34)"
    inside = evolve(tmp_path / "ef56" / "checkpoint" / "lineage", trained=1)
    inside.update_state(experiment="ef56")
    assert title(overview(inside.folder)) == "Lineage ef56"


def test_a_page_for_a_frame_differs_in_its_base_only(tmp_path):
    evolve(tmp_path, trained=6)
    base = '<base href="about:srcdoc">'
    assert lineage_page(tmp_path).count(base) == 1
    assert lineage_page(tmp_path).replace(base, "") == page(overview(tmp_path))


def rewrite(lineage, changes):
    """Change the records of offspring on disk."""
    for uid, change in changes.items():
        write_json(
            lineage.folder / "offspring" / uid / "record.json",
            lineage.record(uid)._replace(**change)._asdict(),
        )


def test_one_line_says_what_the_untrained_loss_tells_of_the_fidelity(tmp_path):
    lineage = evolve(tmp_path, chance=random.Random(4))
    records = sorted(lineage.records()[1:], key=lambda record: record.validation)
    names = [r.uid for r, after in pairwise(records) if r.validation < after.validation][:6]
    assert untrained_loss_line(overview(tmp_path)) is None  # of records that do not say
    losses = {uid: {"untrained_loss": 2.0 - place} for place, uid in enumerate(names)}
    rewrite(lineage, dict(list(losses.items())[:4]))
    assert untrained_loss_line(overview(tmp_path)) is None
    assert "Rank correlation" not in page(overview(tmp_path))
    rewrite(lineage, losses)
    line = untrained_loss_line(overview(tmp_path))
    assert "fidelity: -1.00 over 6 offspring" in line
    assert [text for _, text in Reader(page(overview(tmp_path))).texts].count(line) == 1
    rewrite(
        lineage, {names[0]: {"untrained_loss": 9.0, "forecast": 0.5}, names[1]: {"forecast": 0.5}}
    )
    assert untrained_loss_line(overview(tmp_path)) is None  # ended early: not their final fidelity
    rewrite(lineage, {uid: {"untrained_loss": 1.0, "forecast": None} for uid in names})
    assert untrained_loss_line(overview(tmp_path)) is None  # all the same


def test_the_table_has_a_row_per_offspring_and_columns_for_what_varies(tmp_path):
    lineage = evolve(tmp_path, chance=random.Random(4))
    for record in lineage.records()[1:]:
        arguments = {
            **record.arguments,
            "floor": 2,
            "stressor": "weaken" if record.uid == "g001-00" else "silence",
        }
        write_json(
            tmp_path / "offspring" / record.uid / "record.json",
            record._replace(arguments=arguments, untrained=0.25)._asdict(),
        )
    for failure in lineage.failures():
        number = int(failure["uid"][1:4])
        generation = lineage.generation(number)
        for parameters in generation["offspring"]:
            parameters["arguments"].update(floor=2, stressor="silence")
        lineage.write_generation(number, generation)
    facts = overview(tmp_path)
    table = offspring_table(facts)
    assert table.varying == [
        "environmental_factor",
        "stressor",
        "temperature",
    ] and table.constant == {"floor": "2"}
    rows = {row.offspring.uid: row for rows in table.rows.values() for row in rows}
    assert set(rows) == {
        child.uid for generation in facts.generations for child in generation.offspring
    }
    first = lineage.record("g001-00")
    assert rows["g001-00"].achieved == [
        "g000-00",
        f"{first.efficiency:.1f}x",
        f"{first.validation:.4f}",
        f"{first.test:.4f}",
        "0.2500",
    ]
    assert rows["g001-00"].values == [
        f"{first.arguments['environmental_factor']:#.3g}",
        "weaken",
        f"{first.arguments['temperature']:#.3g}",
    ]
    assert (
        all(row.achieved == [] for row in rows.values() if row.offspring.state == "lost")
        and facts.losses
    )
    assert {uid for uid, row in rows.items() if row.mark} == facts.survivors | {
        record.uid for record in facts.line
    }


def test_the_summary_shows_the_best_survivor_and_the_constraints(tmp_path):
    evolve(tmp_path, resource="macs", constraints={"parameters": 0.2, "macs": 0.3})
    facts = overview(tmp_path)
    best = facts.line[-1]
    shown = {what: (value, remark) for what, value, remark in summary(facts)}
    assert shown["best survivor"][0] == best.uid
    assert shown["efficiency"] == (f"{best.efficiency:.1f}x", "founder's MACs / offspring's MACs")
    assert "clusters" not in shown  # records of older versions do not say
    counted = [facts.line[0]._replace(clusters=90), best._replace(clusters=20)]
    shown = [row for row in summary(facts._replace(line=counted)) if row[0] == "clusters"]
    assert shown == [("clusters", "20", "4.5x fewer than the founder")]
    share = best.synapses / 100_000
    assert constraints(facts) == [("parameters", 0.2, share), ("macs", 0.3, share)] and share <= 0.2


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium and no google-chrome here")
@pytest.mark.parametrize("kind", ["open", "big"])
def test_a_browser_renders_the_page_without_messages(tmp_path, kind):
    evolve(tmp_path / "lineage", **KINDS[kind])
    facts = overview(tmp_path / "lineage")
    file = tmp_path / "page.html"
    file.write_text(page(facts), encoding="utf-8")

    def browse(*arguments):
        return subprocess.run(
            [
                BROWSER,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--enable-logging=stderr",
                f"--user-data-dir={tmp_path / 'profile'}",
                *arguments,
                file.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )

    done = browse("--dump-dom")
    names = {child.uid for generation in facts.generations for child in generation.offspring}
    assert (
        set(re.findall(r'id="node-(g\d+-\d+)"', done.stdout)) == names
        and "CONSOLE" not in done.stderr
    )
    for width in (1200, 400):
        picture = tmp_path / f"{width}.png"
        browse(f"--screenshot={picture}", f"--window-size={width},1600")
        assert (
            picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000
        )  # an empty page has 5 kB
