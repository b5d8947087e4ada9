"""`status` finds a lineage, shows its state, and does not change it."""

import argparse
import fcntl
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from nni_stress import StressTuner
from nni_stress.cli import status
from nni_stress.evolution import selection
from nni_stress.evolution.rules import Rules
from nni_stress.lineage.locate import find_lineage
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.utils.atomic_files import write_json
from nni_stress.visualization.html_page import page
from nni_stress.visualization.snapshot import overview
from nni_stress.visualization.text import status_text
from reports import simulation
from reports.simulation import SimulatedManager

ROOT = Path(__file__).parents[3]


def evolve(folder, trained=1000, chance=None, **changes):
    """Return a lineage of simulated trials, complete or until `trained` trials have run."""
    settings = {
        "population_size": 4,
        "generations": 4,
        "tolerance": 0.2,
        "seed": 3,
        "survivors": 2,
        "folder": str(folder),
    }
    manager = SimulatedManager(StressTuner(**{**settings, **changes}), chance=chance)
    manager.run(until=lambda: len(manager.trained) >= trained)
    assert manager.error is None
    return Lineage(folder)


def names(records):
    return [record.uid for record in records]


def states(facts, number):
    return {child.uid: child.state for child in facts.generations[number].offspring}


def parsed(*arguments):
    """The options of a command line of `status`."""
    parser = argparse.ArgumentParser()
    status.add_arguments(parser)
    return parser.parse_args(list(map(str, arguments)))


def content(folder):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in [folder, *folder.rglob("*")]
    }


def test_a_whole_evolution(tmp_path):
    lineage = evolve(tmp_path, chance=random.Random(1))
    facts, records, state = overview(tmp_path), lineage.records(), lineage.read_state()
    rules = Rules(**{name: state[name] for name in Rules._fields})
    assert facts.rules == rules and facts.finished == state["finished"] and not facts.running
    assert [names(generation.survivors) for generation in facts.generations] == [
        names(best) for best in selection.survivors(selection.by_generation(records), rules)
    ]
    assert (
        names(facts.frontier) == names(selection.frontier(records)) and facts.founder == records[0]
    )
    assert facts.losses and [loss.uid for loss in facts.losses] == [
        failure["uid"] for failure in lineage.failures()
    ]
    best = facts.generations[-1].survivors[0]
    assert facts.line[-1] == best and facts.line[0].uid == FOUNDER
    assert all(
        child.ancestor == ancestor.uid for ancestor, child in zip(facts.line, facts.line[1:])
    )
    assert (facts.aside, facts.damaged) == ([], [])
    text = status_text(facts)
    assert (
        "finished: all 4 generations done" in text
        and f"ancestry of {best.uid}, the best survivor: g000-00 -> " in text
    )
    assert all(f"  {loss.uid}  {loss.reason}" in text for loss in facts.losses)
    table = text.split("\n\n")[1].splitlines()
    assert len(table) == 1 + len(facts.survivors) and [line[23:30] for line in table[1:]] == [
        record.uid for generation in facts.generations for record in generation.survivors
    ]


