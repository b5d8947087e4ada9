import pytest

from nni_stress.files import write_json
from nni_stress.render import generations_table, offspring_line
from reports import stress_study
from reports.figures import draw_frontier, frontier_facts
from tests.test_evolution import record

LINEAGE = [record(0), record(1, 0, 0.88, 400, "g000-00"), record(1, 1, 0.95, 800, "g000-00"), record(2, 0, 0.6, 100, "g001-00")]


def test_the_figure_shows_every_offspring_and_the_survivors():
    facts = frontier_facts(LINEAGE, LINEAGE[:2], 0.02)
    assert facts.points == {0: [(1.0, 0.9)], 1: [(2.5, 0.88), (1.25, 0.95)], 2: [(10.0, 0.6)]}
    assert facts.lineage == [(1.0, 0.9), (2.5, 0.88)] and facts.tolerated == pytest.approx(0.88)


def test_the_figure_is_drawn(tmp_path):
    draw_frontier(frontier_facts(LINEAGE, LINEAGE[:2], 0.02), tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_names_the_fittest_and_says_where_there_was_none():
    lines = generations_table(LINEAGE, LINEAGE[:2]).splitlines()
    assert "g000-00" in lines[1] and "g001-00" in lines[2] and "2.5x" in lines[2]
    assert "none kept the fidelity" in lines[3]


def test_an_offspring_is_shown_with_its_stress():
    line = offspring_line(LINEAGE[1]._replace(arguments={"stress_peak": 0.123456, "stressor": "silence"}))
    assert "g001-00" in line and "2.5x" in line and "stress_peak 0.123, stressor silence" in line


def test_the_study_pairs_variants_by_seed_and_shows_missing_cells(tmp_path):
    for seed in range(1, 6):
        for variant, gain in (("synthesis first", 0), ("silence", 0.01 + 0.001 * seed)):
            write_json(tmp_path / f"{variant}-{seed}.json", dict(
                variant=variant, efficiency=140, learning_rate=8e-3, seed=seed, synthesized=0.5, recovered=0.8 + 0.002 * seed + gain))
    rows = {tuple(cell.strip() for cell in line.split("|")[1:4]): line for line in stress_study.table(tmp_path).splitlines()}
    assert "+1.30 | 0.000" in rows["140x", "0.008", "silence"]  # mean of 1.1 ... 1.5 points
    assert "80.60 [" in rows["140x", "0.008", "synthesis first"]
    assert "missing" in rows["44x", "0.008", "silence"] and "missing" in rows["140x", "0.002", "nested silence"]
