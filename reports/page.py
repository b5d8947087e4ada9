"""A contest as one self-contained HTML page, its Markdown twin, and every number as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nni_stress.utils.atomic_files import write_atomically
from nni_stress.visualization.markup import Element, document, tag

from .charts import Line, Mark, bars_chart, legend, lines_chart
from .collect import Outcome, Results
from .compare import Comparison
from .contest import EVOLUTION
from .tables import Table, chosen_knobs, lineage, ours, percent, shown, tables, theirs

_CSS = Path(__file__).with_name("report.css")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
FILES = ("report.html", "report.md", "report.csv", "report.json")


def write_report(facts: Comparison, folder: Path) -> Path:
    """Write all four files; returns the page's path."""
    contents = (html(facts), markdown(facts), as_csv(facts), as_json(facts))
    for name, content in zip(FILES, contents):
        write_atomically(folder / name, content.encode("utf-8"))
    return folder / FILES[0]


def html(facts: Comparison) -> str:
    """The page as text."""
    title = f"Contest {facts.results.name}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("title", title),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("style", _CSS.read_text(encoding="utf-8")),
    )
    first, *rest = tables(facts)
    body = tag(
        "body",
        tag("header", tag("h1", title), tag("p", facts.verdict, class_="verdict")),
        tag(
            "main",
            *_frontier(facts, "NNI's own pruners", theirs(facts.methods)),
            _table(first),
            tag("ul", *(tag("li", line) for line in facts.details)),
            *_frontier(facts, "its own ablations", ours(facts.methods)[1:]),
            *(_table(table) for table in rest),
            *_latency(facts),
            *_survivor(facts),
            _folded(chosen_knobs(facts)),
            *_problems(facts),
            *_environment(facts.results),
        ),
    )
    return document(tag("html", head, body, lang="en"))


def _frontier(facts: Comparison, words: str, others: Sequence[str]) -> list[Element]:
    methods = [EVOLUTION, *others]
    lines = [
        Line(name, number, _marks(facts, name))
        for number, name in enumerate(methods)
        if name in facts.methods
    ]
    if not others or not any(line.marks for line in lines):
        return []
    drawn = lines_chart(
        f"Test fidelity against efficiency, the evolution and {words}",
        lines,
        "architecture efficiency (founder's synapses / network's synapses)",
        "test fidelity",
        (facts.results.founder["test"], "founder"),
    )
    return [
        tag("h2", f"The evolution beside {words}"),
        tag(
            "figure",
            tag("div", drawn, class_="wide", tabindex=0),
            legend(lines),
            tag(
                "figcaption",
                "Median over seeds with its 95 % interval. Marks link to the record of the first seed; what lies far "
                "below points down at the lower edge.",
            ),
        ),
    ]


def _marks(facts: Comparison, method: str) -> list[Mark]:
    marks = []
    for budget in facts.budgets:
        entry = facts.entries[method, budget]
        if entry.test is not None:
            words = f"{method} at {budget:g}x: {percent(entry.test.median)} %"
            if entry.test.low is not None:
                words += f", 95 % interval {percent(entry.test.low)} to {percent(entry.test.high)}"
            marks.append(
                Mark(
                    _middle(o.chosen.efficiency for o in entry.outcomes.values()),
                    entry.test.median,
                    entry.test.low,
                    entry.test.high,
                    words,
                    entry.outcomes[min(entry.outcomes)].path,
                )
            )
    return sorted(marks)


