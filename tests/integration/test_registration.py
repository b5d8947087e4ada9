"""nnictl imports an installed or registered nni_stress; other Python processes do not."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

from tests.helpers.nnictl import BINARIES, environment
from tests.helpers.running import config_of
from tests.helpers.workers import answers

ROOT = Path(__file__).parents[2]


class Environment:
    """A virtual environment with its own nnictl and this one's packages, but not registered."""

    def __init__(self, folder):
        venv.create(folder, with_pip=False, symlinks=True)
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.site = next(folder.glob("lib/python*/site-packages"))
        packages = [path for path in sys.path if path.endswith("site-packages")]
        (self.site / "all.pth").write_text("\n".join([*packages, str(ROOT)]))
        nnictl = (BINARIES / "nnictl").read_text().splitlines(True)
        (folder / "bin" / "nnictl").write_text("".join([f"#!{self.python}\n", *nnictl[1:]]))
        (folder / "bin" / "nnictl").chmod(0o755)

    def run(self, *command):
        return subprocess.run(
            [self.folder / "bin" / command[0], *map(str, command[1:])],
            capture_output=True,
            text=True,
            env=environment(PYTHONPATH=None),
            cwd=self.folder,
            timeout=60,
        )


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("environment"))


@pytest.mark.slow
def test_register_and_unregister(own, tmp_path):
    by_name = tmp_path / "stress.yml"
    by_name.write_text(
        yaml.safe_dump({"tuner": {"name": "Stress"}, "trainingService": {"platform": "local"}})
    )
    without_hooks = own.run("nnictl", "create", "--config", by_name)
    assert without_hooks.returncode == 1 and "ValueError: ExperimentConfig" in without_hooks.stderr

    done = own.run("python", "-m", "nni_stress", "register")
    assert done.returncode == 0 and str(own.site) in done.stdout, done.stderr
    # NNI registers it in the environment, not in the user's home.
    assert (own.folder / "nni" / "registered_algorithms.yml").exists()
    assert "nni_stress.tuner.StressTuner" in own.run("nnictl", "algo", "show", "Stress").stdout
    with_hooks = own.run("nnictl", "create", "--config", by_name)
    assert with_hooks.stderr == (
        "error: stress.yml: trialConcurrency must be a whole number of at least 1, but got None\n"
    )

    assert own.run("python", "-m", "nni_stress", "unregister").returncode == 0
    assert not (own.site / "nni_stress_nnictl.pth").exists()
    assert "not found" in own.run("nnictl", "algo", "show", "Stress").stdout
    assert "ValueError: ExperimentConfig" in own.run("nnictl", "create", "--config", by_name).stderr


def test_other_processes_do_not_notice(own):
    shutil.copyfile(ROOT / "nni_stress" / "nnictl.pth", own.site / "nni_stress_nnictl.pth")
    seen = "import sys; print('nni_stress' in sys.modules)"
    assert own.run("python", "-c", seen).stdout == "False\n"
    assert own.run("python", "-c", seen, "nnictl").stdout == "True\n"


@pytest.fixture
def hooked(tmp_path):
    """An environment of its own with the hook, and a copy of nni_stress to be broken."""
    environment = Environment(tmp_path / "environment")
    shutil.copyfile(ROOT / "nni_stress" / "nnictl.pth", environment.site / "nni_stress_nnictl.pth")
    shutil.copytree(ROOT / "nni_stress", environment.site / "nni_stress")
    return environment


def missing_dependency(environment):
    (environment.site / "wrapt.py").write_text("raise ImportError('no wrapt')\n")
    return "ImportError: no wrapt"


def missing_module(environment):
    (environment.site / "nni_stress" / "experiment" / "hooks.py").unlink()
    return "cannot import name 'hooks'"


def files_gone(environment):
    shutil.rmtree(environment.site / "nni_stress")
    shutil.copytree(ROOT / "nni_stress" / "utils", environment.site / "nni_stress")
    (environment.site / "nni_stress" / "__init__.py").unlink()
    metadata = environment.site / "nni_stress-0.0.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: nni-stress\nVersion: 0.0.0\n")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (environment.site / "all.pth").write_text("\n".join(packages))
    return "its files are gone"


def other_nni(environment):
    hooks = environment.site / "nni_stress" / "experiment" / "hooks.py"
    hooks.write_text(hooks.read_text().replace('"Experiment.start"', '"Experiment.begin"'))
    return "this version of NNI cannot be guarded: nni.experiment.experiment"


@pytest.mark.parametrize("broken", [missing_dependency, missing_module, files_gone, other_nni])
def test_a_launch_that_cannot_be_guarded_stops(broken, hooked, tmp_path, port):
    words = broken(hooked)
    config = config_of(tmp_path)
    for command in (
        ["create", "--config", config, "--port", port],
        ["resume", "some_id", "--port", port],
    ):
        done = hooked.run("nnictl", *command)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("nni-stress: ") and words in done.stderr
        assert not answers(port)
    if broken is not other_nni:
        done = hooked.run("nnictl", "stop", "some_id")
        assert done.returncode == 0 and "goes on without it" in done.stderr
    assert hooked.run("python", "-c", "print('alive')").stderr == ""


def test_the_pth_file_does_nothing_once_the_package_is_gone(own):
    shutil.copyfile(ROOT / "nni_stress" / "nnictl.pth", own.site / "nni_stress_nnictl.pth")
    (own.site / "all.pth").unlink()
    for _ in range(2):
        done = own.run("python", "-c", "print('alive')", "nnictl", "create")
        assert done.stdout == "alive\n" and done.stderr == ""
        (own.site / "nni_stress" / "__pycache__").mkdir(parents=True, exist_ok=True)  # left behind
