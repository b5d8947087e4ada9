"""A tuner's process outlives malformed messages; those of other tuners are left as NNI has them."""

import types

import pytest
from nni.tuner import Tuner

from nni_stress import StressTuner
from nni_stress.nni_runtime.dispatcher import ignore_malformed_messages


def dispatcher_of(tuner):
    class MsgDispatcherBase:
        def process_command(self, command, data):
            for entry in data:
                entry["value"]

    ignore_malformed_messages(types.SimpleNamespace(MsgDispatcherBase=MsgDispatcherBase))
    dispatcher = MsgDispatcherBase()
    dispatcher.tuner = tuner
    return dispatcher


def test_a_malformed_message_is_ignored_with_a_line(tmp_path, capfd):
    dispatcher_of(StressTuner(folder=str(tmp_path))).process_command("ImportData", "x")
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("nni-stress: ignored ImportData, which is malformed: TypeError: string")


def test_the_tuners_of_others_are_left_alone():
    with pytest.raises(TypeError):
        dispatcher_of(Tuner()).process_command("ImportData", "x")