def test_an_evolution_under_way(tmp_path):
    lineage = evolve(tmp_path, trained=6)
    lineage.add_failure("g002-01", "out of\n\x1b[31m memory")
    lineage.claim("g002-02", "0.1", "abcde")
    with open(tmp_path / "tuner.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        facts = overview(tmp_path)
    assert (
        facts.running
        and facts.generation == 2
        and [g.closed for g in facts.generations] == [True, True, False]
    )
    assert states(facts, 2) == {
        "g002-00": "recorded",
        "g002-01": "lost",
        "g002-02": "taken",
        "g002-03": "waiting",
    }
    assert facts.generations[2].survivors == [] and facts.line[-1].generation == 1
    text = status_text(facts)
    assert "generation 2 of at most 4 in progress: 1 recorded, 1 lost, 1 taken, 1 waiting" in text
    assert (
        "g002-02  taken: by trial abcde" in text
        and "g002-01  lost: out of \N{REPLACEMENT CHARACTER}[31m memory" in text
    )
    assert "no survivor: fidelity too low" not in text and "\x1b" not in text
    assert "not running: generation 2 of at most 4, not finished" in status_text(overview(tmp_path))


def test_before_the_founder(tmp_path):
    evolve(tmp_path, trained=0)
    facts = overview(tmp_path)
    assert states(facts, 0) == {FOUNDER: "waiting"} and facts.line == [] and facts.founder is None
    assert "g000-00  waiting" in status_text(facts)


def test_an_offspring_that_came_too_late_does_not_count(tmp_path):
    lineage = evolve(tmp_path)
    late = overview(tmp_path).generations[4].survivors[0].uid
    generation = lineage.generation(4)
    lineage.write_generation(
        4, {**generation, "closed": [uid for uid in generation["closed"] if uid != late]}
    )
    facts = overview(tmp_path)
    (child,) = [child for child in facts.generations[4].offspring if child.uid == late]
    assert (
        child.state == "recorded"
        and not child.counts
        and late not in facts.survivors
        and facts.line[-1].uid != late
    )


def test_a_generation_without_survivors_is_reported(tmp_path):
    evolve(tmp_path, tolerance=0, patience=1, seed=5)
    facts = overview(tmp_path)
    assert not all(generation.survivors for generation in facts.generations)
    assert "no survivor: fidelity too low" in status_text(facts)


def test_efficiency_is_measured_in_the_resource(tmp_path):
    lineage = evolve(tmp_path, trained=5, resource="macs", generations=2)
    record = lineage.record("g001-01")
    write_json(
        lineage.folder / "offspring" / "g001-01" / "record.json", record._replace(macs=1)._asdict()
    )
    facts = overview(tmp_path)
    assert facts.frontier[0].uid == "g001-01" and facts.frontier[0].efficiency == facts.founder.macs


def test_a_record_without_the_required_latency_is_damaged(tmp_path):
    lineage = evolve(tmp_path, trained=5, generations=2)
    lineage.update_state(resource="latency")
    home = lineage.folder / "offspring" / "g001-01" / "record.json"
    write_json(home, lineage.record("g001-01")._replace(latency=0.25)._asdict())
    facts = overview(tmp_path)
    assert facts.damaged == ["offspring/g001-00", "offspring/g001-02", "offspring/g001-03"]
    assert facts.frontier[0].efficiency == 4


@pytest.mark.parametrize(
    "damaged", ["offspring/g002-01/record.json", "generations/g002.json", "failures/g001-01.json"]
)
def test_status_changes_nothing(tmp_path, damaged):
    lineage = evolve(tmp_path / "lineage")
    lineage.add_failure("g001-01", "reason")
    (lineage.folder / damaged).write_text(
        '{"offspring": [{"uid": "../.."}], "suggestions": [], "closed": 7}'
    )
    before = content(lineage.folder)
    options = parsed(lineage.folder, "--html", tmp_path / "page.html")
    (text,) = status.run(options)
    assert content(lineage.folder) == before
    name = damaged.removesuffix("/record.json")
    assert f"damaged, left unchanged:\n  {name}" in text and name in options.html.read_text()


def test_files_that_the_tuner_set_aside_are_listed(tmp_path):
    lineage = evolve(tmp_path)
    lineage.add_failure("g001-01", "reason")
    lineage.allow_retry("g001-01")
    assert overview(tmp_path).aside == ["g001-01.json.0"] and "aside/g001-01.json.0" in status_text(
        overview(tmp_path)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resource": "joules"}, "resource must be one of"),
        ({"tolerance": "<b>"}, "tolerance must be a number"),
        ({"generation": 10.5}, "generation must be a whole number, but got 10.5"),
        (None, "lacks generations, tolerance"),
        ("{", "state.json is damaged"),
    ],
)
def test_an_invalid_state_is_refused(tmp_path, change, words):
    lineage = evolve(tmp_path, trained=1)
    if isinstance(change, dict):
        lineage.update_state(**change)
    else:
        (tmp_path / "state.json").write_text(change or "{}")
    with pytest.raises(ValueError, match=words):
        overview(tmp_path)


