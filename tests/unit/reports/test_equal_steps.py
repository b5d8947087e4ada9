"""Equal steps: all cells train for as long, keep to their budget, and are judged as planned."""

import dataclasses

import pytest
import torch
from nni_stress.trials.founders import train_founder

from nni_stress.trial import training
from nni_stress.trials import lenet5
from reports.equal_steps import analysis, plan, running
from reports.equal_steps.plan import DIVISIONS, METHODS, RATES, SUBJECTS, Cell, comparison

EPOCHS = 2.0
DIVISION = plan.Division(2, 2, 0.2, 0.1)


@pytest.fixture(scope="module")
def founder(tmp_path_factory):
    file = tmp_path_factory.mktemp("founders") / "lenet5.safetensors"
    train_founder(lenet5.make_task("digits", founder_epochs=1), file, quiet=True)
    return file


@pytest.fixture
def subject(monkeypatch):
    class Small(plan.Subject):
        task = staticmethod(lambda: lenet5.make_task("digits", founder_epochs=1))

    monkeypatch.setitem(DIVISIONS, plan.DEFAULT, DIVISION)
    return Small("lenet5", {"4x MACs": ("macs", 4.0), "4x": ("parameters", 4.0)}, EPOCHS, 4e-3)


@pytest.mark.parametrize("budget", ["4x MACs", "4x"])
@pytest.mark.parametrize("method", ["evolution", "one shot", "L1NormPruner"])
def test_every_method_has_the_same_steps_and_keeps_to_its_budget(
    founder, subject, monkeypatch, method, budget
):
    steps = []
    optimize = training.optimize

    def counted(*arguments):
        steps.append(1)
        return optimize(*arguments)

    monkeypatch.setattr(training, "optimize", counted)
    monkeypatch.setattr("nni_stress.trial.stress_training.optimize", counted)
    monkeypatch.setattr("nni_stress.trial.maturation.PATIENCE", 10.0)  # to the end
    cell = Cell("comparison", "lenet5", budget, method, 1, 1, 4e-3)
    record = running.run_cell(cell, subject, founder)
    per_epoch = training.batches_per_epoch(subject.task())
    rounding = 2 * 2 * 2  # stress and recovery of each offspring
    assert abs(len(steps) - EPOCHS * per_epoch) <= rounding
    resource = subject.budgets[budget][0]
    assert record["times_fewer"][resource] >= 3.999
    assert 0.1 < record["test"] <= 1 and record["founder_fidelity"]["test"] > 0.5
    if method == "evolution":
        assert len(record["offspring"]) == 5 and len(record["curve"]) >= 2


def test_variants_differ_in_one_thing_alone(founder, subject):
    def arguments(method):
        cell = Cell("comparison", "lenet5", "4x", method, 1, 3, 4e-3)
        return [one["arguments"] for one in running.run_cell(cell, subject, founder)["offspring"]]

    whole, without = arguments("evolution"), arguments("without stress")
    assert all(one.get("stress_peak", 0.0) == 0.0 for one in without)
    assert any(one.get("stress_peak", 0.0) > 0.0 for one in whole)


def planted(gains, budgets=tuple(SUBJECTS["lenet5"].budgets)):
    generator = torch.Generator().manual_seed(0)
    return [
        {
            **cell._asdict(),
            "validation": 0.0,
            "test": 0.88
            - gains.get(cell.method, 0.0) / 100
            + 0.003 * float(torch.randn((), generator=generator)),
        }
        for cell in comparison()
        if cell.budget in budgets
    ]


def test_the_lead_is_welchs_with_holms_correction():
    records = planted({"one shot": 1.0, "L1NormPruner": -1.0})
    ahead, behind = analysis.leads(records, "one shot"), analysis.leads(records, "L1NormPruner")
    level = analysis.leads(records, "without stress")
    assert all(lead.low < 1 < lead.high and lead.p < 0.02 for lead in ahead.values())
    assert all(lead.mean < 0 and lead.p < 0.02 for lead in behind.values())
    assert min(lead.p for lead in level.values()) > 0.02
    text = analysis.comparison_table(records)
    assert text.count("\n") == len(METHODS) + 1 and f"({ahead['25x MACs'].mean:+.2f} [" in text


def test_choices_follow_validation():
    def record(method, rate, validation, subject="lenet5"):
        return {
            "method": method,
            "budget": "25x MACs",
            "subject": subject,
            "rate": rate,
            "validation": validation,
            "test": -validation,
        }

    rates = [record("one shot", rate, rate) for rate in RATES]
    assert analysis.best_rates(rates) == {("one shot", "25x MACs"): max(RATES)}
    names = list(DIVISIONS)[:2]
    many = [record(names[0], 0.1, 0.9)] * 3 + [record(names[0], 0.1, 0.5, "resnet20")]
    many += [record(names[1], 0.1, 0.8), record(names[1], 0.1, 0.7, "resnet20")]
    scores = analysis.division_scores(many)
    assert scores[names[0]] == pytest.approx(70) and scores[names[1]] == pytest.approx(75)
    assert names[1] in analysis.division_table(many)


def test_the_plan_divides_ten_seeds_over_three_founders():
    cells = comparison()
    assert len(set(cells)) == len({cell.name for cell in cells}) == 4 * len(METHODS) * 10
    assert {cell.founder for cell in cells} == {1, 2, 3}
    for name, subject in SUBJECTS.items():
        assert all(division.search < subject.epochs for division in DIVISIONS.values()), name
    assert dataclasses.is_dataclass(plan.Subject)
