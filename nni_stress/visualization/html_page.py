"""A snapshot of a lineage as one HTML page without scripts, other files or network access."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..evolution import selection
from ..lineage.record import Record
from ..utils.rank_correlation import rank_correlation
from .colors import color
from .family_tree import draw_family_tree, family_tree
from .markup import Element, document, tag
from .scatter import draw_scatter, scatter_plot, unit
from .snapshot import Overview
from .table import draw_table, offspring_table
from .text import headline, rules_line, times, warning_line

_CSS = Path(__file__).with_name("page.css")
# Keeps a browser from fetching or running anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_LEAST_PAIRS = 5  # offspring of which a rank correlation is shown
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


def page(overview: Overview, refresh: float | None = None) -> str:
    """The page as text.

    Parameters
    ----------
    overview
        The lineage.
    refresh
        Seconds after which a browser reloads the page. None: never.

    Examples
    --------
    >>> from nni_stress.evolution.rules import Rules
    >>> rules = Rules(generations=3, tolerance=0.01)
    >>> page(Overview(Path("lineage"), rules)).splitlines()[0]
    '<!doctype html>'
    """
    folder = overview.folder.resolve()
    title = f"Lineage {folder.parent.name if folder.name == 'lineage' else folder.name}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("title", title),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        None if refresh is None else tag("meta", http_equiv="refresh", content=f"{refresh:g}"),
        tag("style", _CSS.read_text(encoding="utf-8")),
    )
    warning = warning_line(overview)
    header = tag(
        "header",
        tag("h1", title),
        tag("p", headline(overview), class_="state"),
        tag("p", rules_line(overview), class_="soft"),
        None if warning is None else tag("p", warning, class_="soft"),
    )
    main = tag(
        "main",
        _summary(overview),
        *_family_tree(overview),
        *_scatter(overview),
        *_table(overview),
        *_constraints(overview),
        *_losses(overview),
    )
    return document(tag("html", head, tag("body", header, main), lang="en"))


def summary(overview: Overview) -> list[tuple[str, str, str]]:
    """The lineage in a few figures: for each its name, its value, and a remark.

    Examples
    --------
    >>> from nni_stress.evolution.rules import Rules
    >>> summary(Overview(Path("lineage"), Rules(generations=3, tolerance=0.01)))
    [('offspring', '0 of 0', 'recorded; 0 lost, 0 on the frontier')]
    """
    states = [child.state for child in overview.offspring if child.generation]
    counts = (
        "offspring",
        f"{states.count('recorded')} of {len(states)}",
        f"recorded; {states.count('lost')} lost, {len(overview.frontier)} on the frontier",
    )
    if not overview.line:
        return [counts]
    founder = overview.line[0]
    best = overview.line[-1]
    clusters = []
    if best.clusters and founder.clusters:  # older records do not say
        fewer = f"{times(founder.clusters / best.clusters)} fewer than the founder"
        clusters = [("clusters", f"{best.clusters:,}", fewer)]
    return [
        ("best survivor", best.uid, _origin(best)),
        ("efficiency", times(best.efficiency), unit(overview)),
        ("synapses", f"{best.synapses:,}", f"founder {founder.synapses:,}"),
        ("MACs", f"{best.macs:,}", f"founder {founder.macs:,}"),
        *clusters,
        (
            "validation fidelity",
            f"{best.validation:.4f}",
            f"founder {founder.validation:.4f}; test {best.test:.4f}, founder {founder.test:.4f}",
        ),
        counts,
    ]


def _origin(record: Record) -> str:
    if record.matured:
        return f"maturation of {record.ancestor}"
    return f"generation {record.generation}"


def constraints(overview: Overview) -> list[tuple[str, float, float]]:
    """Constraints on resources, as shares of what the founder uses.

    Returns
    -------
    list of (str, float, float)
        For each constraint the resource, the allowed share, and the best survivor's share.

    Examples
    --------
    >>> from nni_stress.lineage.record import Record
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> small = founder._replace(uid="g001-00", generation=1, macs=2000)
    >>> from nni_stress.evolution.rules import Rules
    >>> rules = Rules(generations=3, tolerance=0.01, constraints={"macs": 0.5})
    >>> constraints(Overview(Path("lineage"), rules, founder=founder, line=[founder, small]))
    [('macs', 0.5, 0.4)]
    """
    if not overview.line or overview.founder is None:
        return []
    best = overview.line[-1]
    return [
        (resource, allowed, selection.used(best, overview.founder, resource))
        for resource, allowed in overview.rules.constraints.items()
    ]


def untrained_loss_line(overview: Overview) -> str | None:
    """What the untrained loss of offspring tells of their final fidelity, in one line.

    Returns
    -------
    str or None
        Their rank correlation over the offspring that were chosen among candidates and recovered to
        the end; None if there are fewer than five.

    Examples
    --------
    >>> from nni_stress.evolution.rules import Rules
    >>> untrained_loss_line(Overview(Path("lineage"), Rules(generations=3, tolerance=0.01)))
    """
    pairs = [
        (record.untrained_loss, record.validation)
        for _, record in overview.recorded
        if record.untrained_loss is not None and record.forecast is None
    ]
    if len(pairs) < _LEAST_PAIRS:
        return None
    losses, fidelities = zip(*pairs)
    found = rank_correlation(losses, fidelities)
    if found is None:
        return None
    return (
        f"Rank correlation of untrained loss and final validation fidelity: {found:.2f} over "
        f"{len(pairs)} offspring (at -1 the loss puts them in the order of their fidelity)."
    )


def _summary(overview: Overview) -> Element:
    figures = [
        tag("div", tag("dt", name), tag("dd", value, tag("small", remark)))
        for name, value, remark in summary(overview)
    ]
    return tag("dl", *figures, class_="summary")


def _family_tree(overview: Overview) -> list[Element]:
    if not overview.generations:
        return []
    tree = family_tree(overview)
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
    return _figure("Family tree", draw_family_tree(tree), legend)


def _scatter(overview: Overview) -> list[Element]:
    plot = scatter_plot(overview)
    if not plot.points:
        return []
    names = {generation.number: generation.name for generation in overview.generations}
    legend = [_generation_key(number, max(plot.points), names[number]) for number in plot.points]
    legend += [
        _key(
            tag("path", d="M0 8H26", class_="frontier"),
            "frontier: no offspring is better in both",
            26,
        ),
        _key(
            tag("g", tag("circle", cx=8, cy=8, r=6, fill="#fff"), class_="node survivor"),
            "survivor",
        ),
    ]
    if any(record.validation < plot.bottom for _, record in overview.recorded):
        triangle = tag("path", d="M2 4h12l-6 9z", fill="#566072")
        legend.append(_key(triangle, "fidelity below the range of this figure"))
    return _figure("Fidelity against efficiency", draw_scatter(plot), legend)


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
        tag("div", draw_table(table), class_="wide"),
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


def _figure(title: str, figure: Element, legend: Iterable[Element]) -> list[Element]:
    return [
        tag("h2", title),
        tag("div", figure, class_="wide"),
        tag("ul", *legend, class_="legend"),
    ]


def _key(shape: Element, words: str, width: int = 16) -> Element:
    """One entry of a legend."""
    return tag("li", tag("svg", shape, width=width, height=16, aria_hidden="true"), words)


def _generation_key(number: int, last: int, name: str) -> Element:
    fill = color(number, last)
    if number == 0:
        return _key(tag("path", d="M8 1l7 7l-7 7l-7 -7z", fill=fill), name)
    return _key(tag("circle", cx=8, cy=8, r=5, fill=fill), name)


def _node(kind: str) -> Element:
    if kind == "lost":
        return tag("path", d="M4 4l8 8m0 -8l-8 8")
    fill = color(1, 3) if kind in ("survivor", "recorded") else "#fff"
    return tag("circle", cx=8, cy=8, r=6 if kind == "survivor" else 5, fill=fill)
