"""python -m docs.quoted: compare README.md and docs/ with the records, or rewrite blocks."""

from __future__ import annotations

import argparse
import sys

from .blocks import BLOCKS
from .pages import ROOT, checked_pages, pages, plain, read, rewritten, unchecked
from .sentences import SENTENCES


def faults() -> list[str]:
    """A line for every block, sentence or figure that differs from its record or has none."""
    found = [
        f"{page}: a generated block is out of date"
        for page in pages()
        if rewritten(read(page), BLOCKS) != read(page)
    ]
    found += [
        f"{one.page}: should say {one.expected()!r}"
        for one in SENTENCES
        if plain(one.expected()) not in plain(read(one.page))
    ]
    found += [
        f"{page}: no record for {figure}"
        for page in checked_pages()
        for figure in unchecked(page, read(page), SENTENCES)
    ]
    return found


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m docs.quoted", description=__doc__)
    parser.add_argument("--write", action="store_true", help="rewrite the generated blocks first")
    if parser.parse_args().write:
        for page in pages():
            (ROOT / page).write_text(rewritten(read(page), BLOCKS), encoding="utf-8")
    found = faults()
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
