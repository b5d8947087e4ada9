"""Two workers over SSH: the real nnictl and manager, and real sshds on 127.0.0.1, each with a home folder of its own."""
import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from nni_stress import launch
from nni_stress.lineage import Lineage

ROOT = Path(__file__).parent.parent
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
needs_sshd = pytest.mark.skipif(SSHD is None, reason="no sshd here; on Debian: apt-get install openssh-server")

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile {folder}/sshd.pid
Subsystem sftp internal-sftp
UsePAM no
StrictModes no
PasswordAuthentication no
SetEnv HOME={home} PIP_NO_INDEX=1 NODE_OPTIONS="--require {loopback}"
"""  # NNI keeps a worker's files in its home, asks pip for itself, and would let the worker's server listen everywhere


@contextlib.contextmanager
def privilege_separation():
    """An sshd of root's wants /run/sshd, which its service makes at boot."""
    folder = Path("/run/sshd")
    make = os.geteuid() == 0 and not folder.exists()
    if make:
        folder.mkdir(mode=0o755)
    yield
    if make:
        folder.rmdir()


@pytest.fixture
def worker(tmp_path):
    """Starts a worker, and returns its home, its sshd, and its entry in machineList."""
    keys, daemons = tmp_path / "keys", []
    keys.mkdir()
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)], check=True)

    def start(name, port):
        home = tmp_path / name
        home.mkdir()
        config = home / "sshd_config"
        config.write_text(CONFIG.format(port=port, folder=keys, home=home, loopback=launch.LOOPBACK)
                          .replace(f"{keys}/sshd.pid", f"{home}/sshd.pid"))
        with open(home / "sshd.log", "w") as log:
            daemons.append(subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log))
        deadline = time.time() + 10
        while not answers(port):
            assert daemons[-1].poll() is None and time.time() < deadline, (home / "sshd.log").read_text()
            time.sleep(0.05)
        return home, psutil.Process(daemons[-1].pid), dict(
            host="127.0.0.1", port=port, user=getpass.getuser(), sshKeyFile="keys/user_key",
            pythonPath=str(Path(sys.executable).parent))

    with privilege_separation():
        yield start
        for daemon in daemons:
            daemon.terminate()
            daemon.wait(10)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def write_config(home, machines, **class_args):
    """The example beside the trial, with the test's workers, and less to train."""
    config = yaml.safe_load((ROOT / "trials" / "lenet5-remote.yml").read_text())
    config.update(trialCommand="python3 -m trials.lenet5 --founder-epochs 2", trialCodeDirectory=str(ROOT),
                  searchSpaceFile="space.yml")
    config["trainingService"]["machineList"] = machines
    config["tuner"]["codeDirectory"] = str(ROOT)
    config["tuner"]["classArgs"].update({**dict(population_size=2, generations=2, tolerance=1.0,
                                                folder=str(home / "shared" / "lineage")), **class_args})
    space = {"environmental_factor": {"_type": "uniform", "_value": [0.3, 0.6]},
             "stress_epochs": {"_type": "choice", "_value": [0.5]},
             "recovery_epochs": {"_type": "choice", "_value": [1]}}
    (home / "space.yml").write_text(yaml.safe_dump(space))
    (home / "remote.yml").write_text(yaml.safe_dump(config))
    return home / "remote.yml"


def processes_of(folder):
    """Processes that were started with a path in the folder, or work in it: NNI's keepers, the trials."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(folder) in part for part in [process.cwd(), *process.cmdline()]):
                found.append(process)
    return found


def wait_until(condition, seconds=30):
    deadline = time.time() + seconds
    while not condition() and time.time() < deadline:
        time.sleep(0.2)
    return condition()


@needs_sshd
def test_two_workers_evolve_two_generations_and_nothing_is_left_on_them(tmp_path, port, worker):
    workers = [worker(f"worker{number}", ssh_port) for number, ssh_port in enumerate(free_ports(2), start=1)]
    sshds = [sshd for _, sshd, _ in workers]
    config = launch.check_config(write_config(tmp_path, [machine for _, _, machine in workers]))
    experiment = launch.start(config, tmp_path / "run", port)
    try:
        experiment.follow(lambda: None)
        status = experiment.status()
        jobs = experiment._get("trial-jobs")
        keepers = [p for p in processes_of(tmp_path) if any("trial_keeper" in part for part in p.cmdline())]
        listening = {c.laddr.ip for c in psutil.net_connections("tcp")
                     if c.status == "LISTEN" and c.pid in {p.pid for p in keepers}}
    finally:
        experiment.stop()
    assert status == ("DONE", [])
    uids = ["g000-00", "g001-00", "g001-01", "g002-00", "g002-01"]
    lineage = Lineage(tmp_path / "shared" / "lineage")
    assert [record.uid for record in lineage.records()] == uids and lineage.failures() == []
    assert lineage.read_state()["finished"] == "all 2 generations done"

    assert sorted(json.loads(json.loads(job["finalMetricData"][0]["data"]))["uid"] for job in jobs) == uids
    ran = [{path.name for path in home.glob("nni-experiments/*/environments/*/trials/*")} for home, _, _ in workers]
    assert ran[0] | ran[1] == {job["trialJobId"] for job in jobs} and len(ran[0]) >= 2 and len(ran[1]) >= 2
    for home, _, _ in workers:
        copy, = home.glob("nni-experiments/*/environments/*/upload/trial_code")
        assert (copy / "trials" / "lenet5.py").exists() and not {".git", "tests", "reports"} & set(os.listdir(copy))

    assert len(keepers) == 2 and listening == {"127.0.0.1"}
    assert wait_until(lambda: not any(sshd.children() for sshd in sshds)), "an SSH connection is still open"
    assert wait_until(lambda: sorted(p.pid for p in processes_of(tmp_path)) == sorted(sshd.pid for sshd in sshds)), [
        process.cmdline() for process in processes_of(tmp_path)]


@needs_sshd
def test_a_worker_that_cannot_be_reached_is_named(tmp_path, port, worker):
    here, nowhere = free_ports(2)
    _, _, machine = worker("worker1", here)
    config = launch.check_config(write_config(tmp_path, [machine, {**machine, "port": nowhere}]))
    experiment = launch.start(config, tmp_path / "run", port)
    try:
        with pytest.raises(launch.LaunchError, match=f"could not set up its workers: .*127.0.0.1:{nowhere}"):
            experiment.follow(lambda: None)
    finally:
        experiment.stop()
    assert wait_until(lambda: not answers(port))


@pytest.mark.parametrize("folder", [None, "lineage"])
def test_a_lineage_that_workers_would_not_find_starts_nothing(folder, tmp_path):
    with pytest.raises(launch.LaunchError, match=f"on storage that all workers share, but got {folder!r}"):
        launch.check_config(write_config(tmp_path, [], folder=folder))


def test_the_example_beside_the_trial_is_sound():
    config = launch.check_config(ROOT / "trials" / "lenet5-remote.yml")
    assert config["trialCodeDirectory"] == config["tuner"]["codeDirectory"] == str(ROOT.resolve())
    machines = config["trainingService"]["machineList"]
    assert len(machines) == 2 and {machine["sshKeyFile"] for machine in machines} == {
        str(Path.home() / ".ssh" / "id_ed25519")}
