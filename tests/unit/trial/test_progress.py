"""Progress of trials: what observers, `status` and TensorBoard see while they train."""

import dataclasses
import itertools

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nni_stress.evolution.rules import Rules
from nni_stress.lineage.moment import Moment, read_moment, write_moment
from nni_stress.lineage.store import Lineage
from nni_stress.trial import recorders
from nni_stress.trial.offspring import make
from nni_stress.visualization.snapshot import overview
from tests.unit.trial.test_in_process import make_task
from tests.unit.trial.test_offspring import trial_spec

ARGUMENTS = {"environmental_factor": 0.5, "stress_epochs": 2.0, "recovery_epochs": 1.5}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A founder, an offspring and its maturation, and all that an observer saw of them."""
    lineage = Lineage(tmp_path_factory.mktemp("lineage"))
    specs = [
        trial_spec("g000-00"),
        trial_spec("g001-00", arguments=ARGUMENTS),
        dataclasses.replace(
            trial_spec("g002-00", ancestor="g001-00", arguments={"recovery_epochs": 2.0}),
            maturation=True,
        ),
    ]
    seen = []
    for spec in specs:
        make(make_task(), spec, lineage, None, [seen.append])
    return lineage, seen


def phases(seen, uid):
    own = [moment.phase for moment in seen if moment.uid == uid]
    return [phase for phase, _ in itertools.groupby(own)]


def test_every_step_of_every_phase_is_told(made):
    _, seen = made
    assert phases(seen, "g000-00") == ["training"]
    assert phases(seen, "g001-00") == ["synthesis", "stress", "synthesis", "recovery"]
    assert phases(seen, "g002-00") == ["maturation"]
    stress = {m.step: m for m in seen if m.uid == "g001-00" and m.phase == "stress"}
    recovery = {m.step: m for m in seen if m.uid == "g001-00" and m.phase == "recovery"}
    assert list(stress) == list(range(13)) and list(recovery) == list(range(10))  # 6 an epoch
    assert recovery[7].epoch == 2 and recovery[7].epochs == 2 and recovery[7].steps == 9
    assert recovery[3].left > 0 and recovery[3].loss > 0


def test_the_share_of_a_trial_rises_to_one(made):
    for uid in ("g000-00", "g001-00", "g002-00"):
        shares = [moment.share for moment in made[1] if moment.uid == uid]
        assert shares == sorted(shares) and shares[-1] == pytest.approx(1)


def test_fidelity_is_the_last_that_was_measured(made):
    lineage, seen = made
    last = [moment for moment in seen if moment.uid == "g001-00"][-1]
    assert last.fidelity == lineage.record("g001-00").validation


def test_nothing_is_left_but_scalars_for_tensorboard(made):
    lineage, _ = made
    assert list((lineage.folder / "progress").iterdir()) == []
    scalars = EventAccumulator(str(lineage.tensorboard_path("g001-00"))).Reload()
    assert sorted(scalars.Tags()["scalars"]) == [
        "fidelity/validation",
        "loss/recovery",
        "loss/stress",
    ]
    assert [point.step for point in scalars.Scalars("loss/recovery")] == list(range(13, 22))
    curve = lineage.record("g001-00").curve
    assert scalars.Scalars("fidelity/validation")[-1].value == pytest.approx(curve[-1])


def test_status_shows_what_trains_now(tmp_path, monkeypatch):
    monkeypatch.setattr(recorders, "EVERY", 0.0)
    lineage = Lineage(tmp_path)
    lineage.update_state(**Rules(generations=3, tolerance=0.1)._asdict(), generation=0)
    lineage.write_generation(
        0,
        {"offspring": [trial_spec("g000-00").to_message()], "suggestions": [None], "closed": None},
    )
    seen = []

    def look(moment):
        if moment.step == 7:
            [child] = overview(tmp_path).offspring
            seen.append((child.state, child.note))

    make(make_task(), trial_spec("g000-00"), lineage, None, [look])
    [(state, note)] = seen
    assert state == "taken" and note.startswith("training, epoch 2 of 3, loss")


@pytest.mark.parametrize(
    "change", [{"uid": "g001-01"}, {"phase": "x"}, {"step": 1.5}, {"loss": "0"}, {"steps": -1}]
)
def test_a_damaged_progress_file_is_nothing(tmp_path, change):
    lineage = Lineage(tmp_path)
    moment = Moment("g001-00", "stress", 1, 6, 1, 0.5, None, None, 0.1, 0.0)
    write_moment(lineage, moment)
    assert read_moment(lineage, "g001-00") == moment
    path = lineage.progress_path("g001-00")
    write_moment(lineage, moment._replace(**change))
    if "uid" in change:
        path.write_bytes(lineage.progress_path("g001-01").read_bytes())
    assert read_moment(lineage, "g001-00") is None
    path.write_text("{")
    assert read_moment(lineage, "g001-00") is None
