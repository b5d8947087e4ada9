"""The family tree of a lineage: a column per generation, and lines from ancestors to offspring."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NamedTuple

from .markup import Element, tag
from .snapshot import Generation, Offspring, Overview
from .text import rounded, times

# Sizes in pixels.
_ROW = 27
_RADIUS = 6
_TOP = 46
_NARROWEST_COLUMN = 102
_WIDEST_COLUMN = 376
_WIDTH = 1128
_FIRST = 16  # of a column, to the middle of its offspring
_LETTER = 7.8
_DRAWING_ORDER = ("plain", "other", "survivor", "best")  # of edges, the last on top


class Node(NamedTuple):
    """An offspring in the tree.

    Parameters
    ----------
    offspring
        The offspring.
    column
        Its column, from 0.
    height
        Its place below the top, in rows.
    kind
        Its state, or "survivor".
    best
        Whether it is the best survivor or an ancestor of it.

    Examples
    --------
    >>> child = Offspring("g001-00", 1, "g000-00", None, {}, "waiting")
    >>> node = Node(child, column=1, height=0.5, kind=child.state, best=False)
    >>> node.offspring.uid, node.kind
    ('g001-00', 'waiting')
    """

    offspring: Offspring
    column: int
    height: float
    kind: str
    best: bool


class Edge(NamedTuple):
    """A line between an ancestor and its offspring, both by name.

    `kind` is "best" (towards the best survivor), "survivor" (to a survivor), "other" (from a second
    ancestor) or "plain".

    Examples
    --------
    >>> Edge("g000-00", "g001-00", "survivor").ancestor
    'g000-00'
    """

    ancestor: str
    uid: str
    kind: str


class FamilyTree(NamedTuple):
    """What the figure shows.

    Parameters
    ----------
    titles
        Title of each column, and a remark below it.
    nodes
        Offspring by name.
    edges
        Lines between them.
    rows
        Number of rows.

    Examples
    --------
    >>> founder = Offspring("g000-00", 0, None, None, {}, "waiting")
    >>> node = Node(founder, column=0, height=0.5, kind="waiting", best=False)
    >>> tree = FamilyTree([("founder", "in progress")], {founder.uid: node}, edges=[], rows=1)
    >>> tree.nodes["g000-00"].height
    0.5
    """

    titles: list[tuple[str, str]]
    nodes: dict[str, Node]
    edges: list[Edge]
    rows: int


def family_tree(overview: Overview) -> FamilyTree:
    """Lay out the family tree of a lineage.

    Each column is sorted by the places of the ancestors, so that few lines cross.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nni_stress.evolution.rules import Rules
    >>> rules = Rules(generations=3, tolerance=0.01)
    >>> founder = Offspring("g000-00", 0, None, None, {}, "recorded")
    >>> child = Offspring("g001-00", 1, "g000-00", None, {}, "waiting")
    >>> generations = [Generation(0, [founder], True, []), Generation(1, [child], False, [])]
    >>> tree = family_tree(Overview(Path("lineage"), rules, generations=generations))
    >>> tree.edges
    [Edge(ancestor='g000-00', uid='g001-00', kind='plain')]
    >>> draw_family_tree(tree).tag
    'svg'
    """
    rows = max((len(generation.offspring) for generation in overview.generations), default=0)
    best = {record.uid for record in overview.line}
    survivors = overview.survivors
    nodes: dict[str, Node] = {}
    for column, generation in enumerate(overview.generations):
        ordered = sorted(generation.offspring, key=lambda child: _sort_key(child, nodes))
        start = (rows - len(ordered)) / 2 + 0.5
        for index, child in enumerate(ordered):
            kind = "survivor" if child.uid in survivors else child.state
            nodes[child.uid] = Node(child, column, start + index, kind, child.uid in best)
    titles = [_title(generation) for generation in overview.generations]
    return FamilyTree(titles, nodes, _edges(nodes, best), rows)


def _sort_key(child: Offspring, nodes: Mapping[str, Node]) -> tuple[float, str]:
    ancestor = nodes.get(child.ancestor or "")
    return 0.0 if ancestor is None else ancestor.height, child.uid


def _edges(nodes: Mapping[str, Node], best: Container[str]) -> list[Edge]:
    edges = []
    for uid, node in nodes.items():
        ancestor = node.offspring.ancestor
        other = node.offspring.other
        if ancestor is not None and ancestor in nodes:
            kind = "survivor" if node.kind == "survivor" else "plain"
            if uid in best and ancestor in best:
                kind = "best"
            edges.append(Edge(ancestor, uid, kind))
        if other is not None and other in nodes:
            edges.append(Edge(other, uid, "other"))
    return edges


def _title(generation: Generation) -> tuple[str, str]:
    if not generation.closed:
        return generation.name, "in progress"
    return generation.name, "" if generation.survivors else "no survivor"


def draw_family_tree(tree: FamilyTree) -> Element:
    """The family tree as SVG.

    Examples
    --------
    >>> founder = Offspring("g000-00", 0, None, None, {}, "waiting")
    >>> node = Node(founder, column=0, height=0.5, kind="waiting", best=False)
    >>> tree = FamilyTree([("founder", "in progress")], {founder.uid: node}, edges=[], rows=1)
    >>> [element.get("id") for element in draw_family_tree(tree).findall("a")]
    ['node-g000-00']
    """
    step = _column_width(tree)
    width = step * len(tree.titles)
    height = _TOP + _ROW * tree.rows + 8
    places = {
        uid: (step * node.column + _FIRST, _TOP + _ROW * node.height)
        for uid, node in tree.nodes.items()
    }
    edges = sorted(tree.edges, key=lambda edge: _DRAWING_ORDER.index(edge.kind))
    curves = [
        _curve(
            places[edge.ancestor],
            len(_label(tree.nodes[edge.ancestor])),
            places[edge.uid],
            edge.kind,
        )
        for edge in edges
    ]
    heads = [
        tag(
            "text",
            tag("tspan", title, class_="head"),
            tag("tspan", remark, x=step * column + 8, dy=14),
            x=step * column + 8,
            y=16,
        )
        for column, (title, remark) in enumerate(tree.titles)
    ]
    return tag(
        "svg",
        tag("title", "Family tree of the lineage"),
        *heads,
        *curves,
        *(_node(node, places[uid]) for uid, node in tree.nodes.items()),
        class_="tree",
        role="img",
        width=width,
        height=height,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
    )


def place_of_best(tree: FamilyTree) -> float | None:
    """Where the best survivor is across the figure, as a share of its width; None without one.

    Examples
    --------
    >>> founder = Offspring("g000-00", 0, None, None, {}, "recorded")
    >>> node = Node(founder, column=0, height=0.5, kind="survivor", best=True)
    >>> tree = FamilyTree([("founder", "")] * 2, {founder.uid: node}, edges=[], rows=1)
    >>> place_of_best(tree) < 0.5
    True
    """
    columns = [node.column for node in tree.nodes.values() if node.best]
    if not columns:
        return None
    step = _column_width(tree)
    return (step * max(columns) + _FIRST) / (step * len(tree.titles))


def _column_width(tree: FamilyTree) -> float:
    columns = max(len(tree.titles), 1)
    return min(max(_WIDTH / columns, _NARROWEST_COLUMN), _WIDEST_COLUMN)


def _label(node: Node) -> str:
    record = node.offspring.record
    return times(record.efficiency) if record else node.kind


def _curve(
    ancestor: tuple[float, float], letters: int, end: tuple[float, float], kind: str
) -> Element:
    """A line from behind the ancestor's label to the offspring."""
    start = ancestor[0] + 2 * _RADIUS + 4 + _LETTER * letters
    middle = (start + end[0]) / 2
    path = (
        f"M{start:.1f} {ancestor[1]:.1f}"
        f"C{middle:.1f} {ancestor[1]:.1f} {middle:.1f} {end[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
    )
    return tag("path", d=path, class_=f"edge {kind}")


