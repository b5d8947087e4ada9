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
    check_command("LEVEL=1 python3 -", tmp_path)
    check_command("./trial.sh on another machine")
    for command in ("exec pyhton3 -", "A=1 env B=2 pyhton3 -", '"/some folder/python" -'):
        with pytest.raises(LaunchError, match="a program that exists"):
            check_command(command, tmp_path)
        check_command(command, tmp_path, local=False)


@pytest.fixture
def folder(tmp_path):
    """Return a trial's code folder."""
    for file in (
        "trial.py",
        "my trial.py",
        "run.sh",
        "package/__init__.py",
        "package/task.py",
        "runs/__init__.py",
        "runs/__main__.py",
        "plain/task.py",
    ):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    return tmp_path


ACCEPTED = [
    "python3 trial.py --fast",
    "python3 -u -W ignore -X dev -Xfrozen_modules=off -B trial.py",
    "python3 --check-hash-based-pycs never trial.py",
    "exec python3 trial.py > log",
    "env LEVEL=1 python3 ./trial.py",
    "python3 'my trial.py'",
    "python3 runs",
    "python3 -m package.task --fast",
    "python3 -um trial",
    "python3 -mtrial",
    "python3 -m runs",
    "python3 -m plain.task",
    "bash run.sh",
    "bash -c 'python3 anything.py'",
    "python3 -c 'import no_such_module'",
    "python3 $SCRIPT",
    'python3 "$HOME/trail.py"',
    "python3 -m $MODULE",
    "$PYTHON trail.py",
    "python3 -",
    "python3 --version",
    "python3",
    "echo trail.py",
]
MISTYPED = [
    "python3 trail.py",
    "python3 -u trail.py trial.py",
    "python3 -W ignore trail.py",
    "python3 -Wignore -X dev trail.py",
    "exec python3 trail.py > log",
    "LEVEL=1 env SEED=2 python3 trail.py",
    "python3 'my trail.py'",
    "python3 package/trial.py",
    "bash ruin.sh",
    "python3 -m package.trial",
    "python3 -m package",
]
MISTYPED_HERE = ["python3 /nowhere/trial.py", "python3 -m trail", "python3 -m json.tol"]


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize(
    "command", [*ACCEPTED, "python3 -m json.tool", "PYTHONPATH=x python3 -m y"]
)
def test_a_command_whose_files_exist_or_cannot_be_known_is_accepted(command, local, folder):
    check_command(command, folder, local)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("command", MISTYPED)
def test_a_mistyped_script_or_module_is_named(command, local, folder):
    with pytest.raises(LaunchError, match=r"^trialCommand must run a (script|module) that exists"):
        check_command(command, folder, local)


@pytest.mark.parametrize("command", MISTYPED_HERE)
def test_what_another_machine_may_have_is_missed_on_this_one_only(command, folder):
    check_command(command, folder, local=False)
    with pytest.raises(LaunchError, match=r"trialCommand must run a (script|module) that exists"):
        check_command(command, folder)


def test_a_module_is_looked_for_by_the_trials_own_python(folder):
    python = folder / "python3"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={folder}/plain exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    check_command("./python3 -m task", folder)
    with pytest.raises(LaunchError, match="must run a module that exists, but got 'task'"):
        check_command("python3 -m task", folder)


def test_a_module_that_fails_when_it_is_imported_exists(folder):
    (folder / "package" / "__init__.py").write_text("import no_such_module\n")
    (folder / "package" / "task.py").unlink()
    (folder / "package" / "task").mkdir()
    (folder / "package" / "task" / "__main__.py").touch()
    check_command("python3 -m package.task", folder)
