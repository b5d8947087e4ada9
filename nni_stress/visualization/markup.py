"""HTML and SVG, built as a tree, so that no text from a record can become markup."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

Element = ElementTree.Element


def tag(name: str, /, *children: Any, **attributes: Any) -> Element:
    r"""Make an element.

    Parameters
    ----------
    name
        Name of the element.
    *children
        Elements and texts, in order. None is left out.
    **attributes
        The element's attributes. None is left out; a trailing underscore is dropped, and other
        underscores become hyphens (``class_``, ``text_anchor``). Floats are coordinates, and are
        rounded to one decimal place.

    Examples
    --------
    >>> document(tag("p", "a < b ", tag("b", "bold"), class_="soft", title=None))
    '<!doctype html>\n<p class="soft">a &lt; b <b>bold</b></p>\n'
    """
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
        return f"{value:.1f}"
    return "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}"
        for letter in str(value)
    )


def document(root: Element) -> str:
    """A complete HTML document.

    Examples
    --------
    >>> print(document(tag("html", tag("body", tag("p", "1 < 2")))).strip())
    <!doctype html>
    <html><body><p>1 &lt; 2</p></body></html>
    """
    text = ElementTree.tostring(root, encoding="unicode", method="html")
    return f"<!doctype html>\n{text}\n"