def _node(node: Node, place: tuple[float, float]) -> Element:
    x, y = place
    child = node.offspring
    if child.record:
        radius = _RADIUS + 2 if node.kind == "survivor" else _RADIUS - 1
        shape = tag("circle", cx=x, cy=y, r=radius, class_=f"g{child.generation}")
    elif node.kind == "lost":
        shape = tag("path", d=f"M{x - 4} {y - 4}l8 8m0 -8l-8 8")
    else:
        shape = tag("circle", cx=x, cy=y, r=_RADIUS - 1, class_="empty")
    classes = ["node", node.kind]
    if node.best:
        classes.append("best")
    if not child.counts:
        classes.append("late")
    return tag(
        "a",
        tag("title", tooltip(child)),
        shape,
        tag("text", _label(node), x=x + _RADIUS + 6, y=y + 4),
        href=f"#{child.uid}",
        class_=" ".join(classes),
        id=f"node-{child.uid}",
    )


def tooltip(child: Offspring) -> str:
    """All facts about an offspring, one a line.

    Examples
    --------
    >>> child = Offspring("g001-00", 1, "g000-00", None, {"temperature": 0.5}, "lost", "no memory")
    >>> print(tooltip(child))
    g001-00: lost (no memory)
    from g000-00
    temperature 0.5
    """
    lines = [f"{child.uid}: {child.state}" + (f" ({child.note})" if child.note else "")]
    if child.record:
        lines += [
            f"efficiency {times(child.record.efficiency)}, {child.record.synapses:,} synapses",
            f"fidelity {child.record.validation:.4f} (test {child.record.test:.4f})",
        ]
    if child.ancestor:
        lines.append(f"from {child.ancestor}" + (f" and {child.other}" if child.other else ""))
    lines += [f"{name} {rounded(value)}" for name, value in sorted(child.arguments.items())]
    return "\n".join(lines)
