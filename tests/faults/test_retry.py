"""The script that tries numbered faults again."""

import pytest

from tests.faults.retry import answer_of, attempts

READERS = [attempt for attempt in attempts() if attempt.number == 9]


def test_each_attempt_has_a_number_and_a_title():
    titles = [attempt.title for attempt in attempts()]
    assert len(set(titles)) == len(titles)
    assert {attempt.number for attempt in attempts()} == set(range(1, 13))


def test_an_attempt_that_breaks_is_open(tmp_path):
    broken = READERS[0]._replace(run=lambda place: 1 / 0)
    answer = answer_of(broken, tmp_path)
    assert not answer.closed and answer.text == "ZeroDivisionError: division by zero"


@pytest.mark.slow
@pytest.mark.parametrize("attempt", READERS, ids=lambda attempt: attempt.title)
def test_readers_are_closed(attempt, tmp_path):
    answer = answer_of(attempt, tmp_path)
    assert answer.closed, answer.text
