"""The verdict on planted contests: the right sentence in 93 of 100 draws, and what it warns of."""

import re

import pytest

from reports.contest.plan import EQUAL_SECONDS, EVOLUTION, RIVALS, UNSTRUCTURED, Cell
from reports.contest.planted import METHODS, Truth, draw
from reports.contest.report.facts import compare, rival
from reports.contest.report.sentences import second_line, sentence
from reports.contest.report.verdict import Claim, verdicts
from reports.contest.report.warnings import warnings

ALL = (EVOLUTION, *RIVALS)
ERRATIC = {"AGPPruner": 0.014}  # four times that of the others

# {what is true: (how it is planted, what the sentence is, what the second line says)}
TRUTHS = {
    "a rival is better": (
        Truth({"AGPPruner": 0.012}, methods=ALL),
        r"Parameters: the evolution is behind AGPPruner at 10x \(-.* and at 44x \(-[^;]*\)\.",
        "the evolution is behind the best rivals",
    ),
    "no difference": (
        Truth(methods=ALL),
        r"Parameters: a difference to the best rival is not established at 10x [^;]* at 44x [^;]*",
        "is not established",
    ),
    "no difference, but founders differ": (
        Truth(methods=ALL, founder_noise=0.0035),
        r"Parameters: a difference to the best rival is not established at 10x [^;]* at 44x [^;]*",
        "is not established",
    ),
    "a better one is erratic": (
        Truth({"AGPPruner": 0.005}, spreads=ERRATIC, methods=ALL),
        r"Parameters: a difference to the best rival is not established at 10x [^;]* at 44x [^;]*",
        "is not established",
    ),
    "an erratic one is far better": (
        Truth({"AGPPruner": 0.035}, spreads=ERRATIC, methods=ALL),
        r"Parameters: the evolution is behind AGPPruner at 10x \(-.* and at 44x \(-[^;]*\)\.",
        "the evolution is behind the best rivals",
    ),
    "the evolution is better, and a worse one is erratic": (
        Truth({EVOLUTION: 0.012, "AGPPruner": -0.012}, spreads=ERRATIC, methods=ALL),
        r"Parameters: the evolution is ahead of the best rival at 10x \(\+.* at 44x \(\+[^;]*\)\.",
        "the evolution is ahead of the best rivals",
    ),
    "the evolution is better": (
        Truth({EVOLUTION: 0.012}, methods=ALL),
        r"Parameters: the evolution is ahead of the best rival at 10x \(\+.* at 44x \(\+[^;]*\)\.",
        "the evolution is ahead of the best rivals",
    ),
}


def judged(truth, seed=0):
    return verdicts(compare(draw(truth, seed)))


@pytest.mark.parametrize("true", TRUTHS)
def test_the_right_sentence_in_93_of_100_draws(true):
    truth, words, line = TRUTHS[true]
    found = [judged(truth, seed)[0] for seed in range(100)]
    assert sum(re.fullmatch(words, sentence(one)) is not None for one in found) >= 93
    assert sum(line in second_line(one) for one in found) >= 93


@pytest.mark.parametrize("gain", [0.003, 0.012, 0.02])
def test_an_erratic_better_rival_is_never_said_to_be_behind(gain):
    truth = Truth({"AGPPruner": gain}, spreads=ERRATIC, methods=ALL)
    claims = [claim for seed in range(50) for claim in judged(truth, seed)[0].claims]
    assert Claim.AHEAD not in claims


def _changed(results, change):
    records = {cell: change(cell, found) for cell, found in results.records.items()}
    return results._replace(
        records={cell: found for cell, found in records.items() if found is not None}
    )


def test_the_rival_is_chosen_by_validation_alone():
    results = draw(Truth(methods=ALL))
    chosen = rival(compare(results).entries, "parameters", 10.0).key
    other = _changed(results, lambda cell, found: found._replace(test=1 - found.test))
    assert rival(compare(other).entries, "parameters", 10.0).key == chosen

    def lift(cell, found):
        return found._replace(validation=0.99) if cell.method == "SlimPruner" else found

    lifted = rival(compare(_changed(results, lift)).entries, "parameters", 10.0)
    assert lifted.key.method == "SlimPruner" != chosen.method


