import pytest

from nni_stress.evolution.search_space import check_search_space, flat
from nni_stress.hparams import Arguments, PrunerArguments, argument_rows


def test_suggestions_override_defaults():
    assert Arguments.from_mapping({"temperature": 0.2}) == Arguments(temperature=0.2)


@pytest.mark.parametrize(
    ("mapping", "error", "words"),
    [
        ({"stress_pek": 1}, ValueError, "unknown stress parameter 'stress_pek'"),
        ({"stress_peak": 1.5}, ValueError, r"stress_peak must lie in \[0, 1\], but got 1.5"),
        ({"stress_peak": -0.1}, ValueError, "but got -0.1"),
        ({"environmental_factor": 0}, ValueError, r"must lie in \(0, 1\], but got 0"),
        ({"temperature": float("nan")}, ValueError, "but got nan"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number, but got 'fast'"),
        ({"stress_epochs": True}, TypeError, "but got True"),
        (
            {"stressor": "shout"},
            ValueError,
            "stressor must be one of .*attenuate.*, but got 'shout'",
        ),
    ],
)
def test_wrong_arguments_are_named(mapping, error, words):
    with pytest.raises(error, match=words):
        Arguments.from_mapping(mapping)


def test_a_valid_search_space_passes():
    check_search_space(
        {
            "temperature": {"_type": "loguniform", "_value": [0.01, 1]},
            "stressor": {"_type": "choice", "_value": ["attenuate"]},
            "recovery_epochs": {"_type": "randint", "_value": [1, 5]},
            "stress_peak": {"_type": "quniform", "_value": [0, 1, 0.25]},
        }
    )


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({}, "must name at least one"),
        (None, "must name at least one"),
        ({"depth": {"_type": "choice", "_value": [1]}}, "unknown stress parameter 'depth'"),
        (
            {"stress_peak": {"_type": "uniform", "_value": [0, 2]}},
            "stress_peak must lie in .* but got 2",
        ),
        ({"stress_peak": {"_type": "choice", "_value": [0.5, 7]}}, "but got 7"),
        ({"stress_peak": {"_type": "uniform", "_value": [0.5]}}, "uniform takes 2 numbers"),
        ({"stress_peak": {"_type": "uniform", "_value": [0.9, 0.1]}}, "low end must be below"),
        ({"stress_peak": {"_type": "uniform", "_value": "0-1"}}, "must be a list"),
        (
            {"stress_peak": {"_type": "gauss", "_value": [0, 1]}},
            "_type must be one of .*but got 'gauss'",
        ),
        ({"stress_peak": {"_type": "loguniform", "_value": [0, 1]}}, "must start above 0"),
        ({"stress_peak": [0, 1]}, "expected {_type"),
    ],
)
def test_wrong_search_spaces_are_named(space, words):
    with pytest.raises((TypeError, ValueError), match=words):
        check_search_space(space)


NESTED = {
    "stressor": {
        "_type": "choice",
        "_value": [
            {"_name": "attenuate", "stress_peak": {"_type": "uniform", "_value": [0.1, 0.9]}},
            {
                "_name": "nested_silence",
                "stress_ramp": {"_type": "normal", "_value": [0.4, 0.1]},
                "candidates": {
                    "_type": "choice",
                    "_value": [
                        {"_name": 1},
                        {"_name": 30, "temperature": {"_type": "lognormal", "_value": [-2, 1]}},
                    ],
                },
            },
        ],
    }
}


def test_all_types_of_nnis_search_spaces_are_accepted():
    check_search_space(
        {
            **NESTED,
            "environmental_factor": {"_type": "quniform", "_value": [0.2, 0.8, 0.1]},
            "learning_rate": {"_type": "qloguniform", "_value": [0.001, 0.01, 0.001]},
            "floor": {"_type": "randint", "_value": [1, 9]},
            "recovery_epochs": {"_type": "qnormal", "_value": [4, 1, 1]},
            "early_worth": {"_type": "qlognormal", "_value": [0, 1, 0.5]},
        }
    )


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (
            {
                "stressor": {
                    "_type": "choice",
                    "_value": [
                        {"_name": "weaken", "stress_pek": {"_type": "uniform", "_value": [0, 1]}}
                    ],
                }
            },
            "unknown stress parameter 'stress_pek'",
        ),
        (
            {"stressor": {"_type": "choice", "_value": [{"_name": "shout"}]}},
            "stressor must be one of",
        ),
        (
            {"stressor": {"_type": "choice", "_value": [{"_name": "weaken"}, "silence"]}},
            "a list of mappings with _name",
        ),
        (
            {**NESTED, "stress_peak": {"_type": "uniform", "_value": [0, 1]}},
            "search space of stress_peak: a nested choice names it again",
        ),
        (
            {"temperature": {"_type": "normal", "_value": [0.1, 0]}},
            "the deviation of normal must be above 0",
        ),
        (
            {"temperature": {"_type": "normal", "_value": [99, 1]}},
            r"temperature must lie in \[0, 10\], but got 99",
        ),
        ({"temperature": {"_type": "lognormal", "_value": [9, 1]}}, "temperature must lie in"),
        (
            {"temperature": {"_type": "quniform", "_value": [0, 1, 0]}},
            "the step of quniform must be above 0",
        ),
        (
            {"temperature": {"_type": "normal", "_value": ["0.1", 1]}},
            "temperature must be a number, but got '0.1'",
        ),
    ],
)
def test_a_wrong_nested_or_normal_space_is_named(space, words):
    with pytest.raises((TypeError, ValueError), match=words):
        check_search_space(space)


def test_a_suggestion_is_flattened_and_kept_within_bounds():
    assert flat(
        {
            "stressor": {
                "_name": "nested_silence",
                "candidates": {"_name": 30, "temperature": 99.0},
            },
            "floor": 2.0,
        }
    ) == {"stressor": "nested_silence", "candidates": 30, "temperature": 10.0, "floor": 2}
    kept = flat(
        {
            "environmental_factor": -0.3,
            "learning_rate": -1.0,
            "synapse_sparsity": 1.2,
            "recovery_epochs": -2.0,
        }
    )
    assert 0 < kept["environmental_factor"] < 1e-5 and 0 < kept["learning_rate"] < 1e-5
    assert 0.99 < kept["synapse_sparsity"] < 1 and kept["recovery_epochs"] == 0
    Arguments.from_mapping(kept)


def test_each_hyperparameter_has_a_row_of_documentation():
    rows = {row.name: row for row in argument_rows()}
    assert list(rows)[:2] == ["temperature", "strength"] and all(all(row) for row in rows.values())
    assert (
        rows["floor"].bounds == "[1, 1000000], whole" and rows["learning_rate"].default == "0.002"
    )
    assert rows["stressor"].bounds == "attenuate, silence, nested_silence, survival, weaken"
    assert rows["stress_ramp"].bounds == "not negative"
    assert next(
        row for row in argument_rows(PrunerArguments) if row.name == "strength"
    ).default == ("magnitude")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_whole_number_must_be_finite(value):
    with pytest.raises(ValueError, match=r"floor must lie in \[1, 1e\+06\], but got"):
        Arguments(floor=value)
