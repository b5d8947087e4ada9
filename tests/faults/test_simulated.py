"""Faults of an evolution over a simulated manager, and that the checks see what they should."""

import pytest

from nni_stress.utils.atomic_files import read_json, write_json
from tests.faults.registry import Skipped, kinds
from tests.faults.simulated import Sabotage, Simulated

SIMULATED = {name: kind for name, kind in kinds().items() if kind.simulated}
SLOW = "a hundred offspring, 8 at a time, and kill -9"


def held(name, folder, seed):
    kind = SIMULATED[name]
    try:
        kind.inject(Simulated(folder / "lineage", seed, kind.same_records))
    except Skipped as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", [name for name in SIMULATED if name != SLOW])
def test_a_fault_of_this_kind_leaves_the_lineage_as_it_would_have_been(name, tmp_path):
    held(name, tmp_path, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
@pytest.mark.parametrize("name", SIMULATED)
def test_more_faults(name, seed, tmp_path):
    held(name, tmp_path, seed)


def interrupted(folder):
    run = Simulated(folder / "lineage", 1)
    run.session(Sabotage(run.lineage.folder, 120))
    return run


def test_a_record_that_changes_is_noticed(tmp_path):
    run = interrupted(tmp_path)
    path = run.lineage.folder / "offspring" / "g001-00" / "record.json"
    write_json(path, {**read_json(path), "test": 0.5})
    with pytest.raises(AssertionError, match="other records than undisturbed"):
        run.finish()


def test_a_record_that_is_lost_is_noticed(tmp_path):
    run = interrupted(tmp_path)
    run.snapshot.take()
    (run.lineage.folder / "offspring" / "g001-00" / "record.json").unlink()
    with pytest.raises(AssertionError, match="the record of g001-00 was lost"):
        run.snapshot.check()


def _never_ends(manager):
    manager._end_one = lambda: None


def test_an_evolution_that_hangs_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.faults.simulated.PATIENCE", 0.5)
    run = Simulated(tmp_path / "lineage", 1)
    with pytest.raises(AssertionError, match="hangs"):
        run.session(_never_ends)
