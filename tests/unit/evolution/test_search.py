import pytest

from nni_stress.evolution.search import Observation, Search
from nni_stress.evolution.search_space import flat

SPACE = {
    "environmental_factor": {"_type": "uniform", "_value": [0.3, 0.7]},
    "temperature": {"_type": "loguniform", "_value": [0.01, 0.3]},
    "stress_ramp": {"_type": "normal", "_value": [0.4, 0.1]},
    "floor": {"_type": "randint", "_value": [1, 5]},
    "recovery_epochs": {"_type": "quniform", "_value": [2, 8, 2]},
    "stressor": {
        "_type": "choice",
        "_value": [
            {"_name": "attenuate", "stress_peak": {"_type": "uniform", "_value": [0, 1]}},
            {"_name": "nested_silence", "candidates": {"_type": "choice", "_value": [1, 30]}},
        ],
    },
}


def observe(search, generations=3, seed=0):
    """Observations of a search whose fitness is highest at an environmental factor of 0.35."""
    observations = []
    for generation in range(generations):
        for suggestion in search.suggestions(SPACE, observations, 4, seed + generation):
            fitness = -abs(suggestion["environmental_factor"] - 0.35)
            observations = [*observations, Observation(suggestion, fitness)]
    return observations


@pytest.mark.parametrize("name", ["TPE", "Random", "GridSearch", "Evolution", "tpe"])
def test_nnis_tuners_suggest_hyperparameters(name):
    search = Search(name)
    search.probe(SPACE)
    observations = observe(search, 6)
    assert len({repr(observation.suggestion) for observation in observations}) > 12
    for observation in observations:
        values = flat(observation.suggestion)
        assert 0.3 <= values["environmental_factor"] <= 0.7 and values["floor"] in (1, 2, 3, 4)
        assert (
            ("stress_peak" in values)
            == (values["stressor"] == "attenuate")
            != ("candidates" in values)
        )


@pytest.mark.parametrize("name", ["TPE", "Random", "GridSearch"])
def test_suggestions_depend_on_seed_space_and_observations_alone(name):
    """Therefore an interrupted evolution continues as if it had not been interrupted."""
    search = Search(name)
    observations = observe(search)
    again = search.suggestions(SPACE, observations, 5, 17)
    assert (
        again
        == search.suggestions(SPACE, observations, 5, 17)
        == Search(name).suggestions(SPACE, observations, 5, 17)
    )
    if name != "GridSearch":
        assert again != search.suggestions(SPACE, observations, 5, 18)


def test_tpe_learns_from_all_generations():
    """The median factor of the last ten generations is near the best, 0.35 (tolerance 0.06).

    Drawn at random it would be 0.5.
    """
    observations = observe(Search("TPE", {"tpe_args": {"n_startup_jobs": 4}}), 50)
    factors = sorted(
        observation.suggestion["environmental_factor"] for observation in observations[-40:]
    )
    assert factors[20] == pytest.approx(0.35, abs=0.06)


def test_a_grid_continues_and_starts_again_when_exhausted():
    space = {
        "candidates": {"_type": "choice", "_value": [1, 10]},
        "floor": {"_type": "choice", "_value": [1, 2]},
    }
    search = Search("GridSearch")
    first = search.suggestions(space, [], 3, 0)
    rest = search.suggestions(space, [Observation(s, 0.0) for s in first], 3, 1)
    assert len({repr(s) for s in [*first, rest[0]]}) == 4 and rest[1:] == first[:2]


def test_observations_outlive_a_change_of_the_search_space():
    search = Search("TPE", {"tpe_args": {"n_startup_jobs": 4}})
    observations = observe(search, 30)
    narrow = {
        "environmental_factor": {"_type": "uniform", "_value": [0.3, 0.6]},
        "floor": {"_type": "choice", "_value": [2, 3]},
    }
    found = [s["environmental_factor"] for s in search.suggestions(narrow, observations, 21, 3)]
    assert (
        set(narrow) == set(search.suggestions(narrow, observations, 1, 3)[0]) and max(found) <= 0.6
    )


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("TPEE", None, "tuner must be one of NNI's built-in tuners .*, but got 'TPEE'"),
        (3, None, "but got 3"),
        ("Hyperband", None, "Hyperband is an advisor|Hyperband"),
        ("PBT", None, "PBT refuses its arguments|does not run"),
        ("TPE", {"gama": 1}, "TPE .*gama"),
        ("TPE", {"tpe_args": {"gama": 1}}, "TPE .*gama"),
        ("Metis", None, "Metis does not run on this search space"),
    ],
)
def test_a_tuner_that_does_not_run_is_refused(name, arguments, words):
    with pytest.raises(ValueError, match=words):
        Search(name, arguments).probe(SPACE)