def _middle(values) -> float:
    found = sorted(values)
    return found[len(found) // 2]


def _latency(facts: Comparison) -> list[Element]:
    """Latency compares on one machine only: drawn is the first, on which the evolution ran."""
    lines, machines = [], facts.results.environments
    for number, method in enumerate([EVOLUTION, *theirs(facts.methods)]):
        marks = []
        for budget in facts.budgets if method in facts.methods else ():
            known = [
                o.chosen
                for o in facts.entries[method, budget].outcomes.values()
                if o.chosen.latency and o.environment == machines[0]
            ]
            if known:
                speed, efficiency = (
                    _middle(1 / one.latency for one in known),
                    _middle(one.efficiency for one in known),
                )
                marks.append(
                    Mark(
                        efficiency,
                        speed,
                        None,
                        None,
                        f"{method} at {efficiency:.0f}x: {speed:.2f} times faster",
                        None,
                    )
                )
        lines.append(Line(method, number, sorted(marks)))
    if not any(line.marks for line in lines):
        return []
    return [
        tag(
            "figure",
            tag(
                "div",
                lines_chart(
                    "Speed against efficiency",
                    [line for line in lines if line.marks],
                    "architecture efficiency",
                    "founder's latency / network's",
                ),
                class_="wide",
                tabindex=0,
            ),
            tag("figcaption", f"On the first of {len(machines)} machines.")
            if len(machines) > 1
            else None,
        )
    ]


def _table(table: Table) -> Element:
    heads = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in table.head)))
    rows = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            *map(_field, fields),
            class_="own" if name == EVOLUTION else None,
        )
        for name, fields in table.rows
    ]
    return tag(
        "section",
        tag("h2", table.title),
        tag("p", table.remark, class_="soft"),
        tag("div", tag("table", heads, tag("tbody", *rows)), class_="wide", tabindex=0),
    )


def _field(field) -> Element:
    text = tag("a", field.text, href=field.link) if field.link else field.text
    note = tag("small", field.note) if field.note else None
    return tag("td", text, note, class_="missing" if field.text == "missing" else None)


def _folded(table: Table) -> Element:
    return tag("details", tag("summary", table.title), _table(table))


def layers(facts: Comparison, outcome: Outcome) -> list[tuple[str, float, float]]:
    """(layer, the founder's clusters, the survivor's) of every layer with clusters."""
    founder, survivor = facts.results.founder["architecture"], outcome.chosen.architecture
    return [
        (name, shape[0], survivor.get(name, [0])[0])
        for name, shape in founder.items()
        if len(shape) > 1
    ]


def _survivor(facts: Comparison) -> list[Element]:
    table, outcome = lineage(facts), shown(facts)
    if table is None:
        return []
    drawn = bars_chart("Clusters of each layer, founder and survivor", layers(facts, outcome))
    return [
        _table(table),
        tag("h2", "Its survivor, layer by layer"),
        tag(
            "figure",
            tag("div", drawn, class_="wide", tabindex=0),
            tag(
                "figcaption",
                "Clusters (filters, neurons) of each layer: the founder's, and filled those of the survivor.",
            ),
        ),
    ]


def _problems(facts: Comparison) -> list[Element]:
    if not facts.results.problems:
        return []
    return [
        tag("h2", "Records that are missing or cannot be used"),
        tag("ul", *(tag("li", line) for line in facts.results.problems), class_="problems"),
    ]


def environment(results: Results) -> list[tuple[str, str]]:
    """What the contest ran on, as its records say. Where that is several machines, how many cells ran on each."""
    known = []
    for name in dict.fromkeys(name for environment in results.environments for name in environment):
        values = Counter(
            outcome.environment.get(name, "not recorded") for outcome in results.outcomes.values()
        )
        known.append(
            (
                name,
                next(iter(values))
                if len(values) == 1
                else "; ".join(f"{value} ({number} cells)" for value, number in values.items()),
            )
        )
    return [
        *known,
        ("task", f"{results.contest.task} {dict(results.contest.task_arguments) or ''}".strip()),
        ("seeds", ", ".join(map(str, results.contest.seeds))),
    ]


def repeat(results: Results) -> str:
    """The command, from where the report was written: a page may go to others, whose paths are theirs."""
    file = (results.folder / "contest.yml").resolve()
    shown_as = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return f"python -m reports contest {shlex.quote(str(shown_as))} --folder repeated"


def _environment(results: Results) -> list[Element]:
    rows = [
        tag("tr", tag("th", name, scope="row"), tag("td", value))
        for name, value in environment(results)
    ]
    return [
        tag("h2", "What it ran on, and how to repeat it"),
        tag("table", tag("tbody", *rows), class_="facts"),
        tag("pre", repeat(results)),
        tag(
            "p",
            "Every number: ",
            tag("a", "report.csv", href="report.csv"),
            ", ",
            tag("a", "report.json", href="report.json"),
            ".",
        ),
    ]


