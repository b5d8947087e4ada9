"""`nnictl create` reports every kind of bad configuration in one line: got, and expected."""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import psutil
import pytest
import yaml

from tests.helpers.nnictl import environment, nnictl
from tests.unit.utils.test_yaml_files import BOMB

SPACE = {"environmental_factor": {"_type": "uniform", "_value": [0.3, 0.6]}}
CONFIG = {
    "searchSpaceFile": "space.yml",
    "trialCommand": "python3 trial.py",
    "trialConcurrency": 1,
    "tuner": {"className": "nni_stress.StressTuner", "classArgs": {"population_size": 2}},
    "trainingService": {"platform": "local"},
}


NOTHING = MappingProxyType({})


class Case(NamedTuple):
    """A configuration that differs from CONFIG, and words that the error must hold."""

    words: list
    fields: Mapping = NOTHING  # fields of the experiment file; None removes one
    arguments: Mapping = NOTHING  # arguments of the tuner
    tuner: Mapping = NOTHING  # fields of the tuner's section; None removes one
    space: object = SPACE  # the search space, or the text of its file
    text: str = None  # text of the whole experiment file
    port: object = None  # a port, or "in use"
    variables: Mapping = NOTHING  # environment variables


def space(name, kind, values):
    return {name: {"_type": kind, "_value": values}}


