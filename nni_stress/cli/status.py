"""`status`: a lineage as it stands, in the terminal and as a page, while the evolution runs and after."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ..lineage.locate import find_lineage
from ..visualization.html_page import page
from ..visualization.snapshot import overview
from ..visualization.text import status_text

INTERVAL = 2.0  # seconds between two looks, when watching
CLEAR = "\x1b[H\x1b[2J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "lineage",
        nargs="?",
        metavar="FOLDER|ID",
        help="folder of the lineage or the run, or NNI's id of the experiment; by default the newest",
    )
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write a page with the family tree to FILE as well",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help=f"look again every {INTERVAL:g} s until the evolution has ended",
    )


def run(options: argparse.Namespace) -> Iterator[str]:
    """What to print, one text at a time.

    Raises
    ------
    ValueError, OSError
        If there is no such lineage, or the page cannot be written.
    """
    folder, shown, clear = (
        find_lineage(options.lineage),
        None,
        CLEAR if options.watch and sys.stdout.isatty() else "",
    )
    while True:
        facts = overview(folder)
        if facts != shown:
            shown, again = facts, options.watch and facts.finished is None
            if options.html is not None:
                options.html.write_text(page(facts, INTERVAL if again else None), encoding="utf-8")
            yield clear + status_text(facts) + (f"\n\npage: {options.html}" if options.html else "")
            sys.stdout.flush()
        if not again:
            return
        time.sleep(INTERVAL)
