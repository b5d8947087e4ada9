"""A contest's file: what it holds, and what is refused in one line."""

from pathlib import Path

import pytest
import yaml

from reports.contest.file import begin, read_contest
from reports.contest.plan import EVOLUTION, METHODS, SCRATCH, Cell

ROOT = Path(__file__).parents[4]
FILES = [*sorted((ROOT / "reports").glob("*.yml")), ROOT / "reports" / "contest" / "own.yml"]
CONTENT = yaml.safe_load(FILES[-1].read_text())


def written(tmp_path, **changes):
    file = tmp_path / "other.yml"
    file.write_text(yaml.safe_dump({**CONTENT, **changes}))
    return file


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_our_files_are_sound(file):
    contest = read_contest(file)
    cells = contest.cells()
    assert len(cells) == len(set(cells)) and {cell.method for cell in cells} <= set(METHODS)
    assert {cell.founder for cell in cells} == set(contest.founders)
    assert all(contest.founder_of(cell.seed) == cell.founder for cell in cells)
    for cell in cells:
        if cell.method != EVOLUTION:
            assert cell._replace(method=EVOLUTION) in cells


def test_what_takes_up_results_comes_last(tmp_path):
    methods = ["L1NormPruner in equal seconds", SCRATCH, EVOLUTION, "L1NormPruner"]
    axes = {"macs": {"budgets": [4], "methods": methods}}
    cells = read_contest(written(tmp_path, axes=axes, seeds=[7, 8, 9])).cells()
    assert [cell.method for cell in cells[-6:]] == [SCRATCH] * 3 + [methods[0]] * 3
    assert cells[0] == Cell("macs", 4, EVOLUTION, 1, 7)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": 3}, "unknown field 'budget'"),
        ({"axes": {}}, "axes must be"),
        ({"axes": {"weights": {}}}, "axes must be of parameters, macs, latency, but got 'weights'"),
        ({"axes": {"macs": {"budgets": [4]}}}, "macs must be {budgets, methods}"),
        ({"axes": {"macs": {"budgets": [1], "methods": [EVOLUTION]}}}, "numbers above 1"),
        ({"axes": {"macs": {"budgets": [4], "methods": ["L3"]}}}, "methods must be a list of"),
        ({"axes": {"macs": {"budgets": [4], "methods": ["L1NormPruner"]}}}, "have 'evolution'"),
        (
            {"axes": {"macs": {"budgets": [4], "methods": [EVOLUTION, "LevelPruner"]}}},
            "LevelPruner removes single synapses, and saves no macs",
        ),
        ({"founders": [1, 2, 3], "seeds": [1]}, "3 founders and 1 seeds"),
        ({"seeds": [1, 1, 2, 3]}, "seeds must differ"),
        ({"search_epochs": 0}, "search_epochs must be a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0"),
        ({"learning_rates": {"L3": 1}}, "learning_rates must be"),
        ({"processes": 1.5}, "processes must be a whole number"),
        ({"task": "trial.py"}, "task must name a function"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, changes, said):
    with pytest.raises(ValueError, match=r"^other\.yml: ") as caught:
        read_contest(written(tmp_path, **changes))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_refuses_a_contest_that_does_not_compare(tmp_path):
    folder = tmp_path / "contest"
    begin(written(tmp_path), folder)
    more = begin(written(tmp_path, seeds=[1, 2, 3, 4]), folder)
    assert more.seeds == (1, 2, 3, 4) == read_contest(folder / "contest.yml").seeds
    for changes in ({"final_epochs": 3}, {"learning_rate": 4.0}, {"task_arguments": {"data": "x"}}):
        name = next(iter(changes))
        with pytest.raises(ValueError, match=f"holds a contest of another {name}, name another"):
            begin(written(tmp_path, **changes), folder)
    with pytest.raises(ValueError, match="holds a contest of another task, name another folder"):
        begin(written(tmp_path), folder, "other.py:make_task")
    own = begin(written(tmp_path), tmp_path / "new", "other.py:make_task", founders=2)
    assert (own.task, own.founders) == ("other.py:make_task", (1, 2))
    before = (folder / "contest.yml").read_bytes()
    broken = tmp_path / "other.yml"
    broken.write_text("methods: [")
    with pytest.raises(ValueError, match="is not YAML"):
        begin(broken, folder)
    assert (folder / "contest.yml").read_bytes() == before