@pytest.mark.parametrize(
    "method", ["one-shot StressPruner", *UNSTRUCTURED, f"AGPPruner{EQUAL_SECONDS}"]
)
def test_parts_unstructured_and_equal_seconds_are_never_the_rival(method):
    truth = Truth({method: 0.05}, methods=(*METHODS, method))
    found = judged(truth)[0]
    assert all(name in RIVALS for one in found.judgements for name in one.rivals)
    assert found.claims == [Claim.OPEN]


def test_what_speaks_against_the_evolution_comes_first():
    truth = Truth(methods=METHODS, axes={"parameters": (10.0, 44.0), "macs": (10.0, 25.0)})
    gains = {("macs", 25.0): -0.02, ("macs", 10.0): 0.02, ("parameters", 10.0): 0.02}

    def change(cell, found):
        gain = gains.get(cell[:2], 0.0) if cell.method == EVOLUTION else 0.0
        return found._replace(test=found.test + gain)

    macs, parameters = verdicts(compare(_changed(draw(truth), change)))
    assert re.fullmatch(
        r"MACs: the evolution is behind .* at 25x \(-.*; it is ahead of the best rival at 10x .*",
        sentence(macs),
    )
    assert re.fullmatch(
        r"Parameters: a difference to the best rival is not established at 44x .*; it is ahead of "
        r"the best rival at 10x .*",
        sentence(parameters),
    )


def test_a_budget_without_records_or_rivals_is_not_judged():
    results = draw(Truth({EVOLUTION: 0.02}))
    found = _changed(
        results, lambda cell, one: None if (cell.budget, cell.method) == (44.0, EVOLUTION) else one
    )
    (one,) = verdicts(compare(found))
    assert "too few records to judge at 44x; it is ahead of the best rival at 10x" in sentence(one)
    assert second_line(one) == "10x and 44x together: too few records to judge."
    alone = judged(Truth(methods=METHODS[:2]))[0]
    assert sentence(alone) == "Parameters: there are too few records to judge at 10x and 44x."
    assert second_line(judged(Truth(axes={"macs": (25.0,)}))[0]) == ""


def test_seeds_that_lack_a_budget_are_not_pooled():
    whole, lost = draw(Truth()), Cell("parameters", 10.0, EVOLUTION, 1, 1)

    def change(cell, found):
        if cell == lost:
            return None
        is_other = cell == lost._replace(budget=44.0)
        return found._replace(test=0.0) if is_other else found

    (found,) = verdicts(compare(_changed(whole, change)))
    assert abs(found.pooled.effect.mean) < 0.01 < abs(found.judgements[1].effect.mean)


def test_a_whole_contest_on_three_founders_has_no_warnings():
    assert warnings(compare(draw(Truth()))) == []


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        (Truth(founders=(1, 2)), ["needs at least 3 founders, but at some budget it has 2"]),
        (Truth(seeds=range(1, 6)), ["needs at least 10 seeds, but at some budget it has 5"]),
    ],
)
def test_few_founders_or_seeds_are_warned_of(truth, words):
    found = warnings(compare(draw(truth)))
    assert len(found) == len(words) and all(word in line for word, line in zip(words, found))


def test_missing_cells_are_warned_of():
    def change(cell, found):
        return None if cell.method == "TaylorPruner" and cell.seed > 8 else found

    (line,) = warnings(compare(_changed(draw(Truth()), change)))
    assert line == "4 of 120 cells are missing: TaylorPruner 4."


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ({"commit": "f" * 12}, "2 commits, unequally divided"),
        ({"environment": {"processor": "another"}}, "2 machines, unequally divided"),
        ({"threads": 2}, "2 numbers of threads, unequally divided"),
    ],
)
def test_records_of_several_origins_are_warned_of_if_methods_differ_in_them(origin, words):
    def change(cell, found, of):
        return found._replace(origin={**found.origin, **origin}) if of(cell) else found

    results = draw(Truth())
    uneven = _changed(results, lambda *each: change(*each, lambda cell: cell.method == EVOLUTION))
    (line,) = warnings(compare(uneven))
    assert words in line
    even = _changed(results, lambda *each: change(*each, lambda cell: cell.seed > 5))
    assert warnings(compare(even)) == []
