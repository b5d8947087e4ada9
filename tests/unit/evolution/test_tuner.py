"""StressTuner over a simulated manager: what holds for every evolution."""

import errno
import random
import statistics

import pytest

from nni_stress import StressTuner
from nni_stress.evolution import selection
from nni_stress.evolution.ancestry import best_survivor
from nni_stress.evolution.maturation import to_mature
from nni_stress.evolution.rules import Rules
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.trial.claim import ParameterSource, accept, parse
from reports.simulation import SimulatedManager


def make(lineage, **changes):
    settings = {
        "population_size": 4,
        "generations": 5,
        "tolerance": 0.2,
        "seed": 3,
        "survivors": 2,
        "folder": str(lineage),
    }
    return StressTuner(**{**settings, **changes})


MATURING = {"maturation_epochs": 20.0, "matured": 3, "generations": 3, "tolerance": 0.005}


def without_seconds(tuner):
    """All records of a tuner's lineage, without the times they took."""
    return [record._replace(seconds={}) for record in tuner.lineage.records()]


def consistent(lineage: Lineage, state: dict, population: int = 4):
    """Check that all generations closed, and each offspring has a record or a failure.

    Also checks that all ancestors are survivors.
    """
    records = {record.uid: record for record in lineage.records()}
    rules = Rules(**{name: state[name] for name in Rules._fields})
    closed = []
    number = 0
    while (generation := lineage.generation(number)) is not None:
        assert len(generation["offspring"]) == (population if number else 1)
        for parameters in generation["offspring"]:
            uid = parameters["uid"]
            assert (uid in records) != (lineage.failure(uid) is not None), uid
            if uid in records:
                assert (
                    records[uid].arguments == parameters["arguments"]
                    and records[uid].ancestor == parameters["ancestor"]
                )
        chosen = selection.survivors(closed, rules) if closed else []
        allowed = [r.uid for r in next((s for s in reversed(chosen) if s), [])]
        assert all(p["ancestor"] in allowed for p in generation["offspring"] if number)
        assert set(generation["closed"]) == {p["uid"] for p in generation["offspring"]}
        closed.append([records[uid] for uid in generation["closed"] if uid in records])
        number += 1
    assert state["finished"] and selection.plan(closed, rules).end == state["finished"]


def test_an_evolution_runs_to_its_end(tmp_path):
    manager = SimulatedManager(make(tmp_path))
    manager.run()
    assert manager.error is None and manager.ended
    lineage = Lineage(tmp_path)
    assert [r.uid for r in lineage.records()] == ["g000-00"] + [
        f"g{g:03d}-{s:02d}" for g in range(1, 6) for s in range(4)
    ]
    assert len(manager.trained) == len(set(manager.trained)) == 21
    consistent(lineage, lineage.read_state())
    assert len({r.ancestor for r in lineage.records() if r.generation == 3}) == 2


@pytest.mark.parametrize("seed", range(25))
def test_after_random_faults_the_lineage_is_complete_and_nothing_is_trained_twice(tmp_path, seed):
    manager = SimulatedManager(
        make(tmp_path, seed=seed), concurrency=1 + seed % 4, chance=random.Random(seed)
    )
    manager.run()
    lineage = Lineage(tmp_path)
    if manager.error:  # by chance the founder or a whole generation was lost
        assert "lost" in manager.error and "\n" not in manager.error
    else:
        consistent(lineage, lineage.read_state())
    assert len(manager.trained) == len(set(manager.trained)) == len(lineage.records())


@pytest.mark.parametrize("seed", range(6))
def test_an_interrupted_evolution_gives_the_same_records(tmp_path, monkeypatch, seed):
    whole = SimulatedManager(make(tmp_path / "whole", seed=seed))
    whole.run()
    chance = random.Random(seed)
    trained = []
    for turn in range(11):
        manager = SimulatedManager(make(tmp_path / "parts", seed=seed), concurrency=1 + turn % 3)
        steps = chance.randrange(4) if turn < 10 else 1000
        manager.run(until=lambda manager=manager, steps=steps: manager.now >= steps)
        trained += manager.trained
        monkeypatch.setenv("NNI_MODE", "resume")
    assert manager.ended and without_seconds(manager.tuner) == without_seconds(whole.tuner)
    assert sorted(trained) == sorted(whole.trained)


