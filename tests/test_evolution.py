import math

import pytest

from nni_stress import evolution
from nni_stress.lineage import Record, uid_of


def record(generation, slot=0, validation=0.9, synapses=1000, ancestor=None):
    return Record(uid_of(generation, slot), generation, ancestor, {}, validation, validation, synapses, 0,
                  1000 / synapses, None, {}, {})


FOUNDER = record(0)
RULES = evolution.Rules(generations=5, tolerance=0.02, target_efficiency=None, patience=1)


def test_the_most_efficient_faithful_offspring_survives():
    generation = [record(1, 0, 0.91, 600), record(1, 1, 0.885, 400), record(1, 2, 0.87, 100)]
    assert evolution.survivor(generation, FOUNDER, FOUNDER, 0.02).uid == "g001-01"


def test_an_offspring_exactly_at_the_tolerance_is_faithful():
    assert evolution.faithful(record(1, validation=0.9 - 0.02), FOUNDER, 0.02)


def test_an_offspring_no_smaller_than_its_ancestor_does_not_survive():
    assert evolution.survivor([record(1, 0, 0.95, 1000)], FOUNDER, FOUNDER, 0.02) is None


def test_a_weak_generation_goes_back_to_the_last_good_ancestor_and_patience_ends():
    good, weak = record(1, 0, 0.9, 500), record(2, 0, 0.5, 100)
    generations = [[FOUNDER], [good], [weak]]
    assert evolution.plan(generations, RULES) == evolution.Plan("g001-00", 1, None)
    end = evolution.plan([*generations, [record(3, 0, 0.5, 300)]], RULES)
    assert end.ancestor == "g001-00" and "no gentler environment" in end.end


def test_a_good_generation_restores_patience():
    generations = [[FOUNDER], [record(1, 0, 0.5, 400)], [record(2, 0, 0.9, 500)]]
    assert evolution.plan(generations, RULES) == evolution.Plan("g002-00", 0, None)


def test_it_ends_at_the_target_or_the_last_generation():
    generations = [[FOUNDER], [record(1, 0, 0.9, 100)]]
    assert "target efficiency" in evolution.plan(generations, RULES._replace(target_efficiency=8)).end
    assert "all 1 generations" in evolution.plan(generations, RULES._replace(generations=1)).end


def test_each_retreat_is_gentler():
    factors = [evolution.gentler(0.25, n) for n in range(3)]
    assert factors == pytest.approx([0.25, 0.5, math.sqrt(0.5)])


def test_fitness_compares_across_generations():
    """The same step from the same fidelity is worth the same in whatever generation it is made."""
    early = evolution.fitness(record(1, 0, 0.89, 500), FOUNDER, 0.02)
    late = evolution.fitness(record(4, 0, 0.88, 50), record(3, 0, 0.89, 100), 0.02)
    assert early == pytest.approx(late) == pytest.approx(math.log(2) - 0.5)


def test_the_frontier_holds_what_nothing_beats():
    records = [record(1, 0, 0.9, 500), record(1, 1, 0.8, 500), record(2, 0, 0.85, 100), record(2, 1, 0.95, 900)]
    assert [r.uid for r in evolution.frontier(records)] == ["g002-00", "g001-00", "g002-01"]
