"""The sections of a lineage's page as HTML: figures with legends, tables and lists."""

from __future__ import annotations

from collections.abc import Iterable

from . import family_tree, scatter
from .facts import constraints, summary, untrained_loss_line
from .family_tree import draw_family_tree
from .markup import Element, tag
from .scatter import draw_scatter, scatter_plot
from .snapshot import Overview
from .table import draw_table, offspring_table

_EDGES = {
    "best": "ancestry of the best survivor",
    "survivor": "ancestor of a survivor",
    "plain": "ancestor",
    "other": "second ancestor",
}
_NODES = {
    "survivor": "survivor",
    "recorded": "recorded",
    "lost": "lost",
    "taken": "in progress",
    "waiting": "waiting",
    "left": "closed without it",
}


def sections(overview: Overview) -> list[Element]:
    """All sections of the page, in order.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nni_stress.evolution.rules import Rules
    >>> found = sections(Overview(Path("lineage"), Rules(generations=3, tolerance=0.01)))
    >>> [element.text for element in found if element.tag == "h2"]
    ['Hyperparameters of each generation']
    """
    return [
        _summary(overview),
        *_family_tree(overview),
        *_scatter(overview),
        *_table(overview),
        *_constraints(overview),
        *_losses(overview),
    ]


def _summary(overview: Overview) -> Element:
    figures = [
        tag("div", tag("dt", name), tag("dd", value, tag("small", remark)))
        for name, value, remark in summary(overview)
    ]
    return tag("dl", *figures, class_="summary")


def _family_tree(overview: Overview) -> list[Element]:
    if not overview.generations:
        return []
    tree = family_tree.family_tree(overview)
    edge_kinds = {edge.kind for edge in tree.edges}
    node_kinds = {node.kind for node in tree.nodes.values()}
    legend = [
        _key(tag("path", d="M0 8H26", class_=f"edge {kind}"), words, 26)
        for kind, words in _EDGES.items()
        if kind in edge_kinds
    ]
    legend += [
        _key(tag("g", _node(kind), class_=f"node {kind}"), words)
        for kind, words in _NODES.items()
        if kind in node_kinds
    ]
    best = family_tree.place_of_best(tree)
    return _figure("Family tree", draw_family_tree(tree), best, legend)


def _scatter(overview: Overview) -> list[Element]:
    plot = scatter_plot(overview)
    if not plot.points:
        return []
    names = {generation.number: generation.name for generation in overview.generations}
    legend = [_generation_key(number, names[number]) for number in plot.points]
    if len(plot.frontier) > 1:
        line = tag("path", d="M0 8H26", class_="frontier")
        legend.append(_key(line, "frontier: no offspring is better in both", 26))
    if plot.survivors - {plot.founder}:
        circle = tag("circle", cx=8, cy=8, r=6, class_="empty")
        legend.append(_key(tag("g", circle, class_="node survivor"), "survivor"))
    if any(record.validation < plot.bottom for _, record in overview.recorded):
        triangle = tag("path", d="M2 4h12l-6 9z", class_="below")
        legend.append(_key(triangle, "fidelity below the range of this figure"))
    best = scatter.place_of_best(plot)
    return _figure("Fidelity against efficiency", draw_scatter(plot), best, legend)


def _table(overview: Overview) -> list[Element]:
    table = offspring_table(overview)
    constant = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in table.constant.items()
    )
    told = untrained_loss_line(overview)
    return [
        tag("h2", "Hyperparameters of each generation"),
        tag("p", f"The same for all: {constant}." if constant else None),
        tag(
            "p",
            "\N{BLACK STAR} ancestry of the best survivor, \N{BLACK CIRCLE} other survivor; "
            "untrained: validation fidelity right after synthesis.",
            class_="soft",
        ),
        *([] if told is None else [tag("p", told, class_="soft")]),
        _scrolling("Hyperparameters of each generation", draw_table(table)),
    ]


def _constraints(overview: Overview) -> list[Element]:
    rows = [
        tag(
            "tr",
            tag("td", resource),
            tag("td", f"{100 * allowed:.1f} %"),
            tag("td", f"{100 * used:.1f} %"),
            tag("td", "met" if used <= allowed else "not yet met", class_="word"),
        )
        for resource, allowed, used in constraints(overview)
    ]
    if not rows:
        return []
    names = ("resource", "allowed", "best survivor", "")
    head = tag("thead", tag("tr", *(tag("th", name) for name in names)))
    return [
        tag("h2", "Constraints, as shares of the founder's resources"),
        tag("table", head, tag("tbody", *rows)),
    ]


def _losses(overview: Overview) -> list[Element]:
    losses = [f"{loss.uid}: {loss.reason}" for loss in overview.losses]
    aside = [f"aside/{name}" for name in overview.aside]
    return [
        *_list("Lost offspring", losses),
        *_list("Set aside by the tuner, to be retried", aside),
        *_list("Damaged, left unchanged", overview.damaged),
    ]


def _list(title: str, lines: Iterable[str]) -> list[Element]:
    """A heading and a list; nothing if the list is empty."""
    items = [tag("li", line) for line in lines]
    return [tag("h2", title), tag("ul", *items, class_="losses")] if items else []


def _figure(
    title: str, figure: Element, best: float | None, legend: Iterable[Element]
) -> list[Element]:
    """A figure with its heading and legend.

    On a screen that is narrower than the figure, the place `best` (a share of its width) is the
    first to be seen.
    """
    start = None if best is None else tag("i", class_="start", style=f"left:{100 * best:.1f}%")
    return [
        tag("h2", title),
        _scrolling(title, tag("div", figure, start, class_="figure")),
        tag("ul", *legend, class_="legend"),
    ]


def _scrolling(title: str, content: Element) -> Element:
    """What may be wider than the screen; it can be scrolled with a keyboard, too."""
    return tag("div", content, class_="wide", tabindex=0, role="group", aria_label=title)


def _key(shape: Element, words: str, width: int = 16) -> Element:
    """One entry of a legend."""
    return tag("li", tag("svg", shape, width=width, height=16, aria_hidden="true"), words)


def _generation_key(number: int, name: str) -> Element:
    if number == 0:
        return _key(tag("path", d="M8 1l7 7l-7 7l-7 -7z", class_="g0"), name)
    return _key(tag("circle", cx=8, cy=8, r=5, class_=f"g{number}"), name)


def _node(kind: str) -> Element:
    if kind == "lost":
        return tag("path", d="M4 4l8 8m0 -8l-8 8")
    fill = "any" if kind in ("survivor", "recorded") else "empty"
    return tag("circle", cx=8, cy=8, r=6 if kind == "survivor" else 5, class_=fill)
