"""The pilot of a contest, which chooses the length and the rate of final trainings."""

import yaml

from reports.claims import records_in
from reports.contest import pilot

CONTEST = {
    "task": "trials.lenet5:make_task",
    "task_arguments": {"data": "digits", "founder_epochs": 1},
    "founders": [1],
    "seeds": [1],
    "axes": {
        "macs": {"budgets": [2, 4], "methods": ["evolution", "L1NormPruner", "RandomPruner"]},
        "latency": {"budgets": [2], "methods": ["evolution"]},
    },
    "search_epochs": 0.5,
    "final_epochs": 1,
    "learning_rate": 0.008,
}


def test_every_search_is_trained_at_three_lengths_and_rates(tmp_path, capsys):
    file = tmp_path / "compare.yml"
    file.write_text(yaml.safe_dump(CONTEST))
    pilot.main([str(file), "--folder", str(tmp_path / "pilot")])
    records = records_in(tmp_path / "pilot" / "records")
    assert {(one["resource"], one["budget"]) for one in records} == {("macs", 4)}
    assert {(one["method"], one["seed"]) for one in records} == {
        (method, seed) for method in ("evolution", "L1NormPruner") for seed in pilot.SEEDS
    }
    for record in records:
        tried = {(one["final_epochs"], one["learning_rate"]) for one in record["trainings"]}
        assert tried == {(0.5, 0.008), (1.0, 0.008), (2.0, 0.008), (1.0, 0.004), (1.0, 0.016)}
        assert all(one["validation"] == max(one["curve"]) for one in record["trainings"])
    table = capsys.readouterr().out.splitlines()[-5:]
    ways = [f"{epochs:g} epochs at {rate:g}" for epochs, rate in sorted(tried)]
    assert table[0] == f"| search | {' | '.join(ways)} |"
    best = [one["trainings"][0] for one in records if one["method"] == "L1NormPruner"]
    mean = 50 * sum(one["validation"] for one in best)  # half an epoch, in percent, of two seeds
    assert table[2].startswith(f"| L1NormPruner, macs | {mean:.2f} | ")
