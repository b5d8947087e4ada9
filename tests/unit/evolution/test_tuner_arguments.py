"""StressTuner's arguments are declared once: defaults, bounds and meaning."""

import inspect

import pytest

from nni_stress import StressTuner
from nni_stress.evolution.tuner_arguments import (
    TunerArguments,
    argument_rows,
    check_arguments,
    check_values,
)


def test_the_signature_of_the_tuner_has_the_declared_arguments_and_defaults():
    parameters = inspect.signature(StressTuner).parameters
    declared = {name: getattr(TunerArguments(), name) for name in TunerArguments.__annotations__}
    assert {name: parameters[name].default for name in declared} == declared
    assert list(parameters) == [*declared, "unknown"]


def test_each_argument_has_a_row_of_documentation():
    rows = {row.name: row for row in argument_rows()}
    assert list(rows) == list(TunerArguments.__annotations__)
    assert all(all(row) for row in rows.values())
    assert rows["early_ending"].default == "false" and rows["time_limit"].default == "none"
    assert rows["resource"].bounds == "parameters, macs, latency"


def test_an_unknown_argument_is_named_before_wrong_ones():
    with pytest.raises(TypeError, match="unknown argument 'populaton_size' of StressTuner; known"):
        check_arguments({"quorum": 7, "populaton_size": 3})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": -1}, "seed must be a whole number of at least 0, but got -1"),
        ({"seed": True}, "seed must be a whole number of at least 0, but got True"),
        ({"early_ending": 1}, "early_ending must be true or false, but got 1"),
        ({"parents": True}, "parents must be 1 or 2, but got True"),
        ({"tolerance": float("inf")}, "tolerance must be a number of at least 0, but got inf"),
        ({"target_efficiency": 0.5}, "target_efficiency must be a number of at least 1"),
    ],
)
def test_a_wrong_value_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        check_values(arguments)
    with pytest.raises(ValueError, match=words):
        TunerArguments(**arguments)


def test_tpe_starts_to_learn_after_one_generation():
    assert TunerArguments(population_size=8).search_arguments() == {
        "tpe_args": {"n_startup_jobs": 8}
    }
    given = {"tpe_args": {"gamma": 0.3, "n_startup_jobs": 5}}
    assert TunerArguments(search_args=given).search_arguments() == given
    assert TunerArguments(search="Random", population_size=8).search_arguments() == {}
