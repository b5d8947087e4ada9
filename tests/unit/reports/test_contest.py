"""A contest through NNI: built-in pruners, the tuner that hands them out, and whole contests."""

import copy
from pathlib import Path

import nni
import pytest
import torch
import yaml
from torch import nn

from nni_stress import Task
from nni_stress.evolution.search_space import check_search_space
from nni_stress.graph import cost
from nni_stress.trial.training import train
from reports.cell_records import cell_path, read_cell
from reports.contest import ABLATIONS, BUILTIN, Cell, space_of
from reports.contest_file import begin, read_contest
from reports.contest_tuner import ContestTuner
from reports.synthetic_contest import plant
from trials import pruners
from trials.lenet5 import make_task

KNOBS = {
    "scope": "uniform",
    "share": 0.5,
    "base": "L2NormPruner",
    "learning_rate": 2e-3,
    "regular_scale": 0.01,
}


class Residual(nn.Module):
    """Two layers that lose the same clusters, batch norm, and a head."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 12, 5, stride=2), nn.BatchNorm2d(12)
        self.second, self.third = nn.Conv2d(12, 12, 3, padding=1), nn.Conv2d(12, 16, 3, stride=2)
        self.hidden, self.head = nn.Linear(400, 60), nn.Linear(60, 10)

    def forward(self, images):
        start = torch.relu(self.norm(self.first(images)))
        both = torch.relu(self.third(start + torch.relu(self.second(start))))
        return self.head(torch.relu(self.hidden(both.flatten(1))))


def tasks() -> dict[str, Task]:
    import dataclasses

    lenet = make_task("digits", None, 32, 3)
    return {"lenet5": lenet, "residual": dataclasses.replace(lenet, network=Residual)}


@pytest.fixture(scope="module", params=["lenet5", "residual"])
def task_and_founder(request):
    task = tasks()[request.param]
    torch.manual_seed(0)
    founder = task.network()
    train(founder, task, 3, 2e-3, 0)
    return task, founder.eval()


@pytest.mark.parametrize(
    ("method", "scope"),
    [
        *((method, "uniform") for method in pruners.SPACES),
        *((method, "global") for method, knobs in pruners.SPACES.items() if "scope" in knobs),
    ],
)
def test_every_built_in_pruner_meets_its_budget(task_and_founder, method, scope):
    task, founder = task_and_founder
    knobs = {
        name: value
        for name, value in {**KNOBS, "scope": scope}.items()
        if name in pruners.SPACES[method]
    }
    found = pruners.run(method, task, copy.deepcopy(founder), 5.0, 1.0, knobs, seed=1)
    full = cost.synapses(founder)
    assert found["synapses"] <= full / 5 * 1.002 and found["efficiency"] == full / found["synapses"]
    # One ratio for all layers uses the budget; a ranking of all clusters may nearly empty a layer.
    assert scope == "global" or found["efficiency"] < 5.8
    assert found["epochs"] == 1.0 and 0 <= found["test"] <= 1 and found["latency"] > 0
    if method == "LevelPruner":
        assert found["architecture"] == cost.architecture(founder)
    else:
        assert sum(found["architecture"][name][0] for name in found["architecture"]) < sum(
            shape[0] for shape in cost.architecture(founder).values()
        )
    if scope == "uniform" and method == "L1NormPruner":
        again = pruners.run(method, task, copy.deepcopy(founder), 5.0, 1.0, knobs, seed=1)
        assert {**again, "seconds": 0, "latency": 0} == {**found, "seconds": 0, "latency": 0}


def test_unknown_methods_and_impossible_budgets_are_refused(task_and_founder):
    task, founder = task_and_founder
    with pytest.raises(
        ValueError, match=r"method must be one of RandomPruner, .*, but got 'TopPruner'"
    ):
        pruners.run("TopPruner", task, founder, 5.0, 1.0, {}, 0)
    for knobs in ({"base": "tools"}, {"scope": "other"}, {"learning_rate": "fast"}):
        name = next(iter(knobs))
        with pytest.raises(ValueError, match=f"{name} of AGPPruner must be"):
            pruners.run("AGPPruner", task, founder, 5.0, 1.0, {**KNOBS, **knobs}, 0)
    with pytest.raises(ValueError, match="no ratio leaves 2 synapses"):
        pruners.run(
            "L1NormPruner",
            task,
            copy.deepcopy(founder),
            cost.synapses(founder) / 1.5,
            1.0,
            KNOBS,
            0,
        )


def test_a_folder_refuses_a_contest_that_does_not_compare(tmp_path):
    folder = plant(tmp_path / "c")
    content = yaml.safe_load((folder / "contest.yml").read_text())
    other = tmp_path / "other.yml"
    other.write_text(
        yaml.safe_dump(
            {**content, "seeds": [1, 2, 3, 4, 5, 6], "methods": [*content["methods"], "FPGMPruner"]}
        )
    )
    assert (
        begin(other, folder).seeds
        == (1, 2, 3, 4, 5, 6)
        == read_contest(folder / "contest.yml").seeds
    )
    for changes in ({"epochs": 3}, {"trials": 4}, {"task_arguments": {"data": "mnist"}}):
        other.write_text(yaml.safe_dump({**content, **changes}))
        with pytest.raises(
            ValueError,
            match=f"holds a contest of another {next(iter(changes))}, name another folder",
        ):
            begin(other, folder)
    with pytest.raises(ValueError, match="holds a contest of another task, name another folder"):
        begin(folder / "contest.yml", folder, "trial.py:make_task")
    assert (
        begin(folder / "contest.yml", tmp_path / "new", "trial.py:make_task").task
        == "trial.py:make_task"
    )
    assert read_contest(tmp_path / "new" / "contest.yml").task_arguments == {}
    before = (folder / "contest.yml").read_bytes()
    other.write_text("methods: [")
    with pytest.raises(ValueError, match="is not YAML"):
        begin(other, folder)
    assert (folder / "contest.yml").read_bytes() == before


def test_search_spaces_of_evolutions_are_valid_and_reach_the_budget():
    contest = read_contest(Path(__file__).parents[3] / "reports" / "compare.yml")
    for method in ABLATIONS:
        for budget in contest.budgets:
            space = space_of(contest, Cell(method, budget, 1))
            check_search_space(space)
            low, high = space["environmental_factor"]["_value"]
            assert low**3 < 1 / budget < high**3
            assert space["stress_epochs"]["_value"] == [0.125] and space["recovery_epochs"][
                "_value"
            ] == [0.875]
    assert set(pruners.SPACES) == set(BUILTIN)


def run_tuner(tuner, fail=()):
    """Run two trials at a time, as NNI's manager does, and return all parameters handed out."""
    handed, waiting = [], []
    while True:
        try:
            while len(waiting) < 2:
                waiting.append((len(handed), tuner.generate_parameters(len(handed))))
                handed.append(waiting[-1][1])
        except nni.NoMoreTrialError:
            if not waiting:
                return handed
        number, parameters = waiting.pop(len(handed) % len(waiting))
        if number not in fail:
            value = dict(
                default=0.9,
                validation=0.9,
                **{k: parameters[k] for k in ("method", "budget", "seed", "trial", "knobs")},
            )
            tuner.receive_trial_result(
                number + 1, {}, value
            )  # NNI may name another trial's parameters
        tuner.trial_end(number, number not in fail)