@pytest.mark.parametrize("damage", ["record", "network", "state", "generation", "gone"])
@pytest.mark.parametrize("uid", ["g000-00", "g002-00", "g003-01"])
def test_damaged_files_are_made_again_after_a_resume(tmp_path, monkeypatch, damage, uid):
    whole = SimulatedManager(make(tmp_path / "whole"))
    whole.run()
    first = SimulatedManager(make(tmp_path / "parts"))
    first.run(until=lambda: len(first.trained) == 14)
    lineage = Lineage(tmp_path / "parts")
    home = lineage.folder / "offspring" / uid
    if damage == "gone":
        (home / "record.json").unlink()
        (home / "network.safetensors").unlink()
        home.rmdir()
    else:
        path = {
            "record": home / "record.json",
            "network": home / "network.safetensors",
            "state": lineage.folder / "state.json",
            "generation": lineage.folder / "generations" / "g002.json",
        }[damage]
        path.write_bytes(path.read_bytes()[:7])
    monkeypatch.setenv("NNI_MODE", "resume")
    second = SimulatedManager(make(tmp_path / "parts"))
    second.run()
    assert second.error is None and without_seconds(second.tuner) == without_seconds(whole.tuner)
    consistent(lineage, lineage.read_state())


@pytest.mark.parametrize("uid", ["g000-00", "g001-02"])
def test_a_damaged_offspring_that_then_failed_is_retried_after_a_resume(tmp_path, monkeypatch, uid):
    whole = SimulatedManager(make(tmp_path / "whole"))
    whole.run()
    first = SimulatedManager(make(tmp_path / "parts"))
    first.run(until=lambda: len(first.trained) == 14)
    lineage = Lineage(tmp_path / "parts")
    (lineage.folder / "offspring" / uid / "record.json").write_text("{")
    lineage.sound(uid)
    lineage.add_failure(uid, "out of memory")
    monkeypatch.setenv("NNI_MODE", "resume")
    second = SimulatedManager(make(tmp_path / "parts"))
    second.run(until=lambda: len(second.trained) == 1)
    assert second.trained == [uid]
    lineage.set_aside(lineage.folder / "offspring" / uid)
    lineage.add_failure(uid, "out of memory")
    third = SimulatedManager(make(tmp_path / "parts"))
    third.run()
    assert third.error is None and without_seconds(third.tuner) == without_seconds(whole.tuner)


def test_a_fatal_failure_ends_the_experiment_and_is_retried_after_a_resume(tmp_path, monkeypatch):
    manager = SimulatedManager(make(tmp_path))
    lineage = Lineage(tmp_path)
    manager.run(until=lambda: len(manager.trained) == 3)
    lineage.add_failure("g001-03", "data folder /nowhere does not exist", fatal=True)
    manager.run()
    assert manager.error == "data folder /nowhere does not exist"
    assert lineage.read_state()["failed"] == manager.error
    monkeypatch.setenv("NNI_MODE", "resume")
    again = SimulatedManager(make(tmp_path))
    again.run()
    assert again.error is None and len(lineage.records()) == 21
    assert lineage.read_state()["failed"] is None and lineage.read_state()["finished"]
    assert "/nowhere" in (lineage.folder / "aside" / "g001-03.json.0").read_text()


