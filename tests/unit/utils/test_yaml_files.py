"""YAML files are read in bounded time and memory, or refused in one line."""

import pytest

from nni_stress.exceptions import DamagedFileError
from nni_stress.utils.yaml_files import read_yaml
from tests.helpers.limits import within

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghijk", "bcdefghijkl")
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "more than 100,000 values, as aliases repeat others"),
        ("a: &a [*a]", "the alias in line 1 contains itself"),
        ("[" * 20_000, "nested too deeply"),
        ("- " * 20_000, "nested too deeply"),
        ("[" * 70 + "]" * 70, "nested 64 deep, but are deeper"),
        (
            "tuner: 1\ntrialCommand: x\ntuner: 2",
            "'tuner' is there twice, the second time in line 3",
        ),
        ("a: " + "9" * 5000, "the number in line 1 is too long"),
        ("a: 0x" + "f" * 90, "at most 100 digits"),
        ("a: 2024-99-99", "month must be in 1..12"),
        ("a: !!bool maybe", "a value is not of the type that its tag names"),
        ("a: [1", "is not YAML"),
        ("a: !!python/object/apply:os.system [x]", "is not YAML"),
        ("a: " + "x" * 300_000, "at most 262,144 bytes"),
    ],
)
def test_a_hostile_file_is_refused_in_one_line(text, words, tmp_path):
    file = tmp_path / "stress.yml"
    file.write_text(text)
    with within(), pytest.raises(DamagedFileError, match=words) as error:
        read_yaml(file)
    assert "\n" not in str(error.value) and str(error.value).startswith(str(file))


def test_aliases_and_merge_keys_are_read(tmp_path):
    file = tmp_path / "stress.yml"
    file.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]\n")
    found = read_yaml(file)
    assert found["b"] == {"x": 1, "y": 3} and found["c"] == [{"x": 1, "y": 2}] * 2
