"""The distribution: a built wheel works, and importing is light."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_built_wheel_works_away_from_the_checkout(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(
        ROOT,
        source,
        ignore=shutil.ignore_patterns(".*", "runs", "*.egg-info", "build", "__pycache__"),
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            str(tmp_path),
            str(source),
        ],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("nni_stress-*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    assert {path.name for path in site.iterdir() if path.is_dir()} >= {
        "nni_stress",
        "trials",
        "reports",
    }
    assert not (site / "tests").exists() and all(
        (site / "nni_stress" / name).exists() for name in ("loopback.js", "visualization/page.css")
    )
    assert (
        "nni_stress" in (site / "nni_stress_nnictl.pth").read_text()
    )  # at the top, where Python's start reads it
    script = (
        "import nni_stress, trials.models, reports, sys; assert nni_stress.__file__.startswith(sys.argv[1]); "
        "print(sum(p.numel() for p in trials.models.lenet5().parameters())); "
        "from nni_stress.cli.init import *; write_starting_files(Path('new'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(site)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"},
    )
    assert done.stdout == "431080\n", done.stderr
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "stress.yml",
        "search_space.yml",
        "trial.py",
    }


def test_the_tuner_imports_without_torch():
    script = "import sys, nni_stress; nni_stress.StressTuner; assert 'torch' not in sys.modules; assert 'StressPruner' in dir(nni_stress)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


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
arguments = Arguments.from_mapping(dict(environmental_factor=0.5, stress_epochs=0.2, candidates=3, recovery_epochs=0.2))
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