def tuner_of(folder):
    return ContestTuner(str(folder), pruners.SPACES)


def test_the_tuner_hands_out_missing_trials_only(tmp_path):
    folder = plant(tmp_path / "c", trials=3)
    gone = [Cell("AGPPruner", 10, 2), Cell("TaylorPruner", 40, 5), Cell("L1NormPruner", 10, 1)]
    for cell in gone:
        cell_path(folder, cell).unlink()
    handed = run_tuner(tuner_of(folder), fail={1})
    cells = [Cell(*(one[name] for name in Cell._fields)) for one in handed]
    assert (
        sorted(set(cells)) == sorted(gone) and len(handed) == 10
    )  # one was lost and handed out again
    for cell in gone:
        assert [trial["trial"] for trial in read_cell(folder, cell)] == [0, 1, 2]
        for trial in read_cell(folder, cell):
            assert set(trial["knobs"]) == set(pruners.SPACES[cell.method])
    assert run_tuner(tuner_of(folder)) == []
    named = {*Cell._fields, "trial", "pruner", "knobs", "epochs"}  # no code, and no file
    assert all(set(one) == named and one["epochs"] == 2 for one in handed)


def test_the_tuner_takes_results_of_its_own_cells_only(tmp_path):
    folder = plant(tmp_path / "c", trials=3)
    cell = Cell("AGPPruner", 10, 2)
    cell_path(folder, cell).unlink()
    tuner, sound = tuner_of(folder), {**cell._asdict(), "trial": 0, "knobs": {}}
    wrong = [
        {"method": "../../up"},
        {"method": ["AGPPruner"]},
        {"trial": 3},
        {"trial": "0"},
        {"seed": None},
    ]
    for value in (None, 0.5, *({**sound, **changes} for changes in wrong)):
        tuner.receive_trial_result(0, {}, value)
    assert read_cell(folder, cell) == [] and not (tmp_path / "up").exists()
    tuner.receive_trial_result(0, {}, sound)
    assert len(read_cell(folder, cell)) == 1


def test_the_search_of_a_cell_does_not_depend_on_interruptions(tmp_path):
    def knobs(folder, parts):
        plant(folder, trials=6, methods=["AGPPruner"], seeds=(1,), budgets=(10,))
        path = cell_path(folder, Cell("AGPPruner", 10, 1))
        path.unlink()
        for _ in range(parts):
            tuner, number = tuner_of(folder), 0
            for number in range(6 // parts):
                one = tuner.generate_parameters(number)
                value = dict(
                    default=0.5,
                    validation=0.5 + 0.01 * one["trial"],
                    **{k: one[k] for k in ("method", "budget", "seed", "trial", "knobs")},
                )
                tuner.receive_trial_result(number, {}, value)
                tuner.trial_end(number, True)
        return [trial["knobs"] for trial in read_cell(folder, Cell("AGPPruner", 10, 1))]

    assert knobs(tmp_path / "whole", 1) == knobs(tmp_path / "parts", 3)