ARGUMENTS = {
    "unknown": Case(
        ["unknown argument 'populaton_size'", "population_size"], arguments={"populaton_size": 4}
    ),
    "text for a number": Case(
        ["population_size must be a whole number", "'four'"], arguments={"population_size": "four"}
    ),
    "fraction for a whole number": Case(
        ["generations must be a whole number", "2.5"], arguments={"generations": 2.5}
    ),
    "out of bounds": Case(
        ["patience must be a whole number of at least 0", "-1"], arguments={"patience": -1}
    ),
    "not a number": Case(
        ["tolerance must be a number of at least 0", "nan"], arguments={"tolerance": float("nan")}
    ),
    "of the search inside": Case(
        ["NNI's tuner TPE refuses its arguments", "'gama'"],
        arguments={"search_args": {"tpe_args": {"gama": 1}}},
    ),
    "a search that NNI does not have": Case(
        ["one of NNI's built-in tuners", "'TPEE'"], arguments={"search": "TPEE"}
    ),
    "a search that does not run": Case(
        ["NNI's tuner DNGO cannot be imported"], arguments={"search": "DNGO"}
    ),
    "survivors": Case(
        ["survivors must be a whole number of at least 1", "got 0"], arguments={"survivors": 0}
    ),
    "one survivor, two parents": Case(
        ["parents=2 needs at least 2 survivors", "got 1"], arguments={"parents": 2}
    ),
    "constraints": Case(
        ["constraints are on parameters, macs, latency", "'flops'"],
        arguments={"constraints": {"flops": 0.5}},
    ),
    "early_ending": Case(
        ["early_ending must be true or false", "got 'yes, please'"],
        arguments={"early_ending": "yes, please"},
    ),
    "quorum": Case(["quorum must be a share in (0, 1]", "got 2"], arguments={"quorum": 2}),
    "a key that runs code": Case(
        ["plain data expected", "'__nni_obj__'"], arguments={"search_args": {"__nni_obj__": "gASV"}}
    ),
}
SPACES = {
    "unknown name": Case(
        ["unknown stress parameter 'stress_pek'", "stress_peak"],
        space=space("stress_pek", "uniform", [0, 1]),
    ),
    "unknown type": Case(
        ["_type must be one of", "'uniforn'"], space=space("stress_peak", "uniforn", [0, 1])
    ),
    "one end": Case(
        ["uniform takes 2 numbers", "[0.5]"], space=space("stress_peak", "uniform", [0.5])
    ),
    "ends reversed": Case(
        ["low end must be below its high end", "[1, 0]"],
        space=space("stress_peak", "uniform", [1, 0]),
    ),
    "out of bounds": Case(
        ["stress_peak must lie in [0, 1]", "but got 3"],
        space=space("stress_peak", "uniform", [0, 3]),
    ),
    "an unknown choice": Case(
        ["stressor must be one of", "'strech'"], space=space("stressor", "choice", ["strech"])
    ),
    "logarithm of 0": Case(
        ["must start above 0", "[0, 1]"], space=space("temperature", "loguniform", [0, 1])
    ),
    "no values": Case(
        ["expected {_type: ..., _value: [...]}", "'uniform'"],
        space={"stress_peak": {"_type": "uniform"}},
    ),
    "empty": Case(["must name at least one stress parameter", "{}"], space={}),
    "a list": Case(
        ["must name at least one stress parameter", "['stress_peak']"], space=["stress_peak"]
    ),
    "a key that runs code": Case(
        ["plain data expected", "'__symbol__'"], space={"__symbol__": "path:os.system"}
    ),
    "not YAML": Case(["space.yml is not YAML", "line 1"], space="stress_peak: [0, 1"),
    "no file": Case(
        ["no search space file at", "nowhere.yml"], fields={"searchSpaceFile": "nowhere.yml"}
    ),
    "neither file nor space": Case(
        ["searchSpaceFile or searchSpace must be given"], fields={"searchSpaceFile": None}
    ),
}
FILES = {
    "missing": Case(["no experiment file at", "stress.yml"]),
    "not YAML": Case(
        ["is not YAML", "line 2"],
        text="trialConcurrency: 1\ntuner: {className: nni_stress.StressTuner",
    ),
    "a list": Case(["must hold the fields of an experiment", "['tuner']"], text="- tuner\n"),
    "empty": Case(["must hold the fields of an experiment", "None"], text=""),
    "aliases that repeat": Case(["more than 100,000 values, as aliases repeat others"], text=BOMB),
    "nested": Case(["nested too deeply"], text="[" * 10_000),
    "twice": Case(["'a' is there twice, the second time in line 2"], text="a: 1\na: 2\n"),
    "no path": Case(
        ["searchSpaceFile must be a path", "['space.yml']"],
        fields={"searchSpaceFile": ["space.yml"]},
    ),
    "unknown field": Case(
        ["unknown field 'trialComand'", "trialCommand"], fields={"trialComand": "python3 trial.py"}
    ),
    "no command": Case(["trialCommand must be a command", "None"], fields={"trialCommand": None}),
    "two commands": Case(
        ["trialCommand must be one simple command", "'cd trials && python3 lenet5.py'"],
        fields={"trialCommand": "cd trials && python3 lenet5.py"},
    ),
    "a pipe": Case(
        ["one simple command", "tee"], fields={"trialCommand": "python3 -m trials.lenet5 | tee log"}
    ),
    "no such program": Case(
        ["a program that exists", "'pyhton3'"], fields={"trialCommand": "pyhton3 -m trials.lenet5"}
    ),
    "no such program behind exec": Case(
        ["a program that exists", "'pyhton3'"], fields={"trialCommand": "exec pyhton3 trial.py"}
    ),
    "script misspelt": Case(
        ["trialCommand must run a script that exists", "'trail.py'", "trail.py)"],
        fields={"trialCommand": "python3 -u trail.py --fast"},
    ),
    "script in another folder": Case(
        ["trialCommand must run a script that exists", "'trials/trial.py'"],
        fields={"trialCommand": "LEVEL=1 python3 trials/trial.py"},
    ),
    "module misspelt": Case(
        ["trialCommand must run a module that exists", "'nni_stress.trials.lenet'"],
        fields={"trialCommand": "python3 -m nni_stress.trials.lenet"},
    ),
    "package that does not run": Case(
        ["trialCommand must run a module that exists", "'nni_stress.trials'"],
        fields={"trialCommand": "python3 -m nni_stress.trials"},
    ),
    "concurrency 0": Case(
        ["trialConcurrency must be a whole number of at least 1", "0"],
        fields={"trialConcurrency": 0},
    ),
    "concurrency in words": Case(
        ["trialConcurrency must be", "'two'"], fields={"trialConcurrency": "two"}
    ),
    "no concurrency": Case(["trialConcurrency must be", "None"], fields={"trialConcurrency": None}),
    "trial number below 0": Case(
        ["maxTrialNumber must be a whole number of at least 1", "-1"], fields={"maxTrialNumber": -1}
    ),
    "duration": Case(
        ["maxExperimentDuration must be a time", "'soon'"], fields={"maxExperimentDuration": "soon"}
    ),
    "duration of a trial": Case(
        ["maxTrialDuration must be a time", "'-5m'"], fields={"maxTrialDuration": "-5m"}
    ),
    "no code folder": Case(
        ["trialCodeDirectory must be a folder", "nowhere"], fields={"trialCodeDirectory": "nowhere"}
    ),
    "unknown log level": Case(["logLevel must be one of", "'loud'"], fields={"logLevel": "loud"}),
    "NNI's old format": Case(
        ["trainingServicePlatform", "trainingService"], fields={"trainingServicePlatform": "local"}
    ),
    "a key that runs code": Case(
        ["plain data expected", "'__symbol__'"],
        fields={"searchSpace": space("stress_peak", "choice", [{"__symbol__": "path:os.getcwd"}])},
    ),
}
TUNERS = {
    "class misspelt": Case(
        ["className of the tuner must be nni_stress.StressTuner", "'nni_stress.StressTunr'"],
        tuner={"className": "nni_stress.StressTunr"},
    ),
    "no class": Case(
        ["tuner must be a mapping with className", "classArgs"], tuner={"className": None}
    ),
    "none": Case(["tuner must be a mapping with className", "None"], fields={"tuner": None}),
    "only its name": Case(
        ["tuner must be a mapping with className", "'Stress'"], fields={"tuner": "Stress"}
    ),
    "unknown field": Case(
        ["unknown field of tuner 'classArg'", "classArgs"], tuner={"classArg": {}}
    ),
    "arguments as a list": Case(
        ["classArgs of the tuner must be a mapping", "[1, 2]"], tuner={"classArgs": [1, 2]}
    ),
    "no code folder": Case(
        ["codeDirectory of the tuner must be a folder", "nowhere"],
        tuner={"codeDirectory": "nowhere"},
    ),
}
PLACES = {
    "unknown platform": Case(
        ["platform must be one of", "local", "'locl'"],
        fields={"trainingService": {"platform": "locl"}},
    ),
    "no platform": Case(
        ["trainingService must be a mapping such as {platform: local}", "None"],
        fields={"trainingService": None},
    ),
    "unknown field": Case(
        ["unknown field of trainingService 'reuse'", "reuseMode"],
        fields={"trainingService": {"platform": "local", "reuse": True}},
    ),
    "workers that cannot reach the manager": Case(
        ["nniManagerIp must be 127.0.0.1", "NNI_STRESS_LISTEN=everywhere", "None"],
        fields={
            "trainingService": {
                "platform": "remote",
                "machineList": [{"host": "a", "user": "b", "password": "c"}],
            }
        },
    ),
    "script misspelt, on workers": Case(
        ["trialCommand must run a script that exists", "'trail.py'"],
        fields={
            "trialCommand": "python3 trail.py",
            "nniManagerIp": "127.0.0.1",
            "trainingService": {
                "platform": "remote",
                "machineList": [{"host": "a", "user": "b", "password": "c"}],
            },
        },
        arguments={"folder": "/shared/lineage"},
    ),
    "port out of range": Case(["port must lie in [1, 65535]", "99999"], port=99999),
    "port in use": Case(["is in use; name another"], port="in use"),
    "NNI_STRESS_LISTEN": Case(
        ["NNI_STRESS_LISTEN must be 'everywhere'", "'yes'"], variables={"NNI_STRESS_LISTEN": "yes"}
    ),
}
GROUPS = {
    "tuner's argument": ARGUMENTS,
    "search space": SPACES,
    "experiment file": FILES,
    "tuner": TUNERS,
    "place": PLACES,
}
CASES = {
    f"{group}: {name}": case for group, cases in GROUPS.items() for name, case in cases.items()
}


