"""HTML and SVG, built as a tree, so that no text from a record can become markup."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

Element = ElementTree.Element


def tag(name: str, /, *children: Any, **attributes: Any) -> Element:
    """An element of these children and texts, None being left out; `class_` and `text_anchor` name class and text-anchor."""
    element = Element(
        name,
        {
            key.strip("_").replace("_", "-"): _text(value)
            for key, value in attributes.items()
            if value is not None
        },
    )
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif child is not None and len(element):
            element[-1].tail = (element[-1].tail or "") + _text(child)
        elif child is not None:
            element.text = (element.text or "") + _text(child)
    return element


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"  # coordinates; numbers that are to be read come as texts
    return "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(value)
    )


def document(root: Element) -> str:
    """A whole HTML document."""
    return (
        "<!doctype html>\n" + ElementTree.tostring(root, encoding="unicode", method="html") + "\n"
    )
