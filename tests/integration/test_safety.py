"""Other machines reach nothing of an experiment, and no data runs code."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from nni_stress.nni_runtime import loopback
from tests.helpers.nnictl import environment, nnictl
from tests.helpers.running import config_of

CODE = "builtins.open"  # what hostile data names; it would create a file


def another_address():
    """Return an address of this machine by which others reach it."""
    found = [
        address.address
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    ]
    return found[0] if found else pytest.skip("this machine has no address but 127.0.0.1")


def reaches(address, port):
    with socket.socket() as caller:
        caller.settimeout(5)
        return caller.connect_ex((address, port)) == 0


@pytest.mark.slow
def test_no_port_of_an_experiment_is_reached_from_another_address(experiment, port, tmp_path):
    """After create, resume and view, and for the TensorBoard that the web page starts, too."""
    pytest.importorskip("tensorboard")
    config_of(tmp_path)
    running = experiment()
    trial = running.until(running.running_trial)
    requests.post(
        f"{running.api}/tensorboard", json={"trials": trial}, timeout=20
    ).raise_for_status()
    running.until(lambda: len(running.listening()) == 2)
    other, found = another_address(), running.listening()
    assert {ip for ip, _ in found} == {"127.0.0.1"} and port in [each for _, each in found]
    for _, each in found:
        assert reaches("127.0.0.1", each) and not reaches(other, each)
    for again in ("resume", "view"):
        assert nnictl("stop", running.id).returncode == 0
        experiment(again, running.id, "--experiment_dir", tmp_path / "nni")
        assert running.listening() == {("127.0.0.1", port)} and not reaches(other, port)


@pytest.mark.slow
def test_the_user_may_open_the_manager_to_other_machines(experiment, port, tmp_path):
    config_of(tmp_path)
    running = experiment(NNI_STRESS_LISTEN="everywhere")
    assert reaches(another_address(), port) and running.until(running.running_trial)


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        (
            None,
            [
                "must listen on 127.0.0.1 only, but it listens on",
                "port {port};",
                "python -m nni_stress register",
                "NNI_STRESS_LISTEN=everywhere",
            ],
        ),
        pytest.param("everywhere", ["not exposed"], marks=pytest.mark.slow),
    ],
)
def test_a_tuner_sees_that_its_manager_is_exposed(listen, words, experiment, port, tmp_path):
    """nnictl starts experiments with other tuners as NNI does: on every interface."""
    tuner = {
        "className": "probing.Probe",
        "codeDirectory": ".",
        "classArgs": {"answer": str(tmp_path / "answer")},
    }
    config_of(tmp_path, tuner=tuner)
    experiment(NNI_STRESS_LISTEN=listen).until(
        lambda: (tmp_path / "answer").exists() and (tmp_path / "answer").read_text()
    )
    assert reaches(another_address(), port)
    answer = (tmp_path / "answer").read_text()
    assert not [word for word in words if word.format(port=port) not in answer], answer


def test_a_message_that_names_code_runs_none(running, tmp_path):
    hostile = {
        "stress_peak": {"__symbol__": f"path:{CODE}", "__args__": [str(tmp_path / "owned"), "w"]}
    }
    profile = requests.get(f"{running.api}/experiment", timeout=20).json()
    profile["params"]["searchSpace"] = hostile
    requests.put(
        f"{running.api}/experiment",
        params={"update_type": "SEARCH_SPACE"},
        json=profile,
        timeout=20,
    )
    refusal = (
        "nni-stress: the search space stays as it was: "
        "plain data expected, but got the key '__symbol__'"
    )
    running.until(lambda: refusal in (running.folder / "log" / "nnictl_stderr.log").read_text())
    assert running.status() != "ERROR" and not (tmp_path / "owned").exists()


def test_nnictl_does_not_send_a_wrong_search_space(running, tmp_path):
    (tmp_path / "wrong.json").write_text(
        json.dumps({"stress_pek": {"_type": "uniform", "_value": [0, 1]}})
    )
    done = nnictl("update", "searchspace", running.id, "--filename", tmp_path / "wrong.json")
    assert done.returncode == 1 and "error: unknown stress parameter 'stress_pek'" in done.stderr
    assert "stress_pek" not in requests.get(f"{running.api}/experiment", timeout=20).text
    (tmp_path / "right.json").write_text(
        json.dumps({"stress_peak": {"_type": "uniform", "_value": [0, 1]}})
    )
    done = nnictl("update", "searchspace", running.id, "--filename", tmp_path / "right.json")
    assert (
        done.returncode == 0
        and "stress_peak" in requests.get(f"{running.api}/experiment", timeout=20).text
    )


def test_a_stored_experiment_that_names_code_runs_none(experiment, tmp_path, port):
    config_of(tmp_path)
    running = experiment()
    assert nnictl("stop", running.id).returncode == 0
    with sqlite3.connect(running.folder / "db" / "nni.sqlite") as store:
        (text,) = store.execute(
            "select params from ExperimentProfile order by revision desc"
        ).fetchone()
        config = json.loads(text)
        config["searchSpace"] = {
            "__symbol__": f"path:{CODE}",
            "__args__": [str(tmp_path / "owned"), "w"],
        }
        store.execute("update ExperimentProfile set params = ?", (json.dumps(config),))
    done = nnictl("resume", running.id, "--experiment_dir", tmp_path / "nni", "--port", port)
    assert done.returncode == 1 and not (tmp_path / "owned").exists()
    assert done.stderr.startswith(
        f"error: the stored experiment {running.id}: "
        "plain data expected, but got the key '__symbol__'"
    )
    assert len(done.stderr.splitlines()) == 1


SERVERS = """
const net = require('net');
const ports = [[0], [], [() => 0], [{port: 0}], ['0', '0.0.0.0'], [{port: 0, host: '::'}, () => 0]];
for (const where of [...ports, ['pipe']]) {
    const server = net.createServer();
    server.on('listening', () => {
        console.log(server.address().address ?? server.address());
        server.close();
    });
    server.listen(...where);
}
"""


def test_every_way_to_listen_in_node_is_kept_on_127_0_0_1(tmp_path, monkeypatch):
    import nni_node

    folder = tmp_path / 'a "folder"'
    folder.mkdir()
    monkeypatch.setattr(loopback, "LOOPBACK", Path(shutil.copy(loopback.LOOPBACK, folder)))
    with loopback.on_loopback():
        done = subprocess.run(
            [Path(nni_node.__path__[0], "node"), "-e", SERVERS],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
    assert sorted(done.stdout.split()) == ["127.0.0.1"] * 6 + ["pipe"], done.stderr


SCRIPT = """
import sys, nni_stress
from nni.experiment import Experiment
from nni.experiment.config import ExperimentConfig
experiment = Experiment(ExperimentConfig.load(sys.argv[1]))
experiment.config.tuner.class_args = {"seed": int(sys.argv[3])}
experiment.start(int(sys.argv[2]))
import psutil
listening = [each.laddr for each in psutil.net_connections("tcp") if each.status == "LISTEN"]
print(*{address.ip for address in listening if address.port == experiment.port})
experiment.stop()
"""


@pytest.mark.parametrize(
    ("seed", "code", "output", "words"),
    [
        (1, 0, "127.0.0.1", ""),
        (-1, 1, "", "LaunchError: seed must be a whole number of at least 0, but got -1"),
    ],
)
def test_an_experiment_from_python_is_checked_and_kept_on_127_0_0_1(
    seed, code, output, words, tmp_path, port
):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script, config_of(tmp_path), str(port), str(seed)],
        timeout=60,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == code and words in done.stderr, done.stderr
    assert output in done.stdout.splitlines() or not output


def test_threads_that_start_managers_all_start_them_on_loopback(monkeypatch):
    monkeypatch.setenv("NODE_OPTIONS", "--no-warnings")
    seen = []

    def start(seconds):
        with loopback.on_loopback():
            time.sleep(seconds)
            seen.append(os.environ["NODE_OPTIONS"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, [0.2, 0.0, 0.1, 0.0]))
    files = (loopback.LOOPBACK, loopback.SAME_ORIGIN, loopback.PRIVATE, loopback.PATIENCE)
    expected = " ".join(["--no-warnings", *(f'--require "{file}"' for file in files)])
    assert seen == [expected] * 4 and os.environ["NODE_OPTIONS"] == "--no-warnings"
