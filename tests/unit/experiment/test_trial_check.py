"""Before an experiment starts its trial is tried out, in a process of its own and for a while."""

import time

import psutil
import pytest
from nni.experiment.config import ExperimentConfig

from nni_stress.exceptions import LaunchError
from nni_stress.experiment import trial_check

TELLS = """
# the part of run_trial that matters here
import os
with open(os.environ["NNI_STRESS_CHECK_REPORT"], "a") as file:
    file.write("Task.loss must be finite, but is nan\\nTask.network must have weights\\n")
raise SystemExit(1)
"""


@pytest.fixture(autouse=True)
def switched_on(monkeypatch):
    """Undo what integration tests set for their own starts."""
    monkeypatch.delenv(trial_check.SWITCH, raising=False)


def config_of(folder, script, platform="local", command="python3 trial.py"):
    (folder / "trial.py").write_text(script)
    config = ExperimentConfig(platform)
    config.trial_command, config.trial_code_directory = command, str(folder)
    return config


@pytest.mark.parametrize(
    ("script", "command", "reason"),
    [
        (
            TELLS,
            "python3 trial.py",
            "python3 trial.py: Task.loss must be finite, but is nan (1 mor",
        ),
        (
            TELLS,
            "LEVEL=1 python3 -m trial",
            "Task.loss must be finite, but is nan (1 more: see --ch",
        ),
        (
            "import torchvisoin  # and then run_trial",
            "exec python3 trial.py --width 3",
            "ModuleNotFoundError: No module named 'torchvisoin' (",
        ),
    ],
)
def test_what_a_trial_tells_or_raises_is_the_reason(script, command, reason, tmp_path):
    with pytest.raises(LaunchError) as error:
        trial_check.check_trials(config_of(tmp_path, script, command=command))
    assert reason in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("script", "platform", "switch"),
    [
        (TELLS.replace("run_trial", "something else"), "local", None),
        ("raise SystemExit(1)  # of run_trial, where it finds nothing", "local", None),
        (TELLS, "remote", None),
        (TELLS, "local", "off"),
    ],
)
def test_what_says_nothing_may_start(script, platform, switch, tmp_path, monkeypatch):
    if switch is not None:
        monkeypatch.setenv(trial_check.SWITCH, switch)
    trial_check.check_trials(config_of(tmp_path, script, platform))


@pytest.mark.parametrize("switch", ["on", "0", "-1", "nan", "inf", ""])
def test_the_limit_must_be_seconds_or_off(switch, tmp_path, monkeypatch):
    monkeypatch.setenv(trial_check.SWITCH, switch)
    expected = f"^NNI_STRESS_CHECK must be off or a number of seconds above 0, but is {switch!r}$"
    with pytest.raises(LaunchError, match=expected):
        trial_check.check_trials(config_of(tmp_path, TELLS))


def test_a_trial_that_takes_long_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv(trial_check.SWITCH, "0.5")
    pid = tmp_path / "pid"
    script = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    began = time.monotonic()
    trial_check.check_trials(
        config_of(tmp_path, f"{script}  # run_trial", command="python3 trial.py")
    )
    assert time.monotonic() - began < 30
    assert not pid.exists() or not psutil.pid_exists(int(pid.read_text()))
