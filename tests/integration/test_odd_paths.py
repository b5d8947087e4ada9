"""Paths with every character that a shell, JSON, a URI or YAML gives a meaning to; HOME unset."""

import subprocess
import sys

import pytest
import yaml

from nni_stress.lineage.store import Lineage
from tests.helpers.nnictl import environment, nnictl
from tests.helpers.running import Running
from tests.integration.test_interrupted_training import kill_all
from tests.integration.test_ownership import ROOT, config_of

ODD = 'it\'s "odd" #1 & 100%20 $HOME; größer \\ `tick` ?'


def command(*words):
    return subprocess.run(
        [sys.executable, "-m", "nni_stress", *map(str, words)],
        cwd=ROOT,
        env=environment(HOME=None),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.slow
def test_an_experiment_in_an_odd_folder_is_created_resumed_shown_and_exported(port, tmp_path):
    folder = tmp_path / ODD
    lineage = Lineage(folder / "lineage")
    config_of(folder, lineage.folder)
    file = folder / 'an "odd" #file\'s name.yml'
    config = yaml.safe_load((folder / "stress.yml").read_text())
    config["trialCommand"] = "python3 -m tests.helpers.cheap_trial 1"
    config["tuner"]["codeDirectory"] = str(folder)
    file.write_text(yaml.safe_dump(config))
    done = nnictl("create", "--config", file, "--port", port, HOME=None)
    assert done.returncode == 0, done.stdout + done.stderr
    running = Running(port, folder)
    try:
        running.until(lambda: len(lineage.records()) >= 2)
        kill_all(port)
        made = len(lineage.records())
        assert made < 5
        resume = ["resume", running.id, "--experiment_dir", folder / "nni", "--port", port]
        done = nnictl(*resume, HOME=None)
        assert done.returncode == 0, done.stdout + done.stderr
        running.until(lambda: running.status() == "DONE")
    finally:
        nnictl("stop", running.id, HOME=None)
    assert len(lineage.records()) == 5
    for name in (running.id, running.folder, lineage.folder):
        shown = command("status", name)
        assert shown.returncode == 0 and "all 2 generations done" in shown.stdout, shown.stderr
    exported = command("export", running.id, "g000-00", "--to", folder / "out", "--no-onnx")
    assert exported.returncode == 0, exported.stderr
    assert (folder / "out" / "network.safetensors").is_file()
