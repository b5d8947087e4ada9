import math

import pytest

from nni_stress.evolution import environment, selection
from nni_stress.evolution.rules import Plan, Rules
from nni_stress.lineage.record import Record
from nni_stress.lineage.store import uid_of


def record(
    generation, slot=0, validation=0.9, synapses=1000, ancestor="g000-00", macs=5000, latency=None
):
    return Record(
        uid=uid_of(generation, slot),
        generation=generation,
        ancestor=ancestor if generation else None,
        arguments={},
        validation=validation,
        test=validation,
        synapses=synapses,
        macs=macs,
        efficiency=1000 / synapses,
        untrained=None,
        architecture={},
        seconds={},
        latency=latency,
    )


FOUNDER = record(0)
RULES = Rules(generations=5, tolerance=0.02, patience=1)


def select(*generation, rules=RULES, ancestors=(FOUNDER,)):
    return [r.uid for r in selection.select(generation, ancestors, FOUNDER, rules)]


def test_the_most_efficient_faithful_offspring_survives():
    assert select(record(1, 0, 0.91, 600), record(1, 1, 0.885, 400), record(1, 2, 0.87, 100)) == [
        "g001-01"
    ]


def test_several_survive_the_best_first():
    generation = [
        record(1, 0, 0.91, 600),
        record(1, 1, 0.885, 400),
        record(1, 2, 0.9, 400),
        record(1, 3, 0.9, 500),
    ]
    assert select(*generation, rules=RULES._replace(survivors=3)) == [
        "g001-02",
        "g001-01",
        "g001-03",
    ]


def test_an_offspring_exactly_at_the_tolerance_is_faithful():
    assert selection.faithful(record(1, validation=0.9 - 0.02), FOUNDER, 0.02)


def test_an_offspring_no_smaller_than_its_ancestor_does_not_survive():
    assert select(record(1, 0, 0.95, 1000)) == []


def test_a_generation_that_does_not_improve_on_its_best_ancestor_fails():
    ancestors = [record(1, 0, 0.9, 300), record(1, 1, 0.9, 600)]
    smaller_than_its_own = record(2, 0, 0.9, 400, "g001-01")
    assert select(smaller_than_its_own, ancestors=ancestors) == []
    best = record(2, 1, 0.9, 200, "g001-00")
    both = RULES._replace(survivors=2)
    assert select(smaller_than_its_own, best, ancestors=ancestors, rules=both) == [
        "g002-01",
        "g002-00",
    ]


def test_after_failed_generations_the_last_survivors_return_until_patience_ends():
    good = record(1, 0, 0.9, 500)
    weak = record(2, 0, 0.5, 100, "g001-00")
    generations = [[FOUNDER], [good], [weak]]
    assert selection.plan(generations, RULES) == Plan(["g001-00"], 1, None)
    end = selection.plan([*generations, [record(3, 0, 0.5, 300, "g001-00")]], RULES)
    assert end.ancestors == ["g001-00"] and "no gentler environment" in end.end


def test_a_good_generation_restores_patience():
    generations = [[FOUNDER], [record(1, 0, 0.5, 400)], [record(2, 0, 0.9, 500)]]
    assert selection.plan(generations, RULES) == Plan(["g002-00"], 0, None)


def test_an_evolution_ends_at_the_target_or_the_last_generation():
    generations = [[FOUNDER], [record(1, 0, 0.9, 100)]]
    assert (
        selection.plan(generations, RULES._replace(target_efficiency=8)).end
        == "target efficiency reached: 10.0x"
    )
    assert selection.plan(generations, RULES._replace(target_efficiency=11)).end is None
    assert "all 1 generations" in selection.plan(generations, RULES._replace(generations=1)).end


def test_beyond_the_target_efficiency_only_fidelity_counts():
    rules = RULES._replace(target_efficiency=8)
    offspring = [
        record(1, 0, 0.89, 50),
        record(1, 1, 0.9, 120),
        record(1, 2, 0.895, 130),
        record(1, 3, 0.95, 200),
    ]
    assert select(*offspring, rules=rules) == ["g001-01"]
    fitness = [selection.fitness(each, FOUNDER, FOUNDER, rules) for each in offspring]
    assert fitness[1] == pytest.approx(math.log(8)) and fitness[0] < fitness[2] < fitness[1]


def test_the_environmental_factor_does_not_lead_beyond_the_target():
    ancestor = record(1, 0, 0.9, 500)
    other = record(1, 1, 0.9, 250)
    rules = RULES._replace(target_efficiency=10)

    def factor(wanted, *ancestors, **changes):
        return environment.limit_to_target(wanted, ancestors, FOUNDER, rules._replace(**changes))

    assert factor(0.1, ancestor) == pytest.approx(0.2) and factor(0.3, ancestor) == 0.3
    assert factor(0.1, ancestor, other) == pytest.approx(
        100 / 375
    )  # of two ancestors, a share of their mean
    assert (
        factor(0.1, ancestor, target_efficiency=None) == 0.1
        and factor(0.1, ancestor, resource="macs") == 0.1
    )
    assert (
        factor(0.1, ancestor, constraints={"macs": 0.5}) == 0.1
    )  # an exceeded constraint may need more
    assert factor(0.5, record(1, 0, 0.9, 50)) == 1.0


