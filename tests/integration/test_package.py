"""The distribution: a wheel works away from the checkout, and importing is light."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.helpers.nnictl import BINARIES, environment
from tests.integration.test_experiment import no_process_is_left

ROOT = Path(__file__).parents[2]
DATA_FILES = (
    "cli/templates/stress.yml",
    "cli/templates/search_space.yml",
    "cli/templates/trial.py",
    "loopback.js",
    "nnictl.pth",
    "py.typed",
    "reports/compare.yml",
    "reports/contest/report/report.css",
    "trials/alexnet.yml",
    "trials/yolov2.yml",
    "visualization/page.css",
    "visualization/page.js",
    "visualization/scrolling.css",
)
IMPORT_ALL = """
import importlib, importlib.util, pkgutil, sys
from pathlib import Path
import nni_stress
names = [module.name for module in pkgutil.walk_packages(nni_stress.__path__, "nni_stress.")]
for name in names:
    importlib.import_module(name)
ours = {name: module for name, module in sys.modules.items() if name.startswith("nni_stress")}
outside = {name: module.__file__ for name, module in ours.items()
           if not Path(module.__file__).is_relative_to(sys.argv[1])}
assert not outside, outside
for name in ("trials", "reports", "tests"):
    assert importlib.util.find_spec(name) is None, name
print(*names)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "runs", "results", "*.egg-info", "build", "__pycache__")
    shutil.copytree(ROOT, source, ignore=ignored)
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", *options, str(source)],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(source)
    (file,) = folder.glob("nni_stress-*.whl")
    return file


class Installation:
    """A virtual environment with the wheel and the dependencies of this one, and a folder.

    The dependencies are on its path, but Python does not read the .pth files beside them, by which
    a checkout could be installed there.
    """

    def __init__(self, folder, wheel):
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.binaries = folder / "venv" / "bin"
        self.site = next((folder / "venv").glob("lib/python*/site-packages"))
        zipfile.ZipFile(wheel).extractall(self.site)
        dependencies = [path for path in sys.path if path.endswith("-packages")]
        (self.site / "dependencies.pth").write_text("\n".join(dependencies))
        nnictl = (BINARIES / "nnictl").read_text().splitlines(True)
        own = self.binaries / "nnictl"
        own.write_text("".join([f"#!{self.binaries / 'python'}\n", *nnictl[1:]]))
        own.chmod(0o755)
        self.folder = folder / "work"
        self.folder.mkdir()
        self.home = folder / "home"
        self.home.mkdir()

    def run(self, *command, timeout=60):
        path = f"{self.binaries}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [self.binaries / command[0], *map(str, command[1:])],
            capture_output=True,
            text=True,
            env=environment(PYTHONPATH=None, PATH=path, HOME=str(self.home), OMP_NUM_THREADS="1"),
            cwd=self.folder,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def follow(self, printed, timeout=120):
        """Wait for the end of an experiment, at the URL that `nnictl create` printed."""
        deadline = time.time() + timeout
        url = re.search(r"Web portal URLs: \S*(http://127.0.0.1:\S+/)", printed)[1]
        url = f"{url}api/v1/nni/check-status"
        while time.time() < deadline:
            with urllib.request.urlopen(url, timeout=10) as answer:
                status = json.load(answer)
            if status["status"] == "DONE":
                return
            assert status["status"] != "ERROR", status
            time.sleep(0.5)
        raise AssertionError(f"not done after {timeout} s")


@pytest.fixture(scope="module")
def installation(tmp_path_factory, wheel):
    return Installation(tmp_path_factory.mktemp("installation"), wheel)


