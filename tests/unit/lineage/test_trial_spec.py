"""What a trial is told: the message is plain data, and parsed once."""

import dataclasses
import math

import pytest

from nni_stress.lineage.planned_generation import PlannedGeneration
from nni_stress.lineage.states import OffspringState
from nni_stress.lineage.store import Lineage
from nni_stress.lineage.trial_spec import Delivery, TrialSpec

KEYS = [
    "uid",
    "generation",
    "ancestor",
    "other",
    "seed",
    "arguments",
    "resource",
    "latency",
    "origins",
    "early_ending",
]
OFFSPRING = TrialSpec(
    uid="g002-01",
    generation=2,
    ancestor="g001-00",
    other="g001-03",
    seed=7,
    arguments={"environmental_factor": 0.5},
    resource="macs",
    latency=True,
    origins=True,
    early_ending=True,
    constrained={"parameters": 0.25},
)
FOUNDER = TrialSpec("g000-00", 0, None, None, 7, {})
DELIVERY = Delivery(incarnation=1, attempt="1.0", lineage="/runs/lineage", time_limit=60)


@pytest.mark.parametrize("spec", [FOUNDER, OFFSPRING, OFFSPRING.addressed(DELIVERY)])
def test_a_message_is_parsed_to_the_same_spec(spec):
    assert TrialSpec.from_message(spec.to_message()) == spec


def test_the_keys_of_a_message_are_those_of_older_versions():
    assert list(FOUNDER.to_message()) == KEYS
    assert list(OFFSPRING.to_message()) == [*KEYS, "constrained"]
    sent = list(OFFSPRING.addressed(DELIVERY).to_message())
    assert sent == [*KEYS, "constrained", "incarnation", "attempt", "lineage", "time_limit"]


def test_keys_that_older_lineages_lack_take_defaults():
    old = {"uid": "g001-00", "generation": 1, "ancestor": "g000-00", "seed": 0, "arguments": {}}
    assert TrialSpec.from_message(old) == TrialSpec("g001-00", 1, "g000-00", None, 0, {})


def test_a_spec_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        OFFSPRING.seed = 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"uid": "../.."}, "named like g001-00"),
        ({"generation": 3}, "generation must be that of g002-01, but got 3"),
        ({"ancestor": "founder"}, "named like g001-00"),
        ({"other": 3}, "named like g001-00"),
        ({"seed": "7"}, "seed must be a whole number, but got '7'"),
        ({"arguments": [1]}, "arguments must be a mapping"),
        ({"constrained": 0.5}, "constrained must be a mapping"),
        ({"resource": 1}, "resource must be a name"),
        ({"latency": 1}, "latency must be true or false, but got 1"),
        ({"attempt": None}, "attempt must be of type str, but got None"),
        ({"incarnation": "1"}, "incarnation must be of type int, but got '1'"),
        ({"time_limit": "1h"}, "time_limit must be a number of seconds, but got '1h'"),
        ({"time_limit": math.inf}, "time_limit must be a number of seconds, but got inf"),
        ({"time_limit": math.nan}, "time_limit must be a number of seconds, but got nan"),
        ({"time_limit": -1}, "time_limit must be a number of seconds, but got -1"),
    ],
)
def test_a_wrong_message_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        TrialSpec.from_message({**OFFSPRING.addressed(DELIVERY).to_message(), **change})


@pytest.mark.parametrize("message", [None, [], "g001-00", {"uid": "g001-00"}])
def test_something_else_is_no_message(message):
    with pytest.raises(ValueError, match="a trial's message"):
        TrialSpec.from_message(message)


def test_a_generation_keeps_the_form_of_its_file():
    planned = PlannedGeneration({"floor": {}}, ({"floor": 1},), (OFFSPRING,))
    assert list(planned.to_json()) == ["space", "suggestions", "offspring", "closed"]
    closed = planned.close(["g002-01"], [])
    assert list(closed.to_json()) == [*planned.to_json(), "kept"]
    assert PlannedGeneration.from_json(closed.to_json()) == closed


@pytest.mark.parametrize(
    "change",
    [
        {"offspring": [{}]},
        {"offspring": 3},
        {"closed": 7},
        {"closed": ["x"]},
        {"closed": ["g002-00"]},
        {"kept": {}},
        {"space": [1]},
        {"suggestions": [3]},
    ],
)
def test_a_malformed_generation_is_set_aside(tmp_path, change):
    lineage = Lineage(tmp_path)
    content = {"space": {}, "suggestions": [], "offspring": [], "closed": None, **change}
    lineage.write_generation(1, content)
    assert lineage.planned_generation(1) is None
    assert (tmp_path / "aside" / "g001.json.0").exists()


def test_states_are_the_words_that_are_shown():
    assert [str(state) for state in OffspringState] == [
        "recorded",
        "lost",
        "taken",
        "waiting",
        "left",
    ]
    assert f"{OffspringState.LEFT}" == "left" == OffspringState.LEFT
