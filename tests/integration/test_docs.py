"""The documentation is complete, and its code runs."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import nni_stress

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "docs/from-l1normpruner.md"])
def test_every_block_of_python_runs(page, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    blocks = re.findall(
        r"^```python\n(.*?)^```",
        (ROOT / page).read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def chapter(name):
    found = re.search(rf"^## `{name}`.*?(?=^## |\Z)", API, re.MULTILINE | re.DOTALL)
    assert found, f"docs/api.md has no chapter on {name}"
    return found[0]


@pytest.mark.parametrize("name", nni_stress.__all__)
def test_every_public_name_is_documented_with_all_it_takes(name):
    public = getattr(nni_stress, name)
    assert inspect.getdoc(public)
    text = chapter(name)
    wanted = (
        []
        if "Arguments" in name
        else [
            parameter
            for parameter in inspect.signature(public).parameters
            if parameter not in ("args", "kwargs", "arguments")
        ]
    )
    missing = [parameter for parameter in wanted if f"`{parameter}`" not in text]
    assert not missing, f"docs/api.md on {name} does not speak of {missing}"


@pytest.mark.parametrize(
    "spec", dataclasses.fields(nni_stress.Arguments), ids=lambda spec: spec.name
)
def test_every_hyperparameter_is_listed_with_its_default_and_meaning(spec):
    row = next(
        (
            line
            for line in chapter("Arguments").splitlines()
            if line.startswith(f"| `{spec.name}` |")
        ),
        None,
    )
    assert row, f"docs/api.md does not list {spec.name}"
    default = spec.default if isinstance(spec.default, str) else f"{spec.default:g}"
    assert f"| {default} |" in row and spec.metadata["meaning"] in row
    for choice in spec.metadata.get("choices", ()):
        assert choice in row
