"""Runs many commands of nnictl at the cost of one start: each in a fork after NNI is imported.

    python -m tests.helpers.nnictl_forks COMMANDS.json

The file holds a list of {"arguments", "variables", "output"}: a command, what it changes in the
environment, and the file that its output begins with, which becomes OUTPUT.out and OUTPUT.err. The
exit statuses are printed as a list.
"""

import gc
import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path

import nni_stress  # noqa: F401, first, as nni_stress_nnictl.pth does in every nnictl

SECONDS = 60  # within which each must end


def start(arguments, variables, output):
    """Run a command in a fork; returns the number of the process."""
    process = os.fork()
    if process:
        return process
    signal.alarm(SECONDS)
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{output}.{name}", os.O_WRONLY | os.O_CREAT, 0o600), stream)
    os.environ.update(variables)
    sys.argv = ["nnictl", *arguments]
    status = ended()
    sys.stdout.flush()
    os._exit(status)  # to take down an interpreter with all of NNI takes longer than the command


def ended():
    """Run nnictl, and return the exit status that Python would give it."""
    from nni.tools.nnictl.nnictl import parse_args

    try:
        parse_args()
    except SystemExit as end:
        if not isinstance(end.code, str):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main():
    for module in ("nni.tools.nnictl.nnictl", "nni_stress.experiment.config_file"):
        importlib.import_module(module)  # once for all
    gc.freeze()
    commands = json.loads(Path(sys.argv[1]).read_text())
    statuses = [os.waitpid(start(**command), 0)[1] for command in commands]
    print(json.dumps([os.waitstatus_to_exitcode(status) for status in statuses]))


if __name__ == "__main__":
    main()
