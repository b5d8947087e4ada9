"""Division of steps: all cells train for as long, and keep to their budget."""

import pytest
from nni_stress.trials.founders import train_founder

from nni_stress.trial import training
from nni_stress.trials import lenet5
from reports.division import analysis, plan, running
from reports.division.plan import DIVISIONS, SUBJECTS, Cell, cells

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

    monkeypatch.setitem(DIVISIONS, "2 x 4, a quarter", DIVISION)
    return Small("lenet5", {"4x MACs": ("macs", 4.0), "4x": ("parameters", 4.0)}, EPOCHS, 4e-3)


@pytest.mark.parametrize(
    ("method", "budget"),
    [
        ("2 x 4, a quarter", "4x MACs"),
        ("one shot, brief stress", "4x"),
        ("1 x 4, allocations", "4x MACs"),
    ],
)
def test_every_division_has_the_same_steps_and_keeps_to_its_budget(
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
    cell = Cell("lenet5", budget, method, 1, 1, 4e-3)
    record = running.run_cell(cell, subject, founder)
    per_epoch = training.batches_per_epoch(subject.task())
    rounding = 2 * 2 * 2  # stress and recovery of each offspring
    assert abs(len(steps) - EPOCHS * per_epoch) <= rounding
    resource = subject.budgets[budget][0]
    assert record["times_fewer"][resource] >= 3.999
    assert 0.1 < record["test"] <= 1 and record["founder_fidelity"]["test"] > 0.5
    *offspring, _matured = record["offspring"]
    if method == "2 x 4, a quarter":
        assert len(offspring) == 4 and len(record["curve"]) >= 2
    if method == "1 x 4, allocations":
        drawn = [one["arguments"]["redundancy"] for one in offspring]
        assert sorted(drawn) == plan.ALLOCATIONS


def test_a_division_without_stress_has_none(founder, subject):
    cell = Cell("lenet5", "4x", "one shot, no stress", 1, 3, 4e-3)
    (one, _) = running.run_cell(cell, subject, founder)["offspring"]
    assert one["arguments"]["stress_peak"] == 0.0


def test_choices_follow_validation():
    def record(method, validation, subject="lenet5"):
        return {
            "method": method,
            "budget": "25x MACs",
            "subject": subject,
            "founder": 1,
            "seed": 1,
            "rate": 0.008,
            "validation": validation,
            "test": -validation,
        }

    names = list(DIVISIONS)[:2]
    many = [record(names[0], 0.9)] * 3 + [record(names[0], 0.5, "resnet20")]
    many += [record(names[1], 0.8), record(names[1], 0.7, "resnet20")]
    scores = analysis.scores(many)
    assert scores[names[0]] == pytest.approx(70) and scores[names[1]] == pytest.approx(75)
    assert names[1] in analysis.table(many)
    other = {**record(names[1], 0.9), "founder": 2}
    assert list(analysis.scores([*many, other])) == [names[1]]  # the other lacks that founder


def test_the_second_look_has_the_planned_cells_of_its_divisions():
    record = next(cell for cell in cells() if cell.method in plan.SECOND_LOOK)._asdict()
    dropped = {**record, "method": "2 x 4, a quarter", "founder": 2}
    assert analysis.second_look([record, dropped]) == [record]
    assert analysis.first_look([record, dropped]) == [record]


def test_every_division_leaves_steps_for_maturation():
    found = cells()
    number = 4 * (len(DIVISIONS) + 2 * len(plan.SECOND_LOOK))
    assert len(set(found)) == len({cell.name for cell in found}) == number
    for name, subject in SUBJECTS.items():
        assert all(division.search < subject.epochs for division in DIVISIONS.values()), name
