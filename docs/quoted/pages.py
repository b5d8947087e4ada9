"""Pages, their blocks and sentences, and the figures outside of both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- quoted: (.+?) -->\n(.*?)<!-- end -->", re.DOTALL)
UNITS = (
    *("x", "%", "s", "ms", "min", "kB", "MB", "GB", "M", "million", "point", "points", "mAP"),
    *("times", "seconds", "minutes", "hours", "p", "seeds", "epochs"),
)
_START = r"(?<![\w.,^/-])[+-]?"
_WITH_UNIT = re.compile(rf"{_START}\d+(?:[.,]\d+)*[ -]?(?:{'|'.join(UNITS)})(?!\w)")
_DECIMAL = re.compile(rf"{_START}(?:\d+(?:,\d{{3}})*\.\d+(?!\.?\d)|\d+(?:,\d{{3}})+)(?!\w)")

# Figures that no record holds, by page: {page: {text around the figure: reason}}.
ALLOWED: dict[str, dict[str, str]] = {
    "README.md": {
        "NNI 3.0": "a version",
        "Python 3.10 to 3.13": "versions",
        "arXiv 1801.05387": "a number of a paper",
    },
    "docs/results/index.md": {
        "95 % interval": "a definition",
        "40x for AlexNet and 33x for YOLOv2": "published in arXiv 1801.05387",
        "5.5x faster": "published in arXiv 1801.05387",
        "arXiv 1801.05387": "a number of a paper",
    },
    "docs/results/contest.md": {
        "125x fewer synapses (weights)": "published in arXiv 1704.02081",
        "9.71x": "published in arXiv 1704.02081",
        "arXiv 1704.02081": "a number of a paper",
        "258x and 34.3x at 97 % accuracy": "published in arXiv 1709.02043",
        "arXiv 1709.02043": "a number of a paper",
        "has 20 epochs": "a setting, reports/compare-resnet20.yml",
        "**ResNet-20**, 10x fewer MACs": "a setting, reports/compare-resnet20.yml",
        "95 % interval": "a definition",
        "At 10x fewer MACs it is not": "a setting, reports/compare.yml",
        "At 1.5x less latency, where less": "a setting, reports/compare.yml",
        "is its learning rate, 0.016": "a setting, reports/compare.yml",
        "not 1.4 times as much": "what the report on the records says",
    },
    "docs/results/stress-study.md": {
        "95 % interval": "a definition",
        "three founders of 12 epochs": "a setting, reports/stress_study/plan.py",
        "## LeNet-5, 100x fewer parameters": "a setting, reports/stress_study/plan.py",
        "## LeNet-5, 25x fewer MACs": "a setting, reports/stress_study/plan.py",
        "of 0.25, 0.5 and 1": "a setting, reports/stress_study/plan.py",
        "nested silence, range 0.5": "a setting, reports/stress_study/plan.py",
    },
    "docs/results/division.md": {
        "with 12 epochs in all": "a setting, reports/division/plan.py",
        "on 20,000 images of it with 8": "a setting, reports/division/plan.py",
        "1 x 4, 1 x 8, 2 x 4": "settings, reports/division/plan.py",
        "arXiv 1503.02531": "a number of a paper",
    },
    "docs/results/evolutions.md": {
        "IoU 0.5": "a definition",
        "one image is 0.0025": "1 / 400",
    },
    "docs/results/early-ending.md": {
        "efficiency up to 100x": "a definition",
    },
    "docs/results/speed.md": {
        "down to 40 times fewer synapses": "a setting, reports/bench/masking.py",
        "YOLOv2 at 33x": "a setting, reports/bench/engines.py",
        "Torch-Pruning 1.6": "a version",
        "the latest 2,000 offspring": "a setting, nni_stress/evolution/tuner.py",
    },
    "docs/results/many-machines.md": {
        "an NFS request takes 0.5 ms": "an assumption",
        "closes a generation when 95 % of its offspring": "a setting",
        "Below 0.9": "a setting",
        "too much for 1,000": "a setting",
        "with a spread of 0.3": "a setting, reports/stragglers.py",
    },
}


class Sentence(NamedTuple):
    """Words of a page that quote records: a template, and the figures to be filled in."""

    page: str
    template: str
    figures: Callable[[], Sequence[str]]

    def expected(self) -> str:
        """The words as the records have them."""
        return self.template.format(*self.figures())


def pages() -> list[str]:
    """README.md and all Markdown pages of docs/, relative to the repository's root."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    return [
        "README.md",
        *(str(path.relative_to(ROOT)) for path in found if "_build" not in path.parts),
    ]


def checked_pages() -> list[str]:
    """Pages in which every figure must come from a record."""
    return [page for page in pages() if page == "README.md" or page.startswith("docs/results/")]


def read(page: str) -> str:
    """Text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(name, content) of the generated blocks of a text."""
    for match in BLOCK.finditer(text):
        yield match[1], match[2].strip("\n")


def rewritten(text: str, contents: dict[str, Callable[[], str]]) -> str:
    """The text with every block generated anew. A block of an unknown name is a ValueError."""

    def replaced(match: re.Match) -> str:
        if match[1] not in contents:
            raise ValueError(f"unknown block {match[1]!r}; known are {', '.join(sorted(contents))}")
        return f"<!-- quoted: {match[1]} -->\n\n{contents[match[1]]()}\n\n<!-- end -->"

    return BLOCK.sub(replaced, text)


def plain(text: str) -> str:
    """The text with every run of white space as one space, so that line breaks do not matter."""
    return " ".join(text.split())


def unchecked(page: str, text: str, sentences: Sequence[Sentence]) -> list[str]:
    """Figures of a page that are in no block, in no sentence, and not allowed."""
    text = BLOCK.sub("", text)
    text = re.sub(r"<!--.*?-->|\]\([^)]*\)|https?://\S+", " ", text, flags=re.DOTALL)
    code = re.findall(r"^```.*?^```", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^```.*?^```", " ", text, flags=re.DOTALL | re.MULTILINE)
    text = plain(re.sub(r"`[^`]*`", " ", text))
    for known in (
        *(one.expected() for one in sentences if one.page == page),
        *ALLOWED.get(page, ()),
    ):
        text = text.replace(plain(re.sub(r"`[^`]*`", " ", known)), " | ")
    found = [match for pattern in (_WITH_UNIT, _DECIMAL) for match in pattern.finditer(text)]
    in_text = [
        f"{match[0]} in: ...{text[max(0, match.start() - 40) : match.end() + 30]}..."
        for match in found
    ]
    return in_text + [match[0] for part in code for match in _WITH_UNIT.finditer(part)]
