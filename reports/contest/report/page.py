"""Assembles a contest's report: a self-contained HTML page, its Markdown twin, CSV and JSON.

What the page shows is in :mod:`.sections`.
"""

from __future__ import annotations

import re
from pathlib import Path

from nni_stress import visualization
from nni_stress.utils.atomic_files import write_atomically
from nni_stress.visualization.markup import Element, document, tag

from ...markdown import markdown_list, markdown_text
from .export import as_csv, as_json
from .facts import Comparison
from .sections import sections
from .sentences import HOW, second_line, sentence
from .verdict import verdicts
from .warnings import warnings

_CSS = (
    Path(__file__).with_name("report.css"),
    Path(visualization.__file__).with_name("scrolling.css"),
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
FILES = ("report.html", "report.md", "report.csv", "report.json")


def write_report(facts: Comparison, folder: Path) -> Path:
    """Write all four files of a report.

    Parameters
    ----------
    facts
        The comparison.
    folder
        The contest's folder, which links on the page are relative to.

    Returns
    -------
    Path
        The HTML page.
    """
    contents = (html(facts), markdown(facts), as_csv(facts), as_json(facts))
    for name, content in zip(FILES, contents):
        write_atomically(folder / name, content.encode("utf-8"))
    return folder / FILES[0]


def heading(facts: Comparison) -> str:
    """Return the title of a report: the contest's folder, or its task if the folder has no name."""
    name = facts.results.name
    if re.fullmatch(r"contests?|", name, re.IGNORECASE):
        return f"Contest of {facts.results.contest.task}"
    named = re.sub(r"^contest[\s_-]+", "", name, flags=re.IGNORECASE)
    return f"Contest {named}"


def html(facts: Comparison) -> str:
    """Return the HTML page: warnings and verdict, and below them all sections."""
    title = heading(facts)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("title", title),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        *(tag("style", file.read_text(encoding="utf-8")) for file in _CSS),
    )
    body = tag(
        "body",
        tag("header", tag("h1", title), *_warnings(facts), *_verdict(facts)),
        tag("main", *(element for section in sections() for element in section.html(facts))),
    )
    return document(tag("html", head, body, lang="en"))


def _warnings(facts: Comparison) -> list[Element]:
    lines = warnings(facts)
    return [tag("ul", *(tag("li", line) for line in lines), class_="warnings")] if lines else []


def _verdict(facts: Comparison) -> list[Element]:
    parts = []
    for found in verdicts(facts):
        line = second_line(found)
        second = tag("p", line) if line else None
        claim = found.claims[0].name.lower()
        parts.append(
            tag("div", tag("p", tag("strong", sentence(found))), second, class_=f"verdict {claim}")
        )
    return [*parts, tag("p", HOW, class_="soft")]


def markdown(facts: Comparison) -> str:
    """Return the same in Markdown, without the charts."""
    lines = warnings(facts)
    parts = [f"# {markdown_text(heading(facts))}"]
    if lines:
        parts.append(markdown_list([f"Warning: {line}" for line in lines]))
    for found in verdicts(facts):
        parts += [f"**{markdown_text(sentence(found))}**", markdown_text(second_line(found))]
    parts.append(markdown_text(HOW))
    parts += [paragraph for section in sections() for paragraph in section.markdown(facts)]
    return "\n\n".join(filter(None, parts)) + "\n"