def test_an_exceeded_constraint_is_no_scarcer_than_the_saved_resource():
    ancestor = record(1, 0, 0.9, 500, macs=4000)
    other = record(1, 1, 0.9, 500, macs=2000)

    def shares(*ancestors, **constraints):
        return environment.constrained_shares(
            0.3, ancestors, FOUNDER, RULES._replace(constraints=constraints)
        )

    assert FOUNDER.macs == 5000
    assert (
        shares(ancestor) == {} == shares(ancestor, parameters=0.1) == shares(ancestor, latency=0.1)
    )
    assert shares(ancestor, macs=0.4) == {"macs": pytest.approx(0.5)} and shares(
        ancestor, macs=0.1
    ) == {"macs": 0.3}
    assert shares(ancestor, other, macs=0.3) == {
        "macs": pytest.approx(0.5)
    }  # of two ancestors, a share of their mean
    assert shares(other, macs=0.5) == {"macs": 1.0}  # a kept constraint stays kept
    assert (
        environment.constrained_shares(
            0.3, [ancestor], FOUNDER, RULES._replace(resource="latency", constraints={"macs": 0.1})
        )
        == {}
    )


@pytest.mark.parametrize(
    ("resource", "survivor"),
    [("parameters", "g001-00"), ("macs", "g001-01"), ("latency", "g001-02")],
)
def test_each_resource_can_be_the_one_to_save(resource, survivor):
    founder = FOUNDER._replace(latency=1.0)
    generation = [
        record(1, 0, 0.9, 100, macs=4000, latency=0.9),
        record(1, 1, 0.9, 500, macs=500, latency=0.8),
        record(1, 2, 0.9, 600, macs=1000, latency=0.2),
    ]
    rules = RULES._replace(resource=resource)
    assert selection.select(generation, [founder], founder, rules)[0].uid == survivor
    best = next(r for r in generation if r.uid == survivor)
    assert selection.efficiency(best, founder, rules) == pytest.approx(
        {"parameters": 10, "macs": 10, "latency": 5}[resource]
    )


def test_constraints_come_before_efficiency_and_end_the_lineage_once_all_hold():
    rules = RULES._replace(constraints={"macs": 0.5, "parameters": 0.4})
    small_but_slow = record(1, 0, 0.9, 50, macs=4000)
    within = record(1, 1, 0.9, 390, macs=2500)
    assert select(small_but_slow, within, rules=rules) == ["g001-01"]
    assert selection.excess(within, FOUNDER, rules) == 0
    assert selection.excess(small_but_slow, FOUNDER, rules) == pytest.approx(math.log(0.8 / 0.5))
    assert selection.plan([[FOUNDER], [within]], rules).end == "all constraints are kept, at 2.6x"
    assert selection.plan([[FOUNDER], [small_but_slow]], rules).end is None
    with_target = rules._replace(target_efficiency=2)
    assert (
        selection.plan([[FOUNDER], [small_but_slow]], with_target).end is None
    )  # the target alone is not enough
    assert "target" in selection.plan([[FOUNDER], [within]], with_target).end


def test_ancestors_are_drawn_by_the_seed_among_the_survivors():
    survivors = ["g001-00", "g001-01", "g001-02"]
    draws = [environment.draw_ancestors(survivors, 1, 0, uid_of(2, slot)) for slot in range(60)]
    assert {uid for draw in draws for uid in draw} == set(survivors)
    assert draws == [
        environment.draw_ancestors(survivors, 1, 0, uid_of(2, slot)) for slot in range(60)
    ]
    for slot in range(20):
        pair = environment.draw_ancestors(survivors, 2, 0, uid_of(2, slot))
        assert len(set(pair)) == 2 and pair == sorted(pair)
    assert environment.draw_ancestors(["g001-00"], 2, 0, "g002-00") == ["g001-00"]


def test_the_environment_gets_gentler_with_each_failure():
    factors = [environment.gentler(0.25, n) for n in range(3)]
    assert factors == pytest.approx([0.25, 0.5, math.sqrt(0.5)])


def test_fitness_compares_across_generations():
    """The same gain at the same fidelity has the same fitness in each generation."""
    early = selection.fitness(record(1, 0, 0.89, 500), FOUNDER, FOUNDER, RULES)
    late = selection.fitness(record(4, 0, 0.88, 50), record(3, 0, 0.89, 100), FOUNDER, RULES)
    assert early == pytest.approx(late) == pytest.approx(math.log(2) - 0.5)


def test_fitness_includes_progress_towards_the_constraints():
    rules = RULES._replace(constraints={"macs": 0.5})
    gained = selection.fitness(record(1, 0, 0.9, 500, macs=4000), FOUNDER, FOUNDER, rules)
    assert gained == pytest.approx(math.log(2) + math.log(5 / 4))
    assert (
        selection.fitness(record(1, 0, 0.85, 500), FOUNDER, FOUNDER, RULES._replace(tolerance=0))
        < 0
    )


def test_the_frontier_holds_the_records_that_none_beats():
    records = [
        record(1, 0, 0.9, 500),
        record(1, 1, 0.8, 500),
        record(2, 0, 0.85, 100),
        record(2, 1, 0.95, 900),
    ]
    assert [r.uid for r in selection.frontier(records)] == ["g002-00", "g001-00", "g002-01"]