FIRST = {f"{group}: {next(iter(cases))}" for group, cases in GROUPS.items()}
ROOT = Path(__file__).parents[2]


def write(case, folder):
    config = {**CONFIG, "experimentWorkingDirectory": str(folder / "nni"), **case.fields}
    if "tuner" not in case.fields:
        arguments = {**CONFIG["tuner"]["classArgs"], **case.arguments}
        config["tuner"] = {**CONFIG["tuner"], "classArgs": arguments, **case.tuner}
        config["tuner"] = {
            name: value for name, value in config["tuner"].items() if value is not None
        }
    config = {name: value for name, value in config.items() if value is not None}
    (folder / "space.yml").write_text(
        case.space if isinstance(case.space, str) else yaml.safe_dump(case.space)
    )
    (folder / "trial.py").touch()
    if case is not FILES["missing"]:
        (folder / "stress.yml").write_text(
            yaml.safe_dump(config) if case.text is None else case.text
        )


def port_of(case, sockets):
    """The port of a case: its own, one that is taken while the sockets are open, or a free one."""
    if isinstance(case.port, int):
        return case.port
    taken = sockets.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    if case.port == "in use":
        taken.listen()
    else:
        taken.close()
    return port


@pytest.fixture(scope="module")
def ended(request, tmp_path_factory):
    """Folder, exit status, output and errors of all selected cases.

    Starting nnictl takes seconds, so that only the first of each group starts one of its own.
    """
    names = [
        item.callspec.params["name"]
        for item in request.session.items
        if item.module is request.module
    ]
    folders = {name: tmp_path_factory.mktemp("case") for name in names}
    found, commands = {}, {}
    with contextlib.ExitStack() as sockets:
        for name, folder in folders.items():
            case = CASES[name]
            write(case, folder)
            arguments = [*("create", "--config", str(folder / "stress.yml"))]
            arguments += ["--port", str(port_of(case, sockets))]
            if name in FIRST:
                done = nnictl(*arguments, timeout=60, **case.variables)
                found[name] = (folder, done.returncode, done.stdout, done.stderr)
            else:
                output = tmp_path_factory.mktemp("output") / "shown"
                commands[name] = {
                    "arguments": arguments,
                    "variables": dict(case.variables),
                    "output": str(output),
                }
        for name, ended in zip(commands, in_forks(list(commands.values()), tmp_path_factory)):
            found[name] = (folders[name], *ended)
    return found


def in_forks(commands, tmp_path_factory):
    """Run commands of nnictl; returns the exit status, output and errors of each."""
    file = tmp_path_factory.mktemp("commands") / "commands.json"
    file.write_text(json.dumps(commands))
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.nnictl_forks", str(file)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    shown = [
        [Path(f"{command['output']}.{name}").read_text() for name in ("out", "err")]
        for command in commands
    ]
    return [(status, *texts) for status, texts in zip(json.loads(done.stdout), shown)]


@pytest.mark.parametrize("name", CASES)
def test_a_bad_configuration_is_refused_in_one_line(name, ended):
    folder, status, output, errors = ended[name]
    assert status == 1 and output == ""
    (line,) = errors.splitlines()
    assert line.startswith("error: ")
    assert not [words for words in CASES[name].words if words not in line], line
    assert not (folder / "nni").exists()
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder) in argument for argument in process.info["cmdline"] or [])
    ]
    assert not left