def test_a_lineage_knows_its_experiment_by_name_and_id(tmp_path, monkeypatch):
    home = nni_experiment(tmp_path, "ab12cd34", experimentName="LeNet-5")
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(home / "checkpoint"))
    facts = overview(evolve(tmp_path / "lineage", trained=1).folder)
    assert (facts.experiment, facts.name) == ("ab12cd34", "LeNet-5")
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(tmp_path / "none" / "checkpoint"))
    facts = overview(evolve(tmp_path / "other", trained=1).folder)
    assert (facts.experiment, facts.name) == ("none", None)


# Finding the lineage


def nni_experiment(home, id, folder=None, **config):
    """Write those of NNI's files of an experiment by which a lineage is found."""
    database = home / "nni" / id / "db" / "nni.sqlite"
    database.parent.mkdir(parents=True)
    arguments = {} if folder is None else {"folder": str(folder)}
    connection = sqlite3.connect(database)
    connection.execute("create table ExperimentProfile (params text, id text, revision integer)")
    connection.executemany(
        "insert into ExperimentProfile values (?, ?, ?)",
        [("{}", id, 0), (json.dumps({"tuner": {"classArgs": arguments}, **config}), id, 1)],
    )
    connection.commit()
    connection.close()
    known = (
        json.loads((home / ".experiment").read_text()) if (home / ".experiment").exists() else {}
    )
    write_json(home / ".experiment", {**known, id: {"id": id, "logDir": str(home / "nni")}})
    return home / "nni" / id


def state_in(folder, age):
    write_json(folder / "state.json", {})
    os.utime(folder / "state.json", (1e9 - age, 1e9 - age))
    return folder


def test_a_lineage_is_found_by_its_folders_and_its_id(tmp_path):
    named = tmp_path / "elsewhere" / "lineage"
    plain = nni_experiment(tmp_path, "plain123")
    absolute = nni_experiment(tmp_path, "absolute", named)
    relative = nni_experiment(tmp_path, "relative", "own")
    (relative / "log").mkdir()
    state_in(named, 0)
    state_in(plain / "checkpoint" / "lineage", 10)
    state_in(relative / "log" / "own", 20)

    def found(name=None, runs=tmp_path / "runs"):
        return find_lineage(name, tmp_path, runs)

    for name in (str(named), str(named.parent), "absolute", str(absolute), None):
        assert found(name) == named
    assert found("plain123") == found(str(plain)) == plain / "checkpoint" / "lineage"
    assert found("relative") == relative / "log" / "own"
    newest = state_in(tmp_path / "runs" / "first" / "lineage", -10)
    assert found() == newest


def test_a_lineage_that_is_not_found_is_reported_in_one_line(tmp_path):
    nni_experiment(tmp_path, "empty123")
    for name, words in (
        (
            "nothing",
            "expected a folder or the id of an experiment that NNI knows, but got 'nothing'",
        ),
        ("empty123", "no lineage of 'empty123': no state.json in"),
        (str(tmp_path), "no lineage of"),
        (None, "no lineage found"),
    ):
        with pytest.raises(ValueError, match=words):
            find_lineage(name, tmp_path, tmp_path / "runs")
    (tmp_path / ".experiment").write_text("garbage")
    with pytest.raises(ValueError, match="no lineage found"):
        find_lineage(None, tmp_path, tmp_path / "runs")


