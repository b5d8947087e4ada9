"""The real nnictl, manager, tuner and trials, end to end."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from nni_stress import evolve
from nni_stress.evolution.ancestry import best_survivor
from nni_stress.experiment import launch
from nni_stress.experiment.config_file import read as read_config
from nni_stress.lineage.store import Lineage
from nni_stress.nni_runtime import loopback
from trials import lenet5

ROOT = Path(__file__).parents[2]


def write_config(folder, trial="trials.lenet5", population=3, generations=2, **changes):
    config = yaml.safe_load((ROOT / "stress.yml").read_text())
    config.update(
        trialCommand=f"python3 -m {trial} --founder-epochs 3",
        trialCodeDirectory=str(ROOT),
        searchSpaceFile="space.yml",
        **changes,
    )
    config["tuner"]["codeDirectory"] = str(ROOT)
    config["tuner"]["classArgs"].update(
        population_size=population, generations=generations, tolerance=0.1
    )
    space = {
        "environmental_factor": {"_type": "uniform", "_value": [0.3, 0.6]},
        "temperature": {"_type": "uniform", "_value": [0.05, 0.3]},
        "stress_epochs": {"_type": "choice", "_value": [0.5]},
        "recovery_epochs": {"_type": "choice", "_value": [1]},
    }
    (folder / "space.yml").write_text(yaml.safe_dump(space))
    (folder / "stress.yml").write_text(yaml.safe_dump(config))
    return folder / "stress.yml"


def demo(config, folder, port, *arguments):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "trials.demo",
            "--config",
            str(config),
            "--runs",
            str(folder / "runs"),
            "--port",
            str(port),
            *arguments,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
    )


def no_process_is_left(folder):
    deadline = time.time() + 20
    while time.time() < deadline:
        left = [
            process.info["cmdline"]
            for process in psutil.process_iter(["cmdline"])
            if any(str(folder) in argument for argument in process.info["cmdline"] or [])
        ]
        if not left:
            return True
        time.sleep(0.5)
    raise AssertionError(f"left behind: {left}")


def lineage_of(run):
    """Return what the seed determines: all of the records except the time they took."""
    records = Lineage(Path(run, "lineage")).records()
    return [record._replace(seconds={}) for record in records]


@pytest.mark.slow
def test_an_evolution_continues_after_failures_and_repeats_with_its_seed(tmp_path, port):
    config = write_config(tmp_path, "tests.helpers.failing_trial")
    runs = []
    for _again in range(2):
        done = demo(config, tmp_path, port, "--seed", "5")
        assert done.returncode == 0, done.stdout + done.stderr
        runs.append(Path(done.stdout.splitlines()[-1]))
        assert "g001-01  lost: RuntimeError: made to fail (" in done.stdout
        assert "tests/helpers/failing_trial.py, line 16)" in done.stdout
        assert "g002-00  lost: its process was killed" in done.stdout
        assert "generation 2 of at most 2: 3 offspring" in done.stdout
    for run in runs:
        records = Lineage(run / "lineage").records()
        assert [r.uid for r in records] == ["g000-00", "g001-00", "g001-02", "g002-01", "g002-02"]
        summary = json.loads((run / "summary.json").read_text())
        assert summary["seed"] == 5 and summary["generations"] == 2 and summary["seconds"] > 0
        assert set(summary["founder"]) >= {"synapses", "macs", "validation", "test"}
        assert summary["founder"]["synapses"] == 431_080
        assert summary["survivor"]["synapses"] * summary["efficiency"] == pytest.approx(431_080)
        assert summary["survivor"]["macs"] < summary["founder"]["macs"]
        assert (run / "frontier.png").read_bytes().startswith(b"\x89PNG")
        assert no_process_is_left(run)
    assert lineage_of(runs[0]) == lineage_of(runs[-1])


@pytest.mark.slow
def test_the_manager_listens_on_127_0_0_1_only_and_evolves_what_evolve_does(tmp_path, port):
    config = read_config(write_config(tmp_path, generations=1, population=2))
    config["tuner"]["classArgs"] |= {
        "folder": str(tmp_path / "lineage"),
        "maturation_epochs": 2,
        "seed": 1,
    }
    experiment = launch.start(config, tmp_path / "run", port)
    try:
        experiment.follow(lambda: None)
        listening = {
            c.laddr
            for c in psutil.net_connections("tcp")
            if c.status == "LISTEN" and c.laddr.port == port
        }
        jobs = experiment.client.trial_jobs()
    finally:
        experiment.stop()
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert [job["status"] for job in jobs] == ["SUCCEEDED"] * 4
    finals = [json.loads(json.loads(job["finalMetricData"][0]["data"])) for job in jobs]
    assert {final["uid"] for final in finals} == {"g000-00", "g001-00", "g001-01", "g002-00"}
    assert all(0 <= final["default"] <= 1 for final in finals)
    matured = best_survivor(Lineage(tmp_path / "lineage"))
    assert matured.uid == "g002-00" and matured.matured
    assert matured.validation == max(matured.curve)
    assert no_process_is_left(tmp_path)
    evolve(
        lenet5.make_task("digits", None, 32, 3),
        tmp_path / "here" / "lineage",
        space=config["searchSpace"],
        progress=False,
        **{k: v for k, v in config["tuner"]["classArgs"].items() if k != "folder"},
    )
    assert lineage_of(tmp_path / "here") == lineage_of(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"trialCommand": "python3 -m trials.lenet5 --data mnist --data-dir /nowhere"},
            "data folder /nowhere does not exist",
        ),
        (
            {"trialCommand": "python3 -m trials.lenet5 --founder {folder}/founder"},
            "founder is damaged or not a network file",
        ),
        ({"trialCommand": "python3 -m trials.lenet5 --dat digits"}, "error: "),
    ],
)
@pytest.mark.slow
def test_a_fault_of_every_trial_is_reported_in_one_line(change, words, tmp_path, port):
    (tmp_path / "founder").write_bytes(b"garbage")
    config = write_config(tmp_path)
    content = yaml.safe_load(config.read_text())
    content.update({key: value.format(folder=tmp_path) for key, value in change.items()})
    config.write_text(yaml.safe_dump(content))
    done = demo(config, tmp_path, port)
    assert done.returncode == 1
    assert (
        len(done.stderr.splitlines()) == 1
        and done.stderr.startswith("error: ")
        and words in done.stderr
    )
    assert no_process_is_left(tmp_path)


@pytest.mark.parametrize(
    ("change", "space", "words"),
    [
        (
            {},
            {"stress_pek": {"_type": "uniform", "_value": [0, 1]}},
            "unknown stress parameter 'stress_pek'",
        ),
        (
            {},
            {"stress_peak": {"_type": "uniform", "_value": [0, 3]}},
            "stress_peak must lie in [0, 1], but got 3",
        ),
        ({}, {"__symbol__": "path:os.system"}, "by which NNI runs code"),
        ({"populaton_size": 3}, {}, "unknown argument 'populaton_size' of StressTuner"),
        ({"generations": 0}, {}, "generations must be a whole number of at least 1, but got 0"),
        ({"tolerance": "1%"}, {}, "tolerance must be a number of at least 0, but got '1%'"),
        ({"search_args": {"tpe_args": {"gama": 1}}}, {}, "NNI's tuner TPE refuses its arguments: "),
    ],
)
def test_a_wrong_experiment_file_starts_nothing(change, space, words, tmp_path, port):
    config = write_config(tmp_path)
    content = yaml.safe_load(config.read_text())
    content["tuner"]["classArgs"].update(change)
    config.write_text(yaml.safe_dump(content))
    if space:
        (tmp_path / "space.yml").write_text(yaml.safe_dump(space))
    done = demo(config, tmp_path, port)
    assert done.returncode == 1 and not (tmp_path / "runs").exists()
    assert (
        len(done.stderr.splitlines()) == 1
        and done.stderr.startswith("error: ")
        and words in done.stderr
    )


def test_a_port_in_use_is_named(tmp_path, port):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        done = demo(write_config(tmp_path), tmp_path, port)
    assert done.returncode == 1 and done.stderr == f"error: port {port} is in use; name another\n"


@pytest.mark.slow
def test_a_tuner_that_cannot_start_puts_the_experiment_into_error(tmp_path, port):
    """Started without the hooks, the experiment is not checked before the tuner runs."""
    content = {
        **read_config(write_config(tmp_path)),
        "experimentWorkingDirectory": str(tmp_path / "nni"),
    }
    content["tuner"]["classArgs"]["patience"] = -1
    (tmp_path / "wrong.yml").write_text(yaml.safe_dump(content))
    without_hooks = "from nni.tools.nnictl.nnictl import parse_args; parse_args()"
    subprocess.run(
        [
            sys.executable,
            "-c",
            without_hooks,
            "create",
            "--config",
            str(tmp_path / "wrong.yml"),
            "--port",
            str(port),
        ],
        env={**os.environ, "NODE_OPTIONS": f"--require {loopback.LOOPBACK}"},
        check=True,
        capture_output=True,
    )
    id = (tmp_path / "nni" / "_latest").readlink().name
    experiment = launch.Experiment(id, port, tmp_path / "nni" / id)
    try:
        with pytest.raises(
            launch.LaunchError, match="patience must be a whole number of at least 0, but got -1"
        ):
            experiment.follow(lambda: None)
    finally:
        experiment.stop()


def test_a_trial_that_nni_does_not_run_is_refused():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NNI_")}
    done = subprocess.run(
        [sys.executable, "-m", "trials.lenet5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 1 and "this is a trial: NNI runs it" in done.stderr
