"""Title, headings and charts of a contest's page, whatever was measured."""

import re
from xml.etree import ElementTree

import pytest

from reports.collect import collect
from reports.compare import compare
from reports.contest import EVOLUTION
from reports.page import html, markdown
from reports.synthetic_contest import METHODS, plant

CONTESTS = {
    "two budgets": {"gains": {EVOLUTION: 0.02}},
    "one budget": {"budgets": (44,), "gains": {EVOLUTION: 0.02}},
    "equal values": {"noise": 0.0},
    "one of all": {"budgets": (44,), "noise": 0.0, "seeds": (1,)},
    "a wide range": {"budgets": (2, 5000)},
}


@pytest.fixture(params=CONTESTS)
def facts(request, tmp_path):
    return compare(collect(plant(tmp_path / "planted", **CONTESTS[request.param])))


def charts(facts):
    """The charts of the page, each with the text of the heading above it."""
    body = ElementTree.fromstring(re.search("<body>.*</body>", html(facts), re.DOTALL)[0])
    heading, found = None, []
    for element in body.iter():
        if element.tag == "h2":
            heading = element.text
        if element.tag == "svg" and "chart" in element.get("class", ""):
            found.append((heading, element))
            heading = None  # each chart has its own
    return found


def test_every_chart_has_a_heading_of_its_own(facts):
    headings = [heading for heading, _ in charts(facts)]
    assert len(headings) == 4 and None not in headings and len(set(headings)) == 4


def test_axes_have_ticks_and_room_for_what_they_show(facts):
    drawn = [chart for _, chart in charts(facts) if "bars" not in chart.get("class")]
    assert len(drawn) == 3
    for chart in drawn:
        width = float(chart.get("viewBox").split()[2])
        texts = [text for text in chart.iter("text") if text.text]
        columns = [text for text in texts if re.fullmatch(r"[\d.,]+x", text.text)]
        rows = [text for text in texts if re.fullmatch(r"-?[\d.]+", text.text)]
        assert len(columns) >= 3 and len({text.text for text in columns}) == len(columns)
        assert len(rows) >= 3 and len({text.text for text in rows}) == len(rows)
        (upwards,) = [text for text in texts if "rotate" in text.get("transform", "")]
        middle = float(re.search(r"translate\((\S+)", upwards.get("transform"))[1])
        assert middle + 8 < min(float(text.get("x")) - 7.5 * len(text.text) for text in rows)
        names = [text for text in texts if text.get("class") == "name"]
        assert names and all(float(name.get("x")) + 8.5 * len(name.text) < width for name in names)
        lines = [line for line in chart.iter("line") if line.get("class") == "grid"]
        assert max(float(line.get("x2")) for line in lines) > 0.7 * width


@pytest.mark.parametrize(
    ("folder", "title"),
    [
        ("lenet5", "Contest lenet5"),
        ("contest", "Contest of trials.lenet5:make_task"),
        ("Contest", "Contest of trials.lenet5:make_task"),
        ("contest-lenet5", "Contest lenet5"),
        ("contested", "Contest contested"),
    ],
)
def test_the_title_does_not_say_contest_twice(tmp_path, folder, title):
    small = {"methods": METHODS[:3], "budgets": (10,), "seeds": (1, 2)}
    facts = compare(collect(plant(tmp_path / folder, **small)))
    assert f"<title>{title}</title>" in html(facts) and f"<h1>{title}</h1>" in html(facts)
    assert markdown(facts).replace("\\", "").startswith(f"# {title}\n")
