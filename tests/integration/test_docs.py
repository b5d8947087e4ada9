"""The documentation is complete, its links work, and its code runs."""

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nni_stress
from docs.quoted.pages import ROOT, pages, read
from docs.quoted.reference import documented, written

LINKED_PAGES = [*pages(), "CONTRIBUTING.md", "CHANGELOG.md"]
PYTHON_PAGES = [
    "README.md",
    "docs/quickstart.md",
    "docs/guides/from-l1normpruner.md",
    "docs/guides/in-python.md",
    "docs/guides/own-layers.md",
    "docs/guides/own-loop.md",
]
REFERENCE = "docs/reference"


@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_every_block_of_python_runs(page, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    blocks = re.findall(r"^```python\n(.*?)^```", read(page), re.MULTILINE | re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_the_readme_is_short():
    assert len(read("README.md").split()) <= 700


@pytest.mark.parametrize("name", nni_stress.__all__)
def test_every_public_name_is_in_the_reference(name):
    directive = rf"^\.\. auto(class|function):: nni_stress\.{name}$"
    assert re.search(directive, read(f"{REFERENCE}/python.md"), re.MULTILINE)


@pytest.mark.parametrize("name", nni_stress.__all__)
def test_the_docstring_of_a_public_name_describes_all_it_takes(name):
    public = getattr(nni_stress, name)
    assert inspect.getdoc(public)
    if name in ("Arguments", "PrunerArguments"):
        return  # their fields are in the table of hyperparameters
    wanted = [
        parameter.name
        for parameter in inspect.signature(public).parameters.values()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    assert [parameter for parameter in wanted if not documented(public).get(parameter)] == []


def row_of(page, name):
    rows = [line for line in read(page).splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1, f"{page} must have one row for {name}"
    return rows[0]


@pytest.mark.parametrize(
    "field", dataclasses.fields(nni_stress.Arguments), ids=lambda one: one.name
)
def test_every_hyperparameter_is_listed_with_its_default_and_meaning(field):
    row = row_of(f"{REFERENCE}/hyperparameters.md", field.name)
    assert f"| {written(field.default)} |" in row
    assert field.metadata["meaning"] in row
    for choice in field.metadata.get("choices", ()):
        assert choice in row


@pytest.mark.parametrize("name", inspect.signature(nni_stress.StressTuner).parameters)
def test_every_argument_of_the_tuner_is_listed_with_its_default(name):
    parameter = inspect.signature(nni_stress.StressTuner).parameters[name]
    if parameter.kind != parameter.VAR_KEYWORD:
        default = row_of(f"{REFERENCE}/tuner.md", name).split(" | ")[1]
        assert default in (written(parameter.default), str(parameter.default))


def links(page):
    """Targets of the links and pictures of a page, code left out."""
    text = re.sub(r"^```.*?^```|`[^`]*`", "", read(page), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(path):
    """The anchors of a page's headings, as code hosts and MyST make them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED_PAGES)
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    for target in links(page):
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.is_file(), f"{page} links to {target}"
        assert ROOT in path.resolve().parents
        if anchor:
            assert anchor in anchors(path), f"{page} links to {target}"


def test_every_page_is_in_the_contents():
    toctrees = "".join(
        f"{Path(page).parent}/{entry}.md\n"
        for page in pages()
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```", read(page), re.DOTALL | re.MULTILINE)
        for entry in tree.split("\n\n", 1)[1].split()
    )
    expected = {page for page in pages() if page not in ("README.md", "docs/index.md")}
    assert set(toctrees.split()) == expected


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "doctrees"), "docs", str(tmp_path / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "html" / "reference" / "python.html").read_text(encoding="utf-8")
    for name in nni_stress.__all__:
        assert f'id="nni_stress.{name}"' in page
