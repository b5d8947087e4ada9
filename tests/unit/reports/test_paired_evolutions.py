"""Pairs of evolutions differ in one setting, and are compared seed by seed."""

import pytest

from nni_stress.trials import lenet5
from reports import paired_evolutions


def test_a_pair_differs_in_the_setting_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(paired_evolutions.COMMON, "generations", 1)
    monkeypatch.setitem(paired_evolutions.COMMON, "population_size", 2)
    monkeypatch.setitem(paired_evolutions.COMMON, "tolerance", 0.5)
    monkeypatch.setitem(paired_evolutions.SETTINGS, "nothing", ({}, {}))
    task = lenet5.make_task("digits", founder_epochs=1)
    founder = tmp_path / "founder.safetensors"
    same = paired_evolutions.pair("nothing", 1, founder, task)
    figures = ("efficiency", "hypervolume", "survivors")
    assert all(same["with"][name] == same["without"][name] for name in figures)
    ended = paired_evolutions.pair("early ending", 1, founder, task)
    assert all(ended["without"][name] == same["without"][name] for name in figures)
    assert ended["with"]["efficiency"] == ended["without"]["efficiency"] > 1  # of one generation


def test_the_comparison_counts_seeds():
    def one(efficiency):
        return {"training_seconds": 1.0, "efficiency": efficiency, "hypervolume": 0.5}

    records = {
        seed: {"without": one(4.0), "with": one(4.0 * ratio)}
        for seed, ratio in enumerate((2.0, 2.0, 1.0, 0.5))
    }
    found = paired_evolutions.compared(records)
    assert (found["higher"], found["same"], found["lower"]) == (2, 1, 1)
    assert found["efficiency_ratio"] == pytest.approx(2**0.25, abs=1e-3) and found["p"] > 0.1
