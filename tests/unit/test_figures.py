"""Every figure that README.md and docs/results quote is the one in its record."""

import functools
import re

import pytest

from docs.quoted.blocks import BLOCKS
from docs.quoted.pages import ALLOWED, blocks, checked_pages, pages, plain, read, unchecked
from docs.quoted.sentences import SENTENCES

generated = functools.cache(lambda name: BLOCKS[name]())
QUOTED = [(page, name, content) for page in pages() for name, content in blocks(read(page))]


@pytest.mark.parametrize(("page", "name", "content"), QUOTED, ids=[name for _, name, _ in QUOTED])
def test_a_table_is_the_one_that_its_records_give(page, name, content):
    assert name in BLOCKS, f"{page} has an unknown block"
    assert content == generated(name), f"{page}: run python -m docs.quoted --write"


def test_every_generated_table_is_on_a_page():
    assert {name for _, name, _ in QUOTED} == set(BLOCKS)


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda one: f"{one.page}: {one.template[:40]}")
def test_a_sentence_has_the_figures_of_its_records(sentence):
    assert plain(sentence.expected()) in plain(read(sentence.page))


@pytest.mark.parametrize("page", checked_pages())
def test_no_figure_stands_outside_of_what_is_compared(page):
    assert not unchecked(page, read(page), SENTENCES)


@pytest.mark.parametrize("page", ALLOWED)
def test_every_exception_is_still_needed(page):
    text = plain(read(page))
    assert [words for words in ALLOWED[page] if words not in text] == []


def faults(page, text):
    """What would be found wrong if this were the page's text."""
    sentences = [sentence.expected() for sentence in SENTENCES if sentence.page == page]
    return (
        [name for name, content in blocks(text) if content != generated(name)]
        + [words for words in sentences if plain(words) not in plain(text)]
        + unchecked(page, text, SENTENCES)
    )


def last_digits(page, text):
    """Where the last digit of every figure with a unit is, those that are allowed left out."""
    hidden = r"^```.*?^```|`[^`]*`|\]\([^)]*\)|<!--.*?-->|https?://\S+"
    allowed = [re.escape(words).replace(r"\ ", r"\s+") for words in ALLOWED.get(page, ())]
    shown = re.sub(
        "|".join([hidden, *allowed]),
        lambda match: " " * len(match[0]),
        text,
        flags=re.DOTALL | re.MULTILINE,
    )
    return [match.start(1) for match in re.finditer(r"(\d)(?:\s%|x|\sm?s|\spoints)(?!\w)", shown)]


@pytest.mark.parametrize("page", checked_pages())
def test_every_wrong_digit_is_noticed(page):
    text = read(page)
    assert faults(page, text) == []
    for place in last_digits(page, text):
        wrong = str((int(text[place]) + 1) % 10)
        changed = text[:place] + wrong + text[place + 1 :]
        assert faults(page, changed), f"{page}: a change at {text[place - 60 : place + 20]!r}"


def test_unchecked_finds_figures_with_units_and_decimals():
    text = "It is 3.5x faster, takes 12 ms, and 5 % less, or 1,234 of 0.25."
    found = " ".join(unchecked("docs/results/none.md", text, ()))
    for figure in ("3.5x", "12 ms", "5 %", "1,234", "0.25"):
        assert figure in found


def test_a_figure_in_a_fence_is_found():
    assert unchecked("docs/results/none.md", "```text\nit took 12 s\n```", ()) == ["12 s"]
