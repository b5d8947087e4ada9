"""``python -m nni_stress status``: the state of an evolution, in the terminal and as a page."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ..experiment.tuner_start import last_reason
from ..lineage.locate import experiment_folder, find_lineage
from ..lineage.store import Lineage
from ..visualization.html_page import page
from ..visualization.snapshot import overview
from ..visualization.text import status_text

HELP = "show the state of an evolution, in the terminal and as a page"
INTERVAL = 2.0  # seconds between updates with --watch
PORT = 8090  # of --serve
CLEAR = "\x1b[H\x1b[2J"  # clears the terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
    parser.add_argument(
        "lineage",
        nargs="?",
        metavar="FOLDER|ID",
        help="folder of the lineage or the run, or NNI's id of the experiment; "
        "by default the newest",
    )
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="also write a page with the family tree to FILE",
    )
    following = parser.add_mutually_exclusive_group()
    following.add_argument(
        "--watch",
        action="store_true",
        help=f"update every {INTERVAL:g} s until the evolution has ended",
    )
    following.add_argument(
        "--serve",
        action="store_true",
        help="serve the page, which updates itself, on 127.0.0.1 until Ctrl-C",
    )
    parser.add_argument(
        "--port",
        type=int,
        metavar="PORT",
        help=f"port for --serve, {PORT} by default; 0: any free one",
    )


def run(options: argparse.Namespace) -> Iterator[str]:
    """Yield the text to show, and again after every change if it is to be watched.

    Raises
    ------
    SystemExit
        With status 1, after the text, if the experiment ended in ERROR; instead of the text, if its
        tuner never started.
    ValueError, OSError
        If there is no such lineage, or the page cannot be written or served.
    """
    if options.port is not None and not options.serve:
        raise ValueError("--port is the port of --serve, which was not given")
    folder = _find(options.lineage)
    clear = CLEAR if options.watch and sys.stdout.isatty() else ""
    footer = "" if options.html is None else f"\n\npage: {options.html}"
    shown = None
    while True:
        snapshot = overview(folder)
        ended = snapshot.finished is not None or snapshot.failed is not None
        goes_on = options.watch and not ended
        if snapshot != shown:
            shown = snapshot
            if options.html is not None:
                html = page(snapshot, INTERVAL if goes_on else None)
                options.html.write_text(html, encoding="utf-8")
            yield clear + status_text(snapshot) + footer
            sys.stdout.flush()
        if not goes_on:
            break
        time.sleep(INTERVAL)
    if options.serve:
        yield from _serve(folder, PORT if options.port is None else options.port)
    if snapshot.finished is None and snapshot.failed is not None:
        raise SystemExit(1)


def _serve(folder: Path, port: int) -> Iterator[str]:
    """Yield the page's URL, and serve the page until the process is interrupted."""
    from ..visualization.server import LivePage, PageServer

    with PageServer(LivePage(folder).text, port) as server:
        yield f"\npage: {server.url} (Ctrl-C ends it)"
        server.serve_forever()


def _find(name: str | None) -> Path:
    """Find a lineage; exit with the reason where an experiment's tuner never came to one."""
    experiment = None if name is None else experiment_folder(name)
    reason = None if experiment is None else last_reason(experiment / "log")
    if experiment is None or reason is None:
        return find_lineage(name)
    id = experiment.resolve().name
    with contextlib.suppress(ValueError):
        folder = find_lineage(name)
        if (Lineage(folder).read_state() or {}).get("experiment") in (None, id):
            return folder
    raise SystemExit(f"experiment {id} ended without a lineage: {reason}")
