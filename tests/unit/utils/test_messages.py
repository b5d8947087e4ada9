"""An error as one line: its type, its message, and the place in the user's code it came from."""

import importlib.util
import json

import pytest
from torch.utils.data import DataLoader

from nni_stress.hparams import Arguments
from nni_stress.nni_runtime.loopback import check_port
from nni_stress.utils.atomic_files import digest
from nni_stress.utils.messages import one_line, place_in

BATCHES = """
import torch
from nni_stress.nni_runtime.loopback import check_port

class Images(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {}["labels"]

def lookup():
    return {}["labels"]

def wrong_shape():
    return torch.nn.Linear(3, 2)(torch.rand(1, 4))

def multiply():
    return torch.rand(2) @ torch.rand(3)

def refused():
    check_port(0)

def asserted(number=2):
    assert number > 3
"""


def caught(function, *arguments):
    with pytest.raises(Exception) as error:  # noqa: PT011, which kind is part of the line
        function(*arguments)
    return one_line(error.value)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a function that makes a module in a folder of the user's, and imports it."""
    monkeypatch.chdir(tmp_path)

    def module(name, text=BATCHES):
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        return found

    return module


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("{}['labels']", "KeyError: 'labels'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("int('x')", "ValueError: invalid literal for int() with base 10: 'x'"),
        ("len(3)", "TypeError: object of type 'int' has no len()"),
        ("import absent", "ModuleNotFoundError: No module named 'absent'"),
    ],
)
def test_an_error_of_other_code_names_its_type(code, words):
    try:
        exec(code, {"__name__": "elsewhere"})
    except Exception as error:
        line = one_line(error)
    assert line.startswith(f"{words} (tests/unit/utils/test_messages.py, line ") or (
        line.startswith(f"{words} (/")  # the tests run from another folder
    )


@pytest.mark.parametrize("name", ["batches", "data.batches", "trials.batches", "reports.batches"])
@pytest.mark.parametrize(
    ("function", "words", "line"),
    [
        ("lookup", "KeyError: 'labels'", 13),
        (
            "wrong_shape",
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x4 and 3x2)",
            16,
        ),
        ("multiply", "RuntimeError: ", 19),
        ("asserted", "AssertionError: assert number > 3", 25),
    ],
)
def test_the_place_is_the_innermost_of_the_users_own_code(function, words, line, name, project):
    found = caught(getattr(project(name), function))
    file = name.replace(".", "/")
    assert found.startswith(words) and found.endswith(f" ({file}.py, line {line})")


def test_a_file_outside_of_the_folder_is_named_in_full(project, tmp_path, monkeypatch):
    module = project("batches")
    monkeypatch.chdir("/")
    assert caught(module.lookup) == (
        f"KeyError: 'labels' ({str(tmp_path)[1:]}/batches.py, line 13)"
    )
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert caught(module.lookup) == f"KeyError: 'labels' ({tmp_path}/batches.py, line 13)"


def test_an_error_in_a_worker_of_a_loader_reads_like_any_other(project):
    loader = DataLoader(project("batches").Images(), num_workers=1)
    assert caught(list, loader) == "KeyError: 'labels' (batches.py, line 10)"


def test_a_faulty_file_is_named_once(project):
    found = caught(project, "no_python", "import torch\nx = = 1\n")
    assert found == "SyntaxError: invalid syntax (no_python.py, line 2)"


def test_a_message_of_this_package_goes_without_its_type(project):
    assert caught(check_port, 0).startswith("port must lie in [1, 65535], but got 0 (")
    found = caught(project("batches").refused)
    assert found == "port must lie in [1, 65535], but got 0 (batches.py, line 22)"
    assert caught(lambda: Arguments(temperature=-1)).startswith(
        "temperature must lie in [0, 10], but got -1"
    )


def test_an_error_of_the_operating_system_names_its_type_also_in_code_of_this_package(tmp_path):
    found = caught(digest, tmp_path / "absent")
    words = f"FileNotFoundError: [Errno 2] No such file or directory: '{tmp_path}/absent' ("
    assert found.startswith(words)


def test_several_lines_become_one_and_an_empty_message_is_the_type():
    assert one_line(RuntimeError("one\n  two")) == "RuntimeError: one two"
    assert one_line(MemoryError()) == "MemoryError"
    assert caught(json.loads, "{").startswith("JSONDecodeError: Expecting property name")


def test_the_place_is_read_from_the_last_traceback_of_a_text():
    text = """Traceback (most recent call last):
  File "/a/old.py", line 1, in <module>
KeyError: 'old'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/usr/lib/python3.12/runpy.py", line 88, in run
  File "/a/trial.py", line 12, in <module>
    train()
  File "/env/lib/python3.12/site-packages/torch/nn/linear.py", line 5, in forward
    raise ValueError
ValueError
"""
    assert place_in(text) == "/a/trial.py, line 12"
    assert place_in("no traceback") is None
    assert place_in(text.replace("/a/trial.py", "/x/site-packages/nni/a.py")) is None
