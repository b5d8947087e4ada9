import pytest

from nni_stress.arguments import Arguments, check_search_space


def test_defaults_hold_and_suggestions_override_them():
    assert Arguments.from_mapping({"temperature": 0.2}) == Arguments(temperature=0.2)


@pytest.mark.parametrize("mapping, error, words", [
    ({"stress_pek": 1}, ValueError, "unknown stress parameter 'stress_pek'"),
    ({"stress_peak": 1.5}, ValueError, r"stress_peak must lie in \[0, 1\], but got 1.5"),
    ({"stress_peak": -0.1}, ValueError, "but got -0.1"),
    ({"environmental_factor": 0}, ValueError, r"must lie in \(0, 1\], but got 0"),
    ({"temperature": float("nan")}, ValueError, "but got nan"),
    ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number, but got 'fast'"),
    ({"stress_epochs": True}, TypeError, "but got True"),
    ({"stressor": "shout"}, ValueError, "stressor must be one of .*attenuate.*, but got 'shout'"),
])
def test_wrong_arguments_are_named(mapping, error, words):
    with pytest.raises(error, match=words):
        Arguments.from_mapping(mapping)


def test_a_sound_search_space_passes():
    check_search_space({"temperature": {"_type": "loguniform", "_value": [0.01, 1]},
                        "stressor": {"_type": "choice", "_value": ["attenuate"]},
                        "recovery_epochs": {"_type": "randint", "_value": [1, 5]},
                        "stress_peak": {"_type": "quniform", "_value": [0, 1, 0.25]}})


@pytest.mark.parametrize("space, words", [
    ({}, "must name at least one"),
    (None, "must name at least one"),
    ({"depth": {"_type": "choice", "_value": [1]}}, "unknown stress parameter 'depth'"),
    ({"stress_peak": {"_type": "uniform", "_value": [0, 2]}}, "stress_peak must lie in .* but got 2"),
    ({"stress_peak": {"_type": "choice", "_value": [0.5, 7]}}, "but got 7"),
    ({"stress_peak": {"_type": "uniform", "_value": [0.5]}}, "uniform takes 2 numbers"),
    ({"stress_peak": {"_type": "uniform", "_value": [0.9, 0.1]}}, "low end must be below"),
    ({"stress_peak": {"_type": "uniform", "_value": "0-1"}}, "must be a list"),
    ({"stress_peak": {"_type": "gauss", "_value": [0, 1]}}, "_type must be one of .*but got 'gauss'"),
    ({"stress_peak": {"_type": "loguniform", "_value": [0, 1]}}, "must start above 0"),
    ({"stress_peak": [0, 1]}, "expected {_type"),
])
def test_wrong_search_spaces_are_named(space, words):
    with pytest.raises((TypeError, ValueError), match=words):
        check_search_space(space)
