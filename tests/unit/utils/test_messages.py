"""An error as one line: foreign errors name their type, this package's own messages do not."""

import json

import pytest

from nni_stress.exceptions import LaunchError
from nni_stress.hparams import Arguments
from nni_stress.nni_runtime.loopback import check_port
from nni_stress.utils.atomic_files import digest
from nni_stress.utils.messages import one_line


def caught(kind, function, *arguments):
    with pytest.raises(kind) as error:
        function(*arguments)
    assert type(error.value) is kind
    return one_line(error.value)


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        (KeyError, "{}['labels']", "KeyError: 'labels'"),
        (ZeroDivisionError, "1 / 0", "ZeroDivisionError: division by zero"),
        (ValueError, "int('x')", "ValueError: invalid literal for int() with base 10: 'x'"),
        (TypeError, "len(3)", "TypeError: object of type 'int' has no len()"),
        (ModuleNotFoundError, "import absent", "ModuleNotFoundError: No module named 'absent'"),
    ],
)
def test_an_error_of_other_code_names_its_type(kind, code, words):
    assert caught(kind, exec, code) == words


def test_a_message_of_this_package_goes_without_its_type():
    assert caught(LaunchError, check_port, 0) == "port must lie in [1, 65535], but got 0"
    found = caught(ValueError, lambda: Arguments(temperature=-1))
    assert found == "temperature must lie in [0, 10], but got -1"


def test_an_error_of_the_operating_system_names_its_type_also_in_code_of_this_package(tmp_path):
    found = caught(FileNotFoundError, digest, tmp_path / "absent")
    assert found == f"FileNotFoundError: [Errno 2] No such file or directory: '{tmp_path}/absent'"


def test_several_lines_become_one_and_an_empty_message_is_the_type():
    assert one_line(RuntimeError("one\n  two")) == "RuntimeError: one two"
    assert one_line(MemoryError()) == "MemoryError"
    found = caught(json.JSONDecodeError, json.loads, "{")
    assert found.startswith("JSONDecodeError: Expecting property name")


def test_a_bare_assertion_shows_what_it_asserts():
    def check(number):
        assert number > 3

    assert caught(AssertionError, check, 2).startswith("AssertionError: ")
