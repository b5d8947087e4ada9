"""What reports.keep copies of a run."""

import pytest

from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.utils.atomic_files import read_json, write_json
from reports import keep
from tests.unit.evolution.test_early_stopping import RULES, record


def test_a_run_that_ended_is_kept_without_its_networks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(keep, "RESULTS", tmp_path / "results")
    run, lineage = tmp_path / "run", Lineage(tmp_path / "run" / "lineage")
    made = [record(FOUNDER, 0.9, 1000), record("g001-00", 0.895, 500), record("g001-01", 0.8, 300)]
    for one in made:
        lineage.add(one, lambda path: path.write_bytes(b"network"))
    lineage.update_state(**RULES._asdict())
    with pytest.raises(
        SystemExit, match=r"error: .*run must be the folder of a run of `make demo` that ended"
    ):
        keep.main([str(run), "small"])
    assert not (tmp_path / "results").exists()
    write_json(run / "summary.json", {"seed": 1})
    (run / "frontier.png").write_bytes(b"figure")
    write_json(tmp_path / "founder.json", {"epochs": 3})
    keep.main([str(run), "small", "--founder", str(tmp_path / "founder.json")])
    kept = tmp_path / "results" / "small"
    assert capsys.readouterr().out.strip() == str(kept)
    assert {path.name for path in kept.iterdir()} == {
        "summary.json",
        "frontier.png",
        "founder.json",
        "lineage.json",
        "survivor.json",
        "generations.txt",
    }
    assert (
        read_json(kept / "survivor.json")["uid"] == "g001-00"
        and len(read_json(kept / "lineage.json")["records"]) == 3
    )
    assert "g001-00" in (kept / "generations.txt").read_text()
