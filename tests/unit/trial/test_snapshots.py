"""A training that is interrupted goes on from its last epoch, and ends as if it had not been."""

import dataclasses
import logging

import nni
import pytest
import torch

from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.trial import snapshots
from nni_stress.trial.founding import make_founder
from nni_stress.trial.offspring import make_offspring
from tests.helpers.slow_offspring import ARGUMENTS, UID, Momentum, make, make_task, specs

BATCHES = 6  # of an epoch


class Killed(BaseException):
    """Ends a process that is not there."""


@pytest.fixture(autouse=True)
def always_due(monkeypatch):
    monkeypatch.setattr(snapshots, "EVERY", 0.0)
    monkeypatch.setattr(snapshots, "SHARE", 1e9)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Lineages of trials that were not interrupted, made when a test asks for one."""
    made = {}

    def of(name):
        if name not in made:
            made[name] = make(tmp_path_factory.mktemp(name), name)
        return made[name]

    return of


def result(lineage, uid):
    record = lineage.record(uid)
    return record._replace(seconds={}), lineage.network_path(uid).read_bytes()


def killed_at(task, step):
    """The same task, whose process ends when it computes the loss of this step."""
    left = iter(range(step))

    def loss(outputs, targets):
        if torch.is_grad_enabled() and next(left, None) is None:
            raise Killed
        return task.loss(outputs, targets)

    return dataclasses.replace(task, loss=loss)


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("steps", [[3], [8, 7], [13, 1], [20, 3], [27, 6], [34], [41], [26, 9, 9]])
def test_an_interrupted_offspring_equals_one_that_was_not(name, steps, whole, tmp_path, caplog):
    """The stress phase has 21 steps, and so has the recovery."""
    lineage = Lineage(tmp_path)
    make(tmp_path, name, uids=[FOUNDER])
    spec = specs(name)[1]
    for step in steps:
        with pytest.raises(Killed):
            make_offspring(killed_at(make_task(name), step), spec, lineage)
        assert lineage.record(UID) is None
    make_offspring(make_task(name), spec, lineage)
    assert result(lineage, UID) == result(whole(name), UID)
    assert ("resumes from its last epoch" in caplog.text) == (steps != [3])
    assert "from the beginning" not in caplog.text
    assert not list((tmp_path / "snapshots").glob("*"))
    assert set(lineage.record(UID).seconds) == set(whole(name).record(UID).seconds)


@pytest.mark.parametrize("name", ["norms", "dropout"])
def test_an_interrupted_founder_equals_one_that_was_not(name, whole, tmp_path):
    lineage = Lineage(tmp_path)
    spec = specs(name)[0]
    for step in (8, 7):
        with pytest.raises(Killed):
            make_founder(killed_at(make_task(name), step), spec, lineage, None)
    make_founder(make_task(name), spec, lineage, None)
    assert result(lineage, FOUNDER) == result(whole(name), FOUNDER)
    assert not list((tmp_path / "snapshots").iterdir())


def interrupted(tmp_path, step, name="norms"):
    lineage = make(tmp_path, name, uids=[FOUNDER])
    with pytest.raises(Killed):
        make_offspring(killed_at(make_task(name), step), specs(name)[1], lineage)
    return lineage


@pytest.mark.parametrize(("step", "left"), [(20, 3 + 21), (40, 21 - 18)])
def test_only_what_came_after_the_last_epoch_is_trained_again(tmp_path, step, left):
    lineage = interrupted(tmp_path, step)
    task = make_task("norms")
    losses = []

    def loss(outputs, targets):
        losses.append(1)
        return task.loss(outputs, targets)

    make_offspring(dataclasses.replace(task, loss=loss), specs("norms")[1], lineage)
    assert len(losses) == left


def test_checks_on_record_are_not_reported_again(tmp_path, monkeypatch):
    reported = []
    monkeypatch.setattr(nni, "report_intermediate_result", reported.append)
    lineage = interrupted(tmp_path, 34)
    assert len(reported) == 3 + 3  # three epochs of the founder, and three checks of the recovery
    make_offspring(make_task("norms"), specs("norms")[1], lineage)
    assert reported[3:] == lineage.record(UID).curve


def test_seconds_are_the_sum_over_all_processes(tmp_path):
    lineage = interrupted(tmp_path, 40)
    spent = torch.load(lineage.snapshot_path(UID), weights_only=True)
    saved = {**spent, "seconds": dict.fromkeys(spent["seconds"], 100.0)}
    torch.save(saved, lineage.snapshot_path(UID))
    make_offspring(make_task("norms"), specs("norms")[1], lineage)
    seconds = lineage.record(UID).seconds
    assert set(seconds) == {"stress", "synthesis", "recovery", "evaluation", "overhead"}
    assert seconds["stress"] == seconds["synthesis"] == 100.0 and min(seconds.values()) >= 100.0


@pytest.mark.parametrize("step", [20, 40])
def test_a_damaged_snapshot_is_ignored_with_a_warning(step, tmp_path, whole, caplog):
    lineage = interrupted(tmp_path, step)
    path = lineage.snapshot_path(UID)
    good = path.read_bytes()
    content = torch.load(path, weights_only=True)
    damages = {
        "is damaged": [b"", b"garbage", good[: len(good) // 2]],
        "is of another training": [{**content, "recipe": {}}],
        "does not fit": [
            {**content, "state": {}},
            {**content, "state": {**content["state"], "optimizer": 7, "training": {}}},
        ],
    }
    for message, contents in damages.items():
        for damaged in contents:
            caplog.clear()
            if isinstance(damaged, bytes):
                path.write_bytes(damaged)
            else:
                torch.save(damaged, path)
            with caplog.at_level(logging.WARNING), pytest.raises(Killed):
                make_offspring(killed_at(make_task("norms"), 1), specs("norms")[1], lineage)
            assert f"{path} {message}" in caplog.text
            assert "made from the beginning" in caplog.text
    make_offspring(make_task("norms"), specs("norms")[1], lineage)
    assert result(lineage, UID) == result(whole("norms"), UID)


def test_what_has_no_state_is_trained_from_the_beginning(tmp_path, whole, caplog):
    class Stateless(Momentum):
        def state_dict(self):
            raise NotImplementedError("no state")

    lineage = make(tmp_path, "norms", uids=[FOUNDER])
    stateless = dataclasses.replace(make_task("norms"), optimizer=Stateless)
    with caplog.at_level(logging.WARNING):
        make_offspring(stateless, specs("norms")[1], lineage)
    assert "no snapshot of the training: NotImplementedError: no state" in caplog.text
    assert result(lineage, UID) == result(whole("norms"), UID)


def test_a_short_trial_takes_no_snapshot(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots, "EVERY", 3600.0)
    lineage = Lineage(tmp_path)
    make_founder(make_task("norms"), specs("norms")[0], lineage, None)
    make_offspring(make_task("norms"), specs("norms")[1], lineage)
    assert not (tmp_path / "snapshots").exists()
