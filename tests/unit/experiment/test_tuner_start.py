"""Which of several reasons is given for an experiment that did not start."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from nni_stress.exceptions import StartError
from nni_stress.experiment.tuner_start import wait
from tests.helpers.workers import free_ports

CONSEQUENCE = "nni-stress: ignored Initialize, which is malformed: Connect call failed\n"
FAILURE = "[2026] ERROR (NNIManager) initialize failed: Error: connect ECONNREFUSED 127.0.0.1:22\n"


@pytest.mark.parametrize(
    ("manager_log", "stderr", "reason"),
    [
        (FAILURE, CONSEQUENCE, "NNI could not set up its workers: connect ECONNREFUSED"),
        (FAILURE, "", "NNI could not set up its workers: connect ECONNREFUSED"),
        ("", "nni-stress: no folder\n", "ended: no folder"),
        (
            "",
            "Killed\n",
            "manager ended before the tuner was ready; the last line .*: Killed",
        ),
    ],
)
def test_the_first_cause_is_the_reason(manager_log, stderr, reason, tmp_path):
    (tmp_path / "nnimanager.log").write_text(manager_log)
    (tmp_path / "nnictl_stderr.log").write_text("-" * 80 + "\n" + stderr)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    experiment = SimpleNamespace(id="abc", port=free_ports(1)[0], url_prefix="x", _proc=process)
    with pytest.raises(StartError, match=reason):
        wait(experiment, tmp_path)
