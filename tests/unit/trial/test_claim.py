"""What a trial accepts: offspring of its own experiment's lineage, as a tuner sends them."""

import pytest

from nni_stress.lineage.planned_generation import PlannedGeneration
from nni_stress.lineage.store import Lineage
from nni_stress.lineage.trial_spec import Delivery, TrialSpec
from nni_stress.trial.claim import ParameterSource, accept, parse


@pytest.fixture
def lineage(tmp_path):
    lineage = Lineage(tmp_path / "lineage")
    lineage.update_state(incarnation=0, generation=1, experiment="mine")
    return lineage


def message(lineage, **changes):
    spec = TrialSpec("g001-00", 1, "g000-00", None, 0, {})
    spec = spec.addressed(Delivery(0, "0.0", str(lineage.folder)))
    return {**spec.to_message(), **changes}


def take(content):
    return accept(parse(content, ParameterSource.TUNER), "job")


def test_a_trial_takes_an_offspring_of_its_own_experiment(lineage, monkeypatch):
    monkeypatch.setenv("NNI_EXP_ID", "mine")
    assert take(message(lineage)).claimant("g001-00", "0.0") == "job"


def test_a_message_that_names_the_lineage_of_another_experiment_is_refused(lineage, monkeypatch):
    monkeypatch.setenv("NNI_EXP_ID", "another")
    with pytest.raises(SystemExit, match="must be that of experiment another, but it is that of m"):
        take(message(lineage))
    assert lineage.claimant("g001-00", "0.0") is None


@pytest.mark.parametrize(
    "changes",
    [{"arguments": {"floor": 2}}, {"seed": 1}, {"ancestor": "g000-01"}, {"latency": True}],
)
def test_a_message_that_the_tuner_did_not_plan_is_refused(lineage, changes):
    planned = TrialSpec("g001-00", 1, "g000-00", None, 0, {})
    lineage.write_generation(1, PlannedGeneration(None, ({},), (planned,)).to_json())
    with pytest.raises(SystemExit, match=r"must be as the tuner planned it, in .*g001\.json"):
        take(message(lineage, **changes))
    assert lineage.claimant("g001-00", "0.0") is None
    assert take(message(lineage)) is not None


def test_a_folder_without_a_lineage_is_not_written_to(tmp_path, monkeypatch):
    """With null for what a tuner numbers, a message cannot match what is not there."""
    monkeypatch.setenv("NNI_EXP_ID", "mine")
    empty = Lineage(tmp_path)
    for changes in ({"incarnation": None}, {"generation": None}, {"attempt": None}):
        with pytest.raises(ValueError, match=next(iter(changes))):
            take(message(empty, **changes))
    with pytest.raises(SystemExit, match="must be that of experiment mine, but it is that of None"):
        take(message(empty))
    (tmp_path / "state.json").write_text("{ of another program")
    with pytest.raises(SystemExit, match="must be that of experiment mine"):
        take(message(empty))
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
