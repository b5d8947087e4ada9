"""Which commands a trial may have, given that NNI kills only the shell of a trial."""

import os
import shlex
import signal
import subprocess
import sys
import time

import psutil
import pytest

from nni_stress.exceptions import LaunchError
from nni_stress.experiment.trial_command import check_command

SLEEP = f"{shlex.quote(sys.executable)} -c 'import time; time.sleep(60)'"


def running_processes(shell):
    """Return the shell's process and its descendants once one of them runs the program, else []."""
    try:
        processes = [psutil.Process(shell), *psutil.Process(shell).children(recursive=True)]
        programs = [
            process
            for process in processes
            if process.name() != "bash" and "time.sleep(60)" in " ".join(process.cmdline())
        ]
        return processes if programs else []
    except psutil.Error:  # one of them has just ended
        return []


@pytest.mark.parametrize(
    "command",
    [
        SLEEP,
        f"{SLEEP}\n",
        f"LEVEL=1 {SLEEP}",
        f"exec {SLEEP} > /dev/null 2>&1",
        f"{SLEEP} 'a;b' \"c&d\" e\\|f {{g}}",
        f"{SLEEP} $(echo 1) `echo 2`",
    ],
)
def test_an_accepted_command_leaves_no_process_when_its_shell_is_killed(command):
    check_command(command)
    shell = subprocess.Popen(["/bin/bash", "-c", command])
    deadline = time.time() + 20
    while not (processes := running_processes(shell.pid)):
        assert time.time() < deadline
        time.sleep(0.05)
    os.kill(shell.pid, signal.SIGKILL)
    shell.wait()
    left = [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]
    for process in left:
        process.kill()
    assert not left


@pytest.mark.parametrize(
    "command",
    [
        "a && b",
        "a; b",
        "a | b",
        "a &",
        "a || b",
        "a\nb",
        "a > log",
        "a < data",
        "(a)",
        "{ a; }",
        "time a",
        "! a",
        "eval a",
        "exec a > log && b",
        "LEVEL=1",
        "echo $(a | b)",
    ],
)
def test_a_command_that_would_leave_orphans_is_refused(command):
    with pytest.raises(LaunchError, match="trialCommand must be one simple command") as refusal:
        check_command(command)
    assert repr(command) in str(refusal.value)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (None, "trialCommand must be a command such as"),
        ("  ", "trialCommand must be a command such as"),
        (["python3"], "trialCommand must be a command such as"),
        ("python3 'trial.py", "trialCommand must close its quotes"),
    ],
)
def test_a_value_that_is_not_a_command_is_refused(command, words):
    with pytest.raises(LaunchError, match=words):
        check_command(command)


def test_the_program_must_exist_in_the_trials_folder_or_on_the_path(tmp_path):
    (tmp_path / "trial.sh").write_text("#!/bin/sh\n")
    with pytest.raises(LaunchError, match=r"a program that exists, but got '\./trial\.sh'"):
        check_command("./trial.sh --fast", tmp_path)
    (tmp_path / "trial.sh").chmod(0o755)
    check_command("./trial.sh --fast", tmp_path)
    check_command("LEVEL=1 python3 trial.py", tmp_path)
    check_command('"/some folder/python" trial.py', tmp_path)
    check_command("./trial.sh on another machine")
