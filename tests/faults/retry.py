"""Tries faults that were found once again, over the real manager, and prints what each answers now.

    python -m tests.faults.retry                # all, some 15 minutes
    python -m tests.faults.retry --number 2 9
    python -m tests.faults.retry --list

One line for each: its number, whether it is closed, and the answer. The exit status is 1 if one is
open.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import tempfile
from pathlib import Path

from tests.faults import retries
from tests.faults.processes import kill_all, left_behind
from tests.faults.retries.place import ATTEMPTS, ROOT, Answer, Attempt, Place


def attempts() -> list[Attempt]:
    """All attempts, by number."""
    for module in pkgutil.iter_modules(retries.__path__):
        importlib.import_module(f"{retries.__name__}.{module.name}")
    return sorted(ATTEMPTS, key=lambda attempt: attempt.number)


def answer_of(attempt: Attempt, folder: Path) -> Answer:
    """Try one fault in a folder; nothing of it is left running."""
    place = Place(folder)
    try:
        answer = attempt.run(place)
    except Exception as error:  # an attempt that breaks shows nothing
        answer = Answer(False, f"{type(error).__name__}: {error}")
    finally:
        place.end()
        left = left_behind(folder, 10)
        kill_all(folder)
    return Answer(False, f"left behind: {left}") if left else answer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, nargs="*", help="numbers of the faults; default all")
    parser.add_argument("--list", action="store_true", help="show the faults, and end")
    options = parser.parse_args()
    chosen = [each for each in attempts() if not options.number or each.number in options.number]
    if options.list:
        print("\n".join(f"{each.number:2d}  {each.title}" for each in chosen))
        return
    os.environ["PYTHONPATH"] = str(ROOT)
    still_open = 0
    for each in chosen:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["HOME"] = folder  # the user's list of experiments stays as it is
            closed, text = answer_of(each, Path(folder) / "place")
        still_open += not closed
        state = "closed" if closed else "OPEN  "
        print(f"{each.number:2d} {state} {each.title}: {' '.join(text.split())[:400]}", flush=True)
    print(f"{len(chosen)} faults tried, {still_open} open")
    sys.exit(bool(still_open))


if __name__ == "__main__":
    main()