def markdown(facts: Comparison) -> str:
    """The same in Markdown, without the figures."""
    parts = [
        f"# Contest {_plain(facts.results.name)}",
        f"**{_plain(facts.verdict)}**",
        "\n".join(f"- {_plain(line)}" for line in facts.details),
    ]
    found = [*tables(facts), lineage(facts), chosen_knobs(facts)]
    parts += [_markdown_table(table) for table in found if table is not None]
    if facts.results.problems:
        parts += [
            "## Records that are missing or cannot be used",
            "\n".join(f"- {_plain(line)}" for line in facts.results.problems),
        ]
    parts += [
        "## What it ran on, and how to repeat it",
        "\n".join(
            f"- {_plain(name)}: {_plain(value)}" for name, value in environment(facts.results)
        ),
        f"    {repeat(facts.results)}",
    ]
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    def field(one) -> str:
        text = f"[{_plain(one.text)}]({one.link})" if one.link else _plain(one.text)
        return f"{text} ({_plain(one.note)})" if one.note else text

    lines = ["| " + " | ".join(map(_plain, table.head)) + " |", "|" + "---|" * len(table.head)]
    lines += [
        f"| {_plain(name)} | " + " | ".join(map(field, fields)) + " |"
        for name, fields in table.rows
    ]
    return f"## {_plain(table.title)}\n\n{_plain(table.remark)}\n\n" + "\n".join(lines)


def _plain(text: str) -> str:
    """Text that Markdown takes as text."""
    clean = "".join(c if c.isprintable() else " " for c in str(text))
    for sign in "\\`*_[]<>|":
        clean = clean.replace(sign, "\\" + sign)
    return clean


_COLUMNS = (
    "method",
    "budget",
    "seed",
    "trial",
    "chosen",
    "efficiency",
    "synapses",
    "macs",
    "latency",
    "validation",
    "test",
    "untrained",
    "epochs",
    "seconds",
    "record",
)


def _numbers(facts: Comparison) -> list[dict]:
    found = []
    for cell, outcome in facts.results.outcomes.items():
        for trial in outcome.trials:
            found.append(
                dict(
                    zip(
                        _COLUMNS,
                        (
                            *cell,
                            trial.number,
                            trial.number == outcome.chosen.number,
                            trial.efficiency,
                            trial.synapses,
                            trial.macs,
                            trial.latency,
                            trial.validation,
                            trial.test,
                            trial.untrained,
                            trial.epochs,
                            trial.seconds,
                            outcome.path,
                        ),
                    )
                )
            )
    return found


def as_csv(facts: Comparison) -> str:
    """Every trial of every cell that counts."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_numbers(facts))
    return text.getvalue()


def as_json(facts: Comparison) -> str:
    """The facts behind the tables, and every trial."""
    entries = [
        {
            "method": e.method,
            "budget": e.budget,
            "test": e.test and e.test._asdict(),
            "against": e.against and e.against._asdict(),
            "p": e.p,
            "claim": e.claim,
            "missing": e.missing,
        }
        for e in facts.entries.values()
    ]
    frontiers = [
        {
            "method": f.method,
            "hypervolume": f.hypervolume and f.hypervolume._asdict(),
            "efficiency": {
                str(loss): found and {**found[0]._asdict(), "lower_bound": found[1]}
                for loss, found in f.efficiency.items()
            },
            "fidelity": {f"{b:g}": one and one._asdict() for b, one in f.fidelity.items()},
        }
        for f in facts.frontiers.values()
    ]
    return (
        json.dumps(
            {
                "name": facts.results.name,
                "verdict": facts.verdict,
                "details": facts.details,
                "founder": facts.results.founder,
                "entries": entries,
                "frontiers": frontiers,
                "trials": _numbers(facts),
                "problems": facts.results.problems,
            },
            indent=1,
        )
        + "\n"
    )