def test_a_disk_that_is_full_as_a_loss_is_noted_ends_the_experiment(tmp_path):
    """NNI's manager answers; it is not waited for."""

    def no_space(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    manager = SimulatedManager(make(tmp_path), chance=random.Random(0))
    manager.run(until=lambda: len(manager.trained) == 3)
    manager.tuner.lineage.add_failure = no_space
    manager._trial = lambda job: "FAILED"
    with pytest.raises(OSError, match="No space left"):  # the tuner's thread reports it
        manager.run(seconds=1000)


def test_an_experiment_that_nni_ends_before_its_time_says_why_and_can_be_resumed(
    tmp_path, monkeypatch
):
    manager = SimulatedManager(make(tmp_path))
    manager.run(until=lambda: len(manager.trained) == 3)
    manager.reason_of_end = lambda: "maxTrialNumber is too small"
    manager._jobs.clear()  # the manager makes no more trials
    manager.run(seconds=1000)
    assert (
        manager.error == Lineage(tmp_path).read_state()["failed"] == "maxTrialNumber is too small"
    )
    monkeypatch.setenv("NNI_MODE", "resume")
    again = SimulatedManager(make(tmp_path))
    again.run()
    assert again.ended and Lineage(tmp_path).read_state()["failed"] is None
    consistent(again.tuner.lineage, again.tuner.lineage.read_state())


def test_a_generation_closes_at_the_quorum(tmp_path):
    class Slow(SimulatedManager):
        def _end_one(self):
            waiting = [entry for entry in self._jobs if not self.slow(entry)]
            if waiting:
                self._jobs.sort(key=self.slow)
                super()._end_one()

        def slow(self, entry):
            return entry[0] in ("job3", "job6")

    tuner = make(tmp_path, quorum=0.75, generations=2)
    manager = Slow(tuner, concurrency=5)
    manager.run()
    lineage = Lineage(tmp_path)
    assert manager.error is None and [len(lineage.generation(n)["closed"]) for n in range(3)] == [
        1,
        3,
        3,
    ]
    late = {p["uid"] for p in lineage.generation(1)["offspring"]} - set(
        lineage.generation(1)["closed"]
    )
    assert len(late) == 1 and len(lineage.records()) == 7


def test_an_offspring_that_exceeds_its_time_limit_is_lost(tmp_path):
    class Hanging(SimulatedManager):
        def _trial(self, job):
            if self._queue[0]["uid"] == "g001-01":
                assert accept(parse(self._queue.pop(0), ParameterSource.TUNER), job)
                return "RUNNING"
            return super()._trial(job)

    manager = Hanging(make(tmp_path, generations=2, time_limit=30))
    manager.run()
    assert (
        Lineage(tmp_path).failure("g001-01")["reason"] == "took longer than the time limit of 30 s"
    )
    assert manager.error is None and 90 < manager.now < 200


def test_parameters_that_a_stranger_took_are_sent_again(tmp_path):
    class Robbed(SimulatedManager):
        """Its trials wait as long as there are no parameters, as NNI's do."""

        def _trial(self, job):
            if len(self.trained) == 3 and not self.robbed:
                self.robbed = job
                self._queue.pop(0)
            return super()._trial(job) if self._queue else "RUNNING"

    whole = SimulatedManager(make(tmp_path / "whole"))
    whole.run()
    manager = Robbed(make(tmp_path / "robbed"), concurrency=1)
    manager.robbed = None
    manager.run(seconds=10_000)
    assert manager.statuses[manager.robbed] == "USER_CANCELED"
    assert without_seconds(manager.tuner) == without_seconds(whole.tuner)


def test_the_search_space_may_change_and_a_wrong_one_is_ignored(tmp_path, capfd):
    manager = SimulatedManager(make(tmp_path))
    manager.run(until=lambda: len(manager.trained) == 7)
    manager.tuner.update_search_space(
        {"environmental_factor": {"_type": "choice", "_value": [0.5]}}
    )
    manager.tuner.update_search_space({"environmental_facto": {"_type": "choice", "_value": [0.5]}})
    assert (
        "the search space stays as it was: unknown stress parameter 'environmental_facto'"
        in capfd.readouterr().err
    )
    manager.tuner.update_search_space = lambda space: None  # run() sends the first one again
    manager.run()
    factors = {
        r.arguments["environmental_factor"] for r in Lineage(tmp_path).records() if r.generation > 2
    }
    assert manager.error is None and factors == {0.5}


@pytest.mark.parametrize("damage_state", [False, True])
@pytest.mark.parametrize("trained", [0, 7])
def test_a_wrong_search_space_on_resume_leaves_the_last_one_in_use(
    tmp_path, monkeypatch, damage_state, trained
):
    first = SimulatedManager(make(tmp_path))
    first.run(until=lambda: len(first.trained) == trained)
    if damage_state:
        (tmp_path / "state.json").write_text("{")
    monkeypatch.setenv("NNI_MODE", "resume")
    second = SimulatedManager(make(tmp_path))
    second.space = {"environmental_factr": {"_type": "uniform", "_value": [0, 9]}}
    second.run()
    assert second.error is None and len(Lineage(tmp_path).records()) == 21


def test_a_population_of_one_runs_to_its_end(tmp_path):
    manager = SimulatedManager(make(tmp_path, population_size=1, survivors=1, generations=4))
    manager.space = {
        **manager.space,
        "stressor": {"_type": "choice", "_value": ["attenuate", "nested_silence"]},
    }
    manager.run()
    assert manager.error is None and len(Lineage(tmp_path).records()) == 5


def test_offspring_are_not_made_smaller_than_the_target(tmp_path):
    tuner = make(tmp_path, target_efficiency=12.0, generations=20, tolerance=10)
    manager = SimulatedManager(tuner)
    manager.run()
    lineage = Lineage(tmp_path)
    last = lineage.records()[-1]
    assert "target efficiency reached" in lineage.read_state()["finished"] and last.generation < 20
    assert all(record.efficiency < 12.5 for record in lineage.records())
    assert (
        selection.line(selection.by_generation(lineage.records()), tuner.rules)[-1].efficiency >= 12
    )


def test_with_two_parents_both_are_survivors(tmp_path):
    manager = SimulatedManager(make(tmp_path, parents=2, survivors=3))
    manager.run()
    records = Lineage(tmp_path).records()
    assert all(r.other is None for r in records if r.generation == 1)
    later = [r for r in records if r.generation > 1]
    assert all(r.other is not None and r.other != r.ancestor for r in later)


@pytest.mark.parametrize("parents", [1, 2])
def test_with_early_ending_the_smallest_train_first(tmp_path, parents):
    """Only the order changes; the records are the same."""
    order = {}
    records = {}
    for early in (False, True):
        manager = SimulatedManager(
            make(tmp_path / str(early), parents=parents, early_ending=early), concurrency=1
        )
        manager.run()
        records[early] = {record.uid: record for record in without_seconds(manager.tuner)}
        order[early] = [uid for uid in manager.trained if records[early][uid].generation > 1]
    assert records[True] == records[False] and len(order[True]) == 16
    assert order[False] == sorted(order[False]) and order[True] != order[False]

    def resource_allowed(record):
        return record.arguments["environmental_factor"] * statistics.mean(
            1 / records[True][uid].efficiency for uid in (record.ancestor, record.other) if uid
        )

    for generation in range(2, 6):
        sizes = [
            resource_allowed(records[True][uid])
            for uid in order[True]
            if records[True][uid].generation == generation
        ]
        assert len(sizes) == 4 and sizes == sorted(sizes)


@pytest.mark.parametrize(
    "changes", [{}, {"early_ending": True}, {"target_efficiency": 4.0}, {"tolerance": 1e-4}]
)
def test_an_evolution_ends_with_the_maturation_of_its_best(tmp_path, changes):
    manager = SimulatedManager(make(tmp_path, **{**MATURING, **changes}))
    manager.run()
    lineage = Lineage(tmp_path)
    rules = manager.tuner.rules
    records = {record.uid: record for record in lineage.records()}
    matured = [record for record in records.values() if record.matured]
    evolved = [record for record in records.values() if not record.matured]
    generations = selection.by_generation(evolved)
    last = max(record.generation for record in evolved)
    assert manager.error is None and manager.ended and 1 <= len(matured) <= 3
    assert lineage.read_state()["finished"].endswith(", and the best matured")
    best = selection.line(generations, rules)[-1]
    sources = [records[record.ancestor] for record in matured]
    assert sources == to_mature(generations, rules, 3)
    assert best.uid == FOUNDER or sources[0] == best
    for record, source in zip(matured, sources):
        assert record.generation == last + 1 and record.other is None
        assert record.synapses == source.synapses <= best.synapses
        spec = lineage.planned_generation(record.generation).offspring[0]
        assert spec.hyperparameters().recovery_epochs == 20.0
    chosen = best_survivor(lineage)
    founder = records[FOUNDER]
    faithful = [one for one in matured if selection.faithful(one, founder, rules.tolerance)]
    assert chosen == max(
        faithful,
        key=lambda one: (selection.rank(one, founder, rules), one.validation),
        default=best,
    )


@pytest.mark.parametrize("seed", range(4))
def test_an_interrupted_maturation_gives_the_same_records(tmp_path, monkeypatch, seed):
    whole = SimulatedManager(make(tmp_path / "whole", seed=seed, **MATURING))
    whole.run()
    first = SimulatedManager(make(tmp_path / "parts", seed=seed, **MATURING), concurrency=1)
    first.run(until=lambda: len(first.trained) == 14)
    assert not first.ended
    monkeypatch.setenv("NNI_MODE", "resume")
    lineage = Lineage(tmp_path / "parts")
    if seed % 2:  # what is to mature was damaged in the meantime
        uid = next(one.ancestor for one in lineage.records() if one.matured)
        lineage.network_path(uid).write_bytes(b"damaged")
    second = SimulatedManager(make(tmp_path / "parts", seed=seed, **MATURING))
    second.run()
    assert second.ended and without_seconds(second.tuner) == without_seconds(whole.tuner)
    assert len(first.trained) + len(second.trained) == len(whole.trained) + seed % 2
    third = SimulatedManager(make(tmp_path / "parts", seed=seed, **MATURING))
    third.run()
    assert third.ended and not third.trained


def test_a_maturation_takes_a_learning_rate_of_its_own(tmp_path):
    tuner = make(tmp_path, **MATURING, maturation_learning_rate=0.01)
    SimulatedManager(tuner).run()
    rates = {one.arguments["learning_rate"] for one in tuner.lineage.records() if one.matured}
    assert rates == {0.01}


def test_two_parents_lose_whole_heads(tmp_path, capfd):
    tuner = make(tmp_path, parents=2, survivors=3)
    tuner.update_search_space({"temperature": {"_type": "choice", "_value": [0.1]}})
    tuner.update_search_space({"attention": {"_type": "choice", "_value": ["heads", "width"]}})
    assert "attentions must lose whole heads" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"survivors": 0}, "survivors must be a whole number of at least 1, but got 0"),
        ({"parents": 3}, "parents must be 1 or 2, but got 3"),
        ({"parents": 2, "survivors": 1}, "parents=2 needs at least 2 survivors, but got 1"),
        (
            {"resource": "joules"},
            "resource must be one of parameters, macs, latency, but got 'joules'",
        ),
        (
            {"constraints": {"macs": 2}},
            r"constraint on macs must be a share in \(0, 1\], but got 2",
        ),
        (
            {"constraints": {"flops": 0.5}},
            "constraints are on parameters, macs, latency, but got 'flops'",
        ),
        ({"constraints": 0.5}, "constraints must be {resource: share"),
        ({"matured": 0}, "matured must be a whole number of at least 1, but got 0"),
        (
            {"maturation_epochs": -1},
            r"maturation_epochs must be a number in \[0, 1000\], but got -1",
        ),
        (
            {"maturation_learning_rate": 0},
            r"maturation_learning_rate must be a number in \(0, 10\], but got 0",
        ),
        ({"quorum": 0}, r"quorum must be a share in \(0, 1\], but got 0"),
        ({"time_limit": 0}, "time_limit must be a number of at least 1, but got 0"),
        ({"search": "Hyperband"}, "Hyperband"),
        ({"search_args": [1]}, "search_args must be a mapping"),
        ({"folder": 7}, "folder must be a path"),
        ({"tolerance": None}, "tolerance must be a number of at least 0, but got None"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, changes, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make(tmp_path, **changes)
