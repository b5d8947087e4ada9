"""Workers over SSH, with the real nnictl, manager, sshds and trials."""

import json
import os
from pathlib import Path

import psutil
import pytest
import yaml

from nni_stress.experiment import launch
from nni_stress.experiment.config_file import read as read_config
from nni_stress.lineage.store import Lineage
from tests.helpers.workers import (
    SSHD,
    Workers,
    answers,
    free_ports,
    own_network_possible,
    processes_of,
    wait_until,
)

ROOT = Path(__file__).parents[2]
needs_sshd = pytest.mark.skipif(
    SSHD is None, reason="no sshd here; on Debian: apt-get install openssh-server"
)


@pytest.fixture
def workers(tmp_path):
    started = Workers(tmp_path)
    yield started
    started.end()


def write_config(home, machines, **class_args):
    """Write the example of trials/, with the test's workers and less training."""
    config = yaml.safe_load((ROOT / "trials" / "lenet5-remote.yml").read_text())
    config.update(
        trialCommand="python3 -m trials.lenet5 --founder-epochs 2",
        trialCodeDirectory=str(ROOT),
        searchSpaceFile="space.yml",
    )
    config["trainingService"]["machineList"] = machines
    config["tuner"]["codeDirectory"] = str(ROOT)
    config["tuner"]["classArgs"].update(
        {
            **{
                "population_size": 2,
                "generations": 2,
                "tolerance": 1.0,
                "folder": str(home / "shared" / "lineage"),
            },
            **class_args,
        }
    )
    space = {
        "environmental_factor": {"_type": "uniform", "_value": [0.3, 0.6]},
        "stress_epochs": {"_type": "choice", "_value": [0.5]},
        "recovery_epochs": {"_type": "choice", "_value": [1]},
    }
    (home / "space.yml").write_text(yaml.safe_dump(space))
    (home / "remote.yml").write_text(yaml.safe_dump(config))
    return home / "remote.yml"


def keepers_of(folder):
    """Return NNI's trial keepers: the process on each worker that starts its trials."""
    return [
        process
        for process in processes_of(folder)
        if any("trial_keeper" in part for part in process.cmdline())
    ]


@needs_sshd
@pytest.mark.slow
def test_two_workers_evolve_two_generations_and_nothing_is_left_on_them(tmp_path, port, workers):
    both = [workers.start("worker1"), workers.start("worker2")]
    config = read_config(write_config(tmp_path, [worker.machine for worker in both]))
    experiment = launch.start(config, tmp_path / "run", port)
    try:
        experiment.follow(lambda: None)
        status = experiment.status()
        jobs = experiment.client.trial_jobs()
        keepers = {process.pid for process in keepers_of(tmp_path)}
        listening = {
            c.laddr.ip
            for c in psutil.net_connections("tcp")
            if c.status == "LISTEN" and c.pid in keepers
        }
    finally:
        experiment.stop()
    assert status == ("DONE", [])
    uids = ["g000-00", "g001-00", "g001-01", "g002-00", "g002-01"]
    lineage = Lineage(tmp_path / "shared" / "lineage")
    assert [record.uid for record in lineage.records()] == uids and lineage.failures() == []
    assert lineage.read_state()["finished"] == "all 2 generations done"

    assert (
        sorted(json.loads(json.loads(job["finalMetricData"][0]["data"]))["uid"] for job in jobs)
        == uids
    )
    ran = [
        {path.name for path in worker.home.glob("nni-experiments/*/environments/*/trials/*")}
        for worker in both
    ]
    assert (
        ran[0] | ran[1] == {job["trialJobId"] for job in jobs}
        and len(ran[0]) >= 2
        and len(ran[1]) >= 2
    )
    for worker in both:
        (copy,) = worker.home.glob("nni-experiments/*/environments/*/upload/trial_code")
        assert (copy / "trials" / "lenet5.py").exists() and not {".git", "tests", "reports"} & set(
            os.listdir(copy)
        )

    assert len(keepers) == 2 and listening == {"127.0.0.1"}
    assert wait_until(lambda: not any(worker.sshd.children() for worker in both)), (
        "an SSH connection is still open"
    )
    sshds = {worker.sshd.pid for worker in both}
    assert wait_until(lambda: {process.pid for process in processes_of(tmp_path)} == sshds), [
        process.cmdline() for process in processes_of(tmp_path)
    ]


@needs_sshd
@pytest.mark.slow
@pytest.mark.skipif(
    not own_network_possible(), reason="making a network of its own for a worker needs root"
)
def test_a_worker_on_another_network_reaches_the_manager_by_the_tunnel_only(
    tmp_path, port, workers
):
    worker = workers.start_elsewhere("worker1")
    workers.tunnel(worker, port)
    config = read_config(write_config(tmp_path, [worker.machine], population_size=1, generations=1))
    experiment = launch.start(config, tmp_path / "run", port)
    try:
        experiment.follow(lambda: None)
        status = experiment.status()
        networks = {os.readlink(f"/proc/{process.pid}/ns/net") for process in keepers_of(tmp_path)}
    finally:
        experiment.stop()
    assert status == ("DONE", [])
    assert (
        networks
        == {os.readlink(f"/proc/{worker.sshd.pid}/ns/net")}
        != {os.readlink("/proc/self/ns/net")}
    )
    assert [record.uid for record in Lineage(tmp_path / "shared" / "lineage").records()] == [
        "g000-00",
        "g001-00",
    ]


def _start_and_follow(config, folder, port):
    experiment = launch.start(config, folder, port)
    try:
        experiment.follow(lambda: None)
    finally:
        experiment.stop()


@needs_sshd
def test_a_worker_that_cannot_be_reached_is_named(tmp_path, port, workers):
    machine, (nowhere,) = workers.start("worker1").machine, free_ports(1)
    config = read_config(write_config(tmp_path, [machine, {**machine, "port": nowhere}]))
    words = f"could not set up its workers: .*127.0.0.1:{nowhere}"
    with pytest.raises(launch.LaunchError, match=words):  # while the tuner starts, or later
        _start_and_follow(config, tmp_path / "run", port)
    assert wait_until(lambda: not answers(port))


@pytest.mark.parametrize("folder", [None, "lineage"])
def test_a_lineage_that_is_not_on_shared_storage_is_refused(folder, tmp_path):
    with pytest.raises(
        launch.LaunchError, match=f"on storage that all workers share, but got {folder!r}"
    ):
        read_config(write_config(tmp_path, [], folder=folder))


def test_the_example_of_trials_is_valid(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    key = tmp_path / ".ssh" / "id_ed25519"
    key.parent.mkdir()
    key.touch()
    config = read_config(ROOT / "trials" / "lenet5-remote.yml")
    assert config["trialCodeDirectory"] == config["tuner"]["codeDirectory"] == str(ROOT.resolve())
    machines = config["trainingService"]["machineList"]
    assert len(machines) == 2 and {machine["sshKeyFile"] for machine in machines} == {str(key)}
