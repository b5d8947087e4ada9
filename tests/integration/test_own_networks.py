"""The detector of docs/guides/own-networks.md evolves by its script, with the real manager."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nni_stress
from nni_stress.lineage.locate import find_lineage
from nni_stress.lineage.store import Lineage
from nni_stress.trial.task import load_task
from tests.integration.test_experiment import no_process_is_left

ROOT = Path(__file__).parents[2]


def write_blocks(folder, port):
    """Write each block of Python on the page to a file, whose name is its first line."""
    page = (ROOT / "docs" / "guides" / "own-networks.md").read_text(encoding="utf-8")
    for name, code in re.findall(
        r"^```python\n# (\w+\.py)\n(.*?)^```", page, re.MULTILINE | re.DOTALL
    ):
        (folder / name).write_text(code.replace("port=8080", f"port={port}"))


def run_script(folder):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.run(
        [sys.executable, "evolve.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_the_detector_of_the_page_evolves_from_python(tmp_path, port):
    write_blocks(tmp_path, port)
    done = run_script(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lineage = Lineage(find_lineage(str(tmp_path)))
    founder, *offspring = lineage.records()
    assert founder.validation > 0.9 and [record.uid for record in offspring] == [
        "g001-00",
        "g001-01",
    ]
    assert all(
        record.arguments["candidates"] == 8 and record.efficiency > 1.5 for record in offspring
    )
    assert all(
        record.architecture["head"][0] == 5 for record in offspring
    )  # the head keeps box and score
    assert max(record.validation for record in offspring) > 0.9
    task = load_task(f"{tmp_path / 'boxes.py'}:make_task")
    for record in offspring:  # what the records say, the networks do
        network = nni_stress.load(lineage.network_path(record.uid), task.network)
        assert task.fidelity(network, "test") == record.test
    assert no_process_is_left(tmp_path)


def test_the_script_reports_a_wrong_argument(tmp_path, port):
    write_blocks(tmp_path, port)
    script = tmp_path / "evolve.py"
    script.write_text(script.read_text().replace("population_size=2", "population_size=0"))
    done = run_script(tmp_path)
    assert done.returncode == 1
    assert (
        "population_size must be a whole number of at least 1, but got 0"
        in done.stdout + done.stderr
    )
    assert no_process_is_left(tmp_path)