# The command


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "nni_stress", "status", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_the_command_prints_and_writes_or_reports_an_error(tmp_path):
    evolve(tmp_path / "lineage", generations=1)
    done = command(tmp_path, "--html", tmp_path / "page.html")
    assert (
        done.returncode == 0
        and "finished: all 1 generations done" in done.stdout
        and not done.stderr
    )
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    for arguments in (("nothing",), (tmp_path, "--html", tmp_path / "no" / "page.html")):
        done = command(*arguments)
        assert (
            done.returncode == 1
            and done.stderr.startswith("error: ")
            and len(done.stderr.splitlines()) == 1
        )


def test_the_page_is_served_until_the_command_is_interrupted(tmp_path):
    lineage = evolve(tmp_path / "lineage", trained=3)
    serving = [sys.executable, "-m", "nni_stress", "status", str(tmp_path), "--serve"]
    with subprocess.Popen(
        [*serving, "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            line = next(line for line in process.stdout if line.startswith("page: "))
            url = line.split()[1]
            assert f"{lineage.record(FOUNDER).synapses:,}" in requests.get(url, timeout=20).text
            done = command(tmp_path, "--serve", "--port", urlsplit(url).port)
            assert done.returncode == 1 and "cannot be used" in done.stderr.splitlines()[-1]
        finally:
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (130, "", "")


def test_a_port_without_a_server_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--port is the port of --serve"):
        next(status.run(parsed(tmp_path, "--port", "8090")))


def test_the_command_line_starts_without_torch_and_nni():
    script = "import sys, nni_stress.__main__ as it; it._parser(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert not {"torch", "nni", "numpy", "requests"} & set(done.stdout.split())


def test_watching_continues_until_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(status, "INTERVAL", 0.01)
    lineage = evolve(tmp_path / "lineage", trained=3)
    page = tmp_path / "page.html"
    watch = status.run(parsed(lineage.folder, "--html", page, "--watch"))
    assert "g001-03  waiting" in next(watch) and 'http-equiv="refresh"' in page.read_text()
    lineage.add_failure("g001-03", "no more memory")
    assert "g001-03  lost: no more memory" in next(watch)
    lineage.update_state(finished="that was all")
    assert (
        "finished: that was all" in next(watch) and 'http-equiv="refresh"' not in page.read_text()
    )
    assert list(watch) == []


def test_an_experiment_that_ended_in_error_is_shown_as_such_and_ends_a_watch(tmp_path, monkeypatch):
    monkeypatch.setattr(status, "INTERVAL", 0.01)
    lineage = evolve(tmp_path / "lineage", trained=3)
    page = tmp_path / "page.html"
    watch = status.run(parsed(lineage.folder, "--html", page, "--watch"))
    assert "not running" in next(watch)
    lineage.update_state(failed="KeyError: 'labels'")
    assert "ended in ERROR: KeyError: 'labels'" in next(watch)
    assert "ended in ERROR" in page.read_text() and 'http-equiv="refresh"' not in page.read_text()
    with pytest.raises(SystemExit, match="1"):
        next(watch)
    done = command(lineage.folder)
    assert done.returncode == 1 and "ended in ERROR: KeyError: 'labels'" in done.stdout
    lineage.update_state(failed=None)  # as a resumed tuner does
    assert command(lineage.folder).returncode == 0


def test_a_tolerance_that_does_not_suit_the_fidelity_is_shown_and_said_once(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(simulation, "achieved", lambda spec, ancestor: (93.5, 100_000))
    warning = "warning: the founder's fidelity is 93.5, but tolerance 0.2 suggests shares in [0, 1]"
    evolve(tmp_path / "points", tolerance=0.2, generations=1)
    assert "warning" not in status_text(overview(tmp_path / "points"))
    evolve(tmp_path / "shares", tolerance=0.02, generations=2)
    warning = warning.replace("0.2", "0.02")
    facts = overview(tmp_path / "shares")
    assert warning in status_text(facts) and "tolerance 0.02 suggests" in page(facts)
    assert capsys.readouterr().err.count(f"nni-stress: {warning}") == 1
