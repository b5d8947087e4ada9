"""Hostile messages through the channels of the tuner and of trials."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import requests

from tests.faults.experiment import FaultyExperiment
from tests.faults.kinds.kills import TRIAL, TUNER
from tests.faults.kinds.messages import CODE
from tests.faults.registry import NONE, fault
from tests.helpers import hostile


def _channel(run: FaultyExperiment) -> str | None:
    """Address of the channel of a running trial, without the trial's id."""
    for process in run.processes(TRIAL):
        try:
            address = process.environ().get("NNI_TRIAL_COMMAND_CHANNEL")
        except psutil.Error:
            continue
        if address:
            return address
    return None


def _put(address: str, command: object) -> str:
    return str(requests.put(address, json=command, timeout=20).status_code)


@fault("forged metrics of trials")
def forged_metrics(run: FaultyExperiment) -> str:
    channel = _channel(run)
    if channel is None:
        return NONE
    for value in (CODE, {"uid": "g001-00", "default": 1}, "x", None, "\x00"):
        metric = {
            "parameter_id": 0,
            "trial_job_id": channel.rsplit("/", 1)[-1],
            "type": "FINAL",
            "sequence": 0,
            "value": json.dumps(value),
        }
        _put(channel, {"type": "metric", "metric": json.dumps(metric)})
    return "five"


@fault("malformed metrics of trials")
def malformed_metrics(run: FaultyExperiment) -> str:
    channel = _channel(run)
    if channel is None:
        return NONE
    metric = run.random.choice(["{", "", "[]", "null", '{"type": "FINAL"}', '{"value": "{"}'])
    return f"{metric!r}: {_put(channel, {'type': 'metric', 'metric': metric})}"


@fault("malformed commands of trials")
def malformed_commands(run: FaultyExperiment) -> str:
    channel = _channel(run)
    if channel is None:
        return NONE
    command = run.random.choice([{}, {"type": "x"}, [], {"type": None}, {"type": "metric"}])
    return f"{command}: {_put(channel, command)}"


@fault("parameters taken by a stranger")
def taken_parameters(run: FaultyExperiment) -> str:
    """A message of a job that does not exist takes parameters from NNI's queue."""
    channel = _channel(run)
    if channel is None:
        return NONE
    stranger = channel.rsplit("/", 1)[0] + "/stranger"
    did = "there were none"
    for _ in range(20):
        _put(stranger, {"type": "request_parameter"})
        answer = requests.get(stranger, timeout=20)
        if answer.status_code == 200:
            did = f"took {str(answer.json().get('parameter'))[:60]}"
            break
    run.resume()  # by itself, the tuner sends them again after half an hour
    return did


@fault("forged commands through the tuner's channel")
def forged_commands(run: FaultyExperiment) -> str:
    """A program of the user, not a web page, connects as if it were the tuner."""
    address = _tuner_channel(run)
    if address is None:
        return NONE
    parameters = {
        "uid": "g001-00",
        "generation": 1,
        "ancestor": "g000-00",
        "seed": 0,
        "arguments": {},
        "incarnation": 0,
        "attempt": "0.0",
        "lineage": str(run.folder / "elsewhere"),
        "task": "os:system",
        "task_arguments": {"command": f"touch '{run.folder}/owned'"},
    }
    content = {"parameter_id": 0, "parameters": parameters, "parameter_source": "algorithm"}
    commands = [
        {"type": "TR", "content": json.dumps(content)},
        {"type": "TR", "content": "{"},
        {"type": "XX", "content": ""},
        {"type": "NO", "content": ""},
    ]
    did = hostile.send_commands(address, run.random.sample(commands, 2))
    run.wait_a_moment(5)
    run.resume()
    assert not Path(run.folder, "owned").exists(), "a message ran a command"
    assert not Path(run.folder, "elsewhere").exists(), "a message named a folder"
    return did


def _tuner_channel(run: FaultyExperiment) -> str | None:
    for process in run.processes(TUNER, shell=False):
        try:
            return process.environ().get("NNI_TUNER_COMMAND_CHANNEL")
        except psutil.Error:
            continue
    return None