def test_the_wheel_is_whole_and_claims_one_top_level_name(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    top_level = {name.partition("/")[0] for name in names}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {
        "nni_stress",
        "nni_stress_nnictl.pth",  # where Python reads it at its start
    }
    assert {f"nni_stress/{name}" for name in DATA_FILES} <= set(names)
    for folder, package in (("nni_stress", ""), ("trials", "trials/"), ("reports", "reports/")):
        modules = {path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*.py")}
        assert {f"nni_stress/{package}{module}" for module in modules} <= set(names)


@pytest.mark.slow
def test_every_module_of_the_wheel_is_imported_from_it(installation):
    names = installation.run("python", "-c", IMPORT_ALL, installation.site).split()
    assert {
        "nni_stress.trials.lenet5",
        "nni_stress.reports.contest.report.sections.fidelity",
    } <= set(names)
    assert not any(name.startswith(("nni_stress.tests", "nni_stress.setup")) for name in names)


def test_version(installation):
    if "--version" not in installation.run("python", "-m", "nni_stress", "--help"):
        pytest.skip("python -m nni_stress has no option --version")
    assert "0.2.0" in installation.run("python", "-m", "nni_stress", "--version")


def make_short(folder):
    """Shorten the experiment of `init` to one generation of one offspring."""
    config = yaml.safe_load((folder / "stress.yml").read_text())
    config["tuner"]["classArgs"].update(population_size=1, generations=1, tolerance=1.0)
    (folder / "stress.yml").write_text(yaml.safe_dump(config))
    space = yaml.safe_load((folder / "search_space.yml").read_text())
    for name, value in (("candidates", 1), ("stress_epochs", 0.5), ("recovery_epochs", 0.5)):
        space[name] = {"_type": "choice", "_value": [value]}
    (folder / "search_space.yml").write_text(yaml.safe_dump(space))
    trial = (folder / "trial.py").read_text()
    assert "founder_epochs=10" in trial
    (folder / "trial.py").write_text(trial.replace("founder_epochs=10", "founder_epochs=1"))


@pytest.mark.slow
def test_an_installed_wheel_evolves_shows_and_exports_a_network(installation, port):
    installation.run("python", "-m", "nni_stress", "init", "digits")
    folder = installation.folder / "digits"
    make_short(folder)
    output = installation.run("nnictl", "create", "--config", folder / "stress.yml", "--port", port)
    try:
        installation.follow(output)
    finally:
        installation.run("nnictl", "stop", "--port", port)
    experiment = re.search(r"Experiment ID: (?:\x1b\[\d+m)?(\w+)", output).group(1)
    shown = installation.run(
        "python", "-m", "nni_stress", "status", experiment, "--html", "page.html"
    )
    assert "g001-00" in shown
    assert "g001-00" in (installation.folder / "page.html").read_text()
    installation.run(
        *("python", "-m", "nni_stress", "export", experiment, "g001-00"),
        *("--to", "exported", "--task", "digits/trial.py:make_task"),
    )
    files = {path.name for path in (installation.folder / "exported").iterdir()}
    assert {"network.safetensors", "record.json", "network.onnx"} <= files
    assert no_process_is_left(installation.folder)


@pytest.mark.slow
def test_an_installed_wheel_runs_a_contest_and_writes_its_page(installation):
    contest = {
        "task": "trials.lenet5:make_task",  # as in a checkout, and in the records of our own
        "task_arguments": {"data": "digits", "founder_epochs": 1},
        "founders": [1],
        "seeds": [1],
        "axes": {"parameters": {"budgets": [4], "methods": ["evolution", "L1NormPruner"]}},
        "search_epochs": 0.5,
        "final_epochs": 0.5,
    }
    (installation.folder / "small.yml").write_text(yaml.safe_dump(contest))
    output = installation.run(
        *("python", "-m", "nni_stress.reports", "contest", "small.yml"),
        *("--folder", "contest"),
        timeout=180,
    )
    folder = installation.folder / "contest"
    lines = [line.partition(": validation")[0] for line in output.splitlines()[-3:]]
    cell = "4x fewer parameters, founder 1, seed 1"
    assert lines == [f"evolution, {cell}", f"L1NormPruner, {cell}", "contest/report.html"]
    assert (
        "python -m nni_stress.reports contest contest/contest.yml"
        in (folder / "report.md").read_text()
    )
    assert len(list(folder.glob("cells/parameters/4x/*/1.json"))) == 2


def test_the_tuner_imports_without_torch():
    script = (
        "import sys, nni_stress; nni_stress.StressTuner; assert 'torch' not in sys.modules; "
        "assert 'StressPruner' in dir(nni_stress)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@pytest.mark.slow
def test_a_trial_imports_neither_torch_compile_nor_what_nni_makes_evaluators_for(tmp_path):
    script = """
import sys
import torch
from nni_stress.graph import cost
from nni_stress.trial import claim
claim.begin()
from nni_stress.trial.offspring import stress_and_synthesize
from nni_stress.hparams import Arguments
from nni_stress.trial.training import train
from trials.lenet5 import make_task
task = make_task()
network = task.network()
arguments = Arguments.from_mapping(
    dict(environmental_factor=0.5, stress_epochs=0.2, candidates=3, recovery_epochs=0.2)
)
network = stress_and_synthesize(network, task, arguments, 0)
train(network, task, 0.2, 0.001, 0)
assert cost.macs(network, task.example_input) > 0 < task.fidelity(network, "validation")
unwanted = {"torch._dynamo", "pytorch_lightning", "transformers"}
assert not unwanted & set(sys.modules), unwanted & set(sys.modules)
import pytorch_lightning, transformers  # hidden for that moment only
"""
    subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "NNI_PLATFORM": "unittest", "PYTHONPATH": str(ROOT)},
    )
