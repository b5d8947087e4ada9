"""A lineage as it stands, as one page that needs nothing else: no script, no other file, no network."""

from __future__ import annotations

from pathlib import Path

from ..evolution import selection
from .colors import colour
from .family_tree import draw_tree, tree_facts
from .markup import Element, document, tag
from .scatter import draw_scatter, scatter_facts, unit
from .snapshot import Overview
from .table import draw_table, table_facts
from .text import headline, rules_line, times

_CSS = Path(__file__).with_name("page.css")
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'"  # a browser is not to fetch or run anything
)


def page(facts: Overview, refresh: float | None = None) -> str:
    """The page as text.

    Parameters
    ----------
    facts
        The lineage.
    refresh
        Seconds after which a browser reads the page again; None: never.
    """
    name = facts.folder.resolve()
    title = f"Lineage {name.parent.name if name.name == 'lineage' else name.name}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("title", title),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        None if refresh is None else tag("meta", http_equiv="refresh", content=f"{refresh:g}"),
        tag("style", _CSS.read_text(encoding="utf-8")),
    )
    body = tag(
        "body",
        tag(
            "header",
            tag("h1", title),
            tag("p", headline(facts), class_="state"),
            tag("p", rules_line(facts), class_="soft"),
        ),
        tag(
            "main",
            _summary(facts),
            *_tree(facts),
            *_scatter(facts),
            *_table(facts),
            *_constraints(facts),
            *_losses(facts),
        ),
    )
    return document(tag("html", head, body, lang="en"))


def summary(facts: Overview) -> list[tuple[str, str, str]]:
    """The lineage in a few figures: what, how much, and a remark."""
    states = [child.state for child in facts.offspring if child.generation]
    found = [
        (
            "offspring",
            f"{states.count('recorded')} of {len(states)}",
            f"recorded; {states.count('lost')} lost, {len(facts.frontier)} on the frontier",
        )
    ]
    if facts.line:
        founder, best = facts.line[0], facts.line[-1]
        found = [
            ("best survivor", best.uid, f"generation {best.generation}"),
            ("efficiency", times(best.efficiency), unit(facts)),
            ("synapses", f"{best.synapses:,}", f"founder {founder.synapses:,}"),
            ("MACs", f"{best.macs:,}", f"founder {founder.macs:,}"),
            (
                "validation fidelity",
                f"{best.validation:.4f}",
                f"founder {founder.validation:.4f}; test {best.test:.4f}, founder {founder.test:.4f}",
            ),
            *found,
        ]
    return found


def constraints(facts: Overview) -> list[tuple[str, float, float]]:
    """(resource, share of the founder's that is allowed, share that the best survivor uses)."""
    if not facts.line:
        return []
    return [
        (resource, allowed, selection.used(facts.line[-1], facts.founder, resource))
        for resource, allowed in facts.rules.constraints.items()
    ]


def _summary(facts: Overview) -> Element:
    return tag(
        "dl",
        *(
            tag("div", tag("dt", what), tag("dd", value, tag("small", remark)))
            for what, value, remark in summary(facts)
        ),
        class_="summary",
    )


def _tree(facts: Overview) -> list[Element]:
    if not facts.generations:
        return []
    line = [
        ("best", "line of the best survivor"),
        ("survivor", "a survivor's ancestor"),
        ("plain", "ancestor"),
        ("other", "second ancestor"),
    ]
    tree = tree_facts(facts)
    used = {edge.kind for edge in tree.edges}
    kinds = {node.kind for node in tree.nodes.values()}
    dots = [
        ("survivor", "survivor"),
        ("recorded", "recorded"),
        ("lost", "lost"),
        ("taken", "being made"),
        ("waiting", "waiting"),
        ("left", "closed without it"),
    ]
    keys = [
        _key(tag("path", d="M0 8H26", class_=f"edge {kind}"), words, 26)
        for kind, words in line
        if kind in used
    ]
    keys += [
        _key(tag("g", _dot(kind), class_=f"node {kind}"), words)
        for kind, words in dots
        if kind in kinds
    ]
    return [
        tag("h2", "Family tree"),
        tag("div", draw_tree(tree), class_="wide"),
        tag("ul", *keys, class_="legend"),
    ]


def _scatter(facts: Overview) -> list[Element]:
    points = scatter_facts(facts)
    if not points.points:
        return []
    last = max(points.points)
    keys = [
        _key(tag("circle", cx=8, cy=8, r=5, fill=colour(number, last)), f"generation {number}")
        if number
        else _key(tag("path", d="M8 1l7 7l-7 7l-7 -7z", fill=colour(0, last)), "founder")
        for number in points.points
    ]
    keys += [
        _key(tag("path", d="M0 8H26", class_="frontier"), "frontier: none is better in both", 26),
        _key(
            tag("g", tag("circle", cx=8, cy=8, r=6, fill="#fff"), class_="node survivor"),
            "survivor",
        ),
    ]
    if any(child.record and child.record.validation < points.bottom for child in facts.offspring):
        keys.append(
            _key(tag("path", d="M2 4h12l-6 9z", fill="#566072"), "fidelity below this figure")
        )
    return [
        tag("h2", "Fidelity against efficiency"),
        tag("div", draw_scatter(points), class_="wide"),
        tag("ul", *keys, class_="legend"),
    ]


def _table(facts: Overview) -> list[Element]:
    table = table_facts(facts)
    same = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in table.same.items())
    return [
        tag("h2", "Hyperparameters of each generation"),
        tag("p", f"The same for all: {same}.") if same else tag("p"),
        tag(
            "p",
            "\N{BLACK STAR} in the line of the best survivor, \N{BLACK CIRCLE} other survivor; untrained: "
            "validation fidelity right after synthesis.",
            class_="soft",
        ),
        tag("div", draw_table(table), class_="wide"),
    ]


def _constraints(facts: Overview) -> list[Element]:
    rows = [
        tag(
            "tr",
            tag("td", resource),
            tag("td", f"{100 * allowed:.1f} %"),
            tag("td", f"{100 * used:.1f} %"),
            tag("td", "kept" if used <= allowed else "not yet kept", class_="word"),
        )
        for resource, allowed, used in constraints(facts)
    ]
    head = tag(
        "thead",
        tag("tr", *(tag("th", name) for name in ("resource", "allowed", "best survivor", ""))),
    )
    return (
        [
            tag("h2", "Constraints, as shares of the founder's"),
            tag("table", head, tag("tbody", *rows)),
        ]
        if rows
        else []
    )


def _losses(facts: Overview) -> list[Element]:
    lists = [
        ("Lost offspring", [f"{loss.uid}: {loss.reason}" for loss in facts.losses]),
        ("Set aside by the tuner, to be made again", [f"aside/{name}" for name in facts.aside]),
        ("Damaged, and left as found", facts.damaged),
    ]
    return [
        part
        for title, lines in lists
        if lines
        for part in (
            tag("h2", title),
            tag("ul", *(tag("li", line) for line in lines), class_="losses"),
        )
    ]


def _key(shape: Element, words: str, width: int = 16) -> Element:
    return tag("li", tag("svg", shape, width=width, height=16, aria_hidden="true"), words)


def _dot(kind: str) -> Element:
    if kind == "lost":
        return tag("path", d="M4 4l8 8m0 -8l-8 8")
    fill = colour(1, 3) if kind in ("survivor", "recorded") else "#fff"
    return tag("circle", cx=8, cy=8, r=6 if kind == "survivor" else 5, fill=fill)
