"""The notebooks of the documentation run as they are, each with few lines of its own."""

import re

import nbformat
import pytest
from nbclient import NotebookClient

from docs.quoted.pages import ROOT

NOTEBOOKS = sorted(path.stem for path in (ROOT / "docs" / "notebooks").glob("*.ipynb"))
LINES = 15  # of a notebook, at most, that are neither the model nor the data


def read(name):
    return nbformat.read(ROOT / "docs" / "notebooks" / f"{name}.ipynb", as_version=4)


def parts(notebook):
    """Code by the heading that it is under."""
    found = {}
    title = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            headings = re.findall(r"^#+ (.*)", cell.source, re.MULTILINE)
            title = headings[-1] if headings else title
        else:
            found.setdefault(title, []).append(cell.source)
    return {title: "\n".join(code) for title, code in found.items()}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_few_lines_are_needed(name):
    own = [
        line
        for title, code in parts(read(name)).items()
        if title not in ("Data", "The network, and how good it is")
        for line in code.splitlines()
        if line.strip()
    ]
    assert len(own) <= LINES, "\n".join(own)


@pytest.mark.parametrize(
    "name",
    [n if n == "own-cnn" else pytest.param(n, marks=pytest.mark.slow) for n in NOTEBOOKS],
)
def test_it_runs(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = read(name)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    shown = [out.get("data", {}) for cell in notebook.cells for out in cell.get("outputs", [])]
    assert any("text/html" in data and "iframe" in data["text/html"] for data in shown)
    texts = [
        out.text for cell in notebook.cells for out in cell.get("outputs", []) if "text" in out
    ]
    times = [float(number) for text in texts for number in re.findall(r"([\d.]+)x fewer", text)]
    assert times and times[-1] > 1.2
