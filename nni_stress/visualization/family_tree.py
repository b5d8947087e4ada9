"""The family tree of a lineage: a column for each generation, a line from each offspring to its ancestors."""

from __future__ import annotations

from typing import NamedTuple

from .colors import colour
from .markup import Element, tag
from .snapshot import Generation, Offspring, Overview
from .text import rounded, times

_ROW, _RADIUS, _TOP, _LEAST, _MOST, _WIDTH = 27, 6, 46, 92, 190, 1128


class Node(NamedTuple):
    """An offspring in the tree: `kind` is its state, or "survivor"; `best` where it is in the best survivor's line."""

    child: Offspring
    column: int
    height: float  # of its middle, in rows from the top
    kind: str
    best: bool


class Edge(NamedTuple):
    """A line between two offspring by name; `kind` is "best", "survivor", "other" (the second ancestor) or "plain"."""

    ancestor: str
    uid: str
    kind: str


class TreeFacts(NamedTuple):
    """What the tree shows: column titles with a remark each, nodes, edges, and the number of rows."""

    titles: list[tuple[str, str]]
    nodes: dict[str, Node]
    edges: list[Edge]
    rows: int


def tree_facts(facts: Overview) -> TreeFacts:
    """Lay a lineage's family tree out, each column in the order of the ancestors, so that few lines cross."""
    rows = max((len(generation.offspring) for generation in facts.generations), default=0)
    best, survivors = {record.uid for record in facts.line}, facts.survivors
    nodes: dict[str, Node] = {}
    for column, generation in enumerate(facts.generations):

        def place(child):
            return nodes[child.ancestor].height if child.ancestor in nodes else 0.0, child.uid

        start = (rows - len(generation.offspring)) / 2
        for index, child in enumerate(sorted(generation.offspring, key=place)):
            kind = "survivor" if child.uid in survivors else child.state
            nodes[child.uid] = Node(child, column, start + index + 0.5, kind, child.uid in best)
    edges = []
    for node in nodes.values():
        uid, ancestor, other = node.child.uid, node.child.ancestor, node.child.other
        if ancestor in nodes:
            kind = (
                "best"
                if {uid, ancestor} <= best
                else "survivor"
                if node.kind == "survivor"
                else "plain"
            )
            edges.append(Edge(ancestor, uid, kind))
        if other in nodes:
            edges.append(Edge(other, uid, "other"))
    return TreeFacts([_title(generation) for generation in facts.generations], nodes, edges, rows)


def _title(generation: Generation) -> tuple[str, str]:
    name = f"generation {generation.number}" if generation.number else "founder"
    if not generation.closed:
        return name, "under way"
    return name, "" if generation.survivors else "none survived"


def draw_tree(tree: TreeFacts) -> Element:
    """The tree as SVG."""
    step = min(max(_WIDTH / max(len(tree.titles), 1), _LEAST), _MOST)
    width, height = step * len(tree.titles), _TOP + _ROW * tree.rows + 8
    spot = {
        uid: (step * node.column + 16, _TOP + _ROW * node.height)
        for uid, node in tree.nodes.items()
    }
    order = ("plain", "other", "survivor", "best")
    lines = [
        _curve(
            spot[edge.ancestor], len(_label(tree.nodes[edge.ancestor])), spot[edge.uid], edge.kind
        )
        for edge in sorted(tree.edges, key=lambda edge: order.index(edge.kind))
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
        *lines,
        *(_node(node, spot[uid], len(tree.titles)) for uid, node in tree.nodes.items()),
        class_="tree",
        role="img",
        width=width,
        height=height,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
    )


def _label(node: Node) -> str:
    return times(node.child.record.efficiency) if node.child.record else node.kind


def _curve(ancestor, letters: int, end, kind: str) -> Element:
    start, y = (
        ancestor[0] + 2 * _RADIUS + 4 + 7.4 * letters,
        ancestor[1],
    )  # behind the ancestor's label
    middle = (start + end[0]) / 2
    path = f"M{start:.1f} {y:.1f}C{middle:.1f} {y:.1f} {middle:.1f} {end[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
    return tag("path", d=path, class_=f"edge {kind}")


def _node(node: Node, spot, columns: int) -> Element:
    x, y = spot
    record, r = node.child.record, _RADIUS
    parts = [tag("title", tooltip(node.child))]
    if record:
        fill = colour(node.child.generation, columns - 1)
        parts.append(
            tag("circle", cx=x, cy=y, r=r + 2 if node.kind == "survivor" else r - 1, fill=fill)
        )
    elif node.kind == "lost":
        parts.append(tag("path", d=f"M{x - 4} {y - 4}l8 8m0 -8l-8 8"))
    else:
        parts.append(tag("circle", cx=x, cy=y, r=r - 1, fill="#fff"))
    parts.append(tag("text", _label(node), x=x + r + 6, y=y + 4))
    names = " ".join(
        [
            "node",
            node.kind,
            *(["best"] if node.best else []),
            *([] if node.child.counts else ["late"]),
        ]
    )
    return tag("a", *parts, href=f"#{node.child.uid}", class_=names, id=f"node-{node.child.uid}")


def tooltip(child: Offspring) -> str:
    """All that is known of an offspring, for the pointer that rests on it."""
    lines = [f"{child.uid}: {child.state}" + (f" ({child.note})" if child.note else "")]
    if child.record:
        lines += [
            f"efficiency {times(child.record.efficiency)}, {child.record.synapses:,} synapses",
            f"fidelity {child.record.validation:.4f} (test {child.record.test:.4f})",
        ]
    if child.ancestor:
        lines.append(f"from {child.ancestor}" + (f" and {child.other}" if child.other else ""))
    return "\n".join(
        [*lines, *(f"{name} {rounded(value)}" for name, value in sorted(child.arguments.items()))]
    )
