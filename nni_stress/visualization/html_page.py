"""A lineage as one HTML page, without other files and without anything from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from .colors import generation_rules
from .markup import Element, document, tag
from .sections import sections
from .snapshot import Overview, overview
from .text import headline, plain, rules_line, warning_line

_CSS = (Path(__file__).with_name("page.css"), Path(__file__).with_name("scrolling.css"))
_SCRIPT = Path(__file__).with_name("page.js")
# Keeps a browser from fetching or running anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'"


def page(
    overview: Overview, refresh: float | None = None, live: bool = False, framed: bool = False
) -> str:
    """The page as text.

    Parameters
    ----------
    overview
        The lineage.
    refresh
        Seconds after which a browser reloads the page. None: never.
    live
        Whether the page has the script with which it keeps up with the server that it comes from.
        Otherwise it has no script, and can be kept as a file.
    framed
        Whether it is the ``srcdoc`` of an iframe, where links within a page need a base.

    Examples
    --------
    >>> from nni_stress.evolution.rules import Rules
    >>> rules = Rules(generations=3, tolerance=0.01)
    >>> page(Overview(Path("lineage"), rules)).splitlines()[0]
    '<!doctype html>'
    """
    script = _script() if live else None
    generations = [each.number for each in overview.generations]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("title", title(overview)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(live)),
        tag("base", href="about:srcdoc") if framed else None,
        None if refresh is None else tag("meta", http_equiv="refresh", content=f"{refresh:g}"),
        *(tag("style", file.read_text(encoding="utf-8")) for file in _CSS),
        tag(
            "style",
            generation_rules(generations),
            class_="colors",
        ),
    )
    main = tag("main", *sections(overview))
    note = tag("p", id="connection", role="status", hidden="") if live else None
    body = tag("body", _header(overview), main, note, None if script is None else _inline(script))
    return document(tag("html", head, body, lang="en"))


def lineage_page(folder: str | Path) -> str:
    """The page of a lineage as it stands, for the ``srcdoc`` of an iframe, as in a notebook.

    Parameters
    ----------
    folder
        The lineage's folder, which holds ``state.json``.

    Returns
    -------
    str
        A complete HTML document without scripts.

    Raises
    ------
    DamagedFileError
        If the lineage's state is missing, damaged, or lacks rules of the evolution.

    Examples
    --------
    >>> import tempfile
    >>> from nni_stress.evolution.rules import Rules
    >>> from nni_stress.lineage.store import Lineage
    >>> folder = tempfile.mkdtemp()
    >>> Lineage(folder).update_state(**Rules(generations=3, tolerance=0.01)._asdict())
    >>> "at most 1 survivor" in lineage_page(folder)
    True
    """
    return page(overview(folder), framed=True)


def title(overview: Overview) -> str:
    """Name and NNI's id of the experiment, as far as the lineage tells them.

    Examples
    --------
    >>> from nni_stress.evolution.rules import Rules
    >>> found = Overview(Path("runs/first/lineage"), Rules(generations=3, tolerance=0.01))
    >>> title(found), title(found._replace(name="LeNet-5", experiment="ab12cd34"))
    ('Lineage first', 'LeNet-5 (experiment ab12cd34)')
    """
    folder = overview.folder.resolve()
    home = folder.parent if folder.name == "lineage" else folder
    # In NNI's folder of an experiment, which has the id as its name, the lineage is in checkpoint/.
    place = home.parent.name if home.name == "checkpoint" else home.name
    name = f"Lineage {place}" if overview.name is None else plain(overview.name)
    id = overview.experiment
    if id is None or name == f"Lineage {id}":
        return name
    return f"{name} (experiment {plain(id)})"


def policy(live: bool) -> str:
    """The page's content security policy: nothing but the styles and the script in it may be used.

    Parameters
    ----------
    live
        Whether the page has its script, which asks its own server for the page.

    Examples
    --------
    >>> "script-src" in policy(live=False), "script-src 'sha256-" in policy(live=True)
    (False, True)
    """
    if not live:
        return _POLICY
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    return f"{_POLICY}; script-src 'sha256-{digest}'; connect-src 'self'"


def _script() -> str:
    return _SCRIPT.read_text(encoding="utf-8")


def _inline(script: str) -> Element:
    """A script in the page; `tag` would change its characters, and with them its digest."""
    element = tag("script")
    element.text = script
    return element


def _header(overview: Overview) -> Element:
    warning = warning_line(overview)
    return tag(
        "header",
        tag("h1", title(overview)),
        tag("p", headline(overview), class_="state"),
        tag("p", rules_line(overview), class_="soft"),
        None if warning is None else tag("p", warning, class_="soft"),
    )
