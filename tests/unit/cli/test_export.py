"""Export writes all files of a network or none, and does not change the lineage."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from nni_stress import StressPruner
from nni_stress.evolution.rules import Rules
from nni_stress.graph import cost, serialization
from nni_stress.lineage.store import Lineage, Record, uid_of
from nni_stress.trial.task import load_task
from nni_stress.utils.atomic_files import digest, write_json
from tests.integration.test_starting_files import command

TASK = """
import torch
from torch import nn
from torch.nn import functional
from nni_stress import Task


def network():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3))


def make_task():
    return Task(network, torch.rand(4, 1, 8, 8), lambda generator: [], functional.cross_entropy,
                lambda network, split: 1.0, 1, 0.1)


def no_task():
    return 3


def failing():
    raise OSError("no data\\nin /nowhere")
"""


def network():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3))


def add(lineage, generation, slot, ancestor, validation, clusters, other=None):
    torch.manual_seed(clusters)
    small = network()
    if clusters < 8:
        pruner = StressPruner(
            small, [{"op_names": ["0"], "sparse_ratio": 1 - clusters / 8}], temperature=0
        )
        pruner.compress()
        small = pruner.synthesize(torch.rand(2, 1, 8, 8))
    synapses = cost.synapses(small)
    record = Record(
        uid_of(generation, slot),
        generation,
        ancestor,
        {},
        validation,
        validation,
        synapses,
        10 * synapses,
        cost.synapses(network()) / synapses,
        None,
        cost.architecture(small),
        {},
        other,
    )
    lineage.add(record, lambda path: serialization.save(small, path))


@pytest.fixture
def lineage(tmp_path):
    """Two generations have ended, and a third runs; of the second, one is not accurate enough."""
    found = Lineage(tmp_path / "run" / "lineage")
    add(found, 0, 0, None, 0.95, 8)
    add(found, 1, 0, "g000-00", 0.95, 6)
    add(found, 1, 1, "g000-00", 0.94, 4)
    add(found, 2, 0, "g001-01", 0.80, 2)
    add(found, 2, 1, "g001-01", 0.945, 3, other="g001-00")
    add(found, 3, 0, "g002-01", 0.95, 1)
    found.update_state(**Rules(4, 0.01)._asdict(), population_size=2)
    for number, closed in enumerate(
        [["g000-00"], ["g001-00", "g001-01"], ["g002-00", "g002-01"], None]
    ):
        found.write_generation(number, {"offspring": [], "suggestions": [], "closed": closed})
    (tmp_path / "trial.py").write_text(TASK)
    return found


def content_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_best_survivor_is_written_with_its_record_ancestors_and_onnx(lineage, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    before = content_of(lineage.folder)
    target = tmp_path / "new" / "exported"
    task = f"{tmp_path / 'trial.py'}:make_task"
    assert command("export", tmp_path / "run", "--to", target, "--task", task) == 0
    first, *files, last = capsys.readouterr().out.splitlines()
    assert first.startswith("g002-01: 357 synapses, 2.7x fewer than the founder")
    assert last == str(target)
    assert [line.split(":")[0] for line in files] == ["network.safetensors", "network.onnx"]
    names = {path.name for path in target.iterdir()}
    assert names == {"network.safetensors", "network.onnx", "record.json", "ancestors.json"}
    written = json.loads((target / "record.json").read_text())
    assert {name: file["bytes"] for name, file in written.pop("files").items()} == {
        name: (target / name).stat().st_size for name in ("network.safetensors", "network.onnx")
    }
    assert written == lineage.record("g002-01")._asdict()
    ancestors = json.loads((target / "ancestors.json").read_text())
    uids = [ancestor["uid"] for ancestor in ancestors]
    assert uids == ["g000-00", "g001-00", "g001-01", "g002-01"]  # it has two parents
    small = serialization.load(target / "network.safetensors", network).eval()
    images = torch.rand(7, 1, 8, 8)
    assert small[0].out_channels == 3
    session = onnxruntime.InferenceSession(
        str(target / "network.onnx"), providers=["CPUExecutionProvider"]
    )
    (answer,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    assert torch.allclose(torch.from_numpy(answer), small(images), atol=1e-5)
    assert content_of(lineage.folder) == before
    umask = os.umask(0)
    os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o666 & ~umask}


def test_any_offspring_can_be_exported_without_a_task_and_onnx(lineage, tmp_path, capsys):
    target = tmp_path / "empty"
    target.mkdir()
    arguments = ["export", lineage.folder, "g003-00", "--format", "safetensors"]
    assert command(*arguments, "--to", target) == 0
    assert "neither checked nor measured, for lack of --task" in capsys.readouterr().out
    names = {path.name for path in target.iterdir()}
    assert names == {"network.safetensors", "record.json", "ancestors.json"}
    assert serialization.load(target / "network.safetensors", network)[0].out_channels == 1


def damage_network(lineage):
    lineage.network_path("g002-01").write_bytes(b"garbage")


def damage_record(lineage):
    (lineage.folder / "offspring" / "g002-01" / "record.json").write_text("garbage")


def damage_state(lineage):
    (lineage.folder / "state.json").write_text("{}")


def lose_ancestor(lineage):
    (lineage.folder / "offspring" / "g001-00" / "record.json").unlink()


def lose_founder(lineage):
    lineage.write_generation(0, {"offspring": [], "suggestions": [], "closed": None})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_network, "network.safetensors is damaged: it is not the file that was recorded"),
        (damage_record, "record.json is damaged"),
        (
            damage_state,
            "state.json must name the rules of an evolution, but lacks generations, tolerance",
        ),
        (lose_ancestor, "does not hold g001-00, an ancestor of g002-01"),
        (lose_founder, "the founder is not there yet"),
    ],
)
def test_a_damaged_lineage_is_refused_and_not_changed(damage, words, lineage, tmp_path, capsys):
    damage(lineage)
    before = content_of(tmp_path)
    assert (
        command(
            "export", tmp_path / "run", "--to", tmp_path / "exported", "--format", "safetensors"
        )
        == 1
    )
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and error.startswith("error: ") and words in error
    assert content_of(tmp_path) == before and not (tmp_path / "exported").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{0}/run", "g002-07", "--format", "safetensors"], "holds no offspring g002-07"),
        (
            ["{0}/run", "../g002", "--format", "safetensors"],
            "an offspring is named like g001-00, but got '../g002'",
        ),
        (
            ["{0}/nowhere", "--format", "safetensors"],
            "expected a folder or the id of an experiment",
        ),
        (
            ["{0}/run"],
            "without --task FILE.py:FUNCTION, which makes the task, there is no other format",
        ),
        (["{0}/run", "--no-onnx", "--int8"], "nothing to calibrate and judge an 8-bit network on"),
        (
            ["{0}/run", "--format", "onnx,tflite", "--task", "{0}/trial.py:make_task"],
            "formats are onnx, pt2, but got 'tflite'",
        ),
        (
            ["{0}/run", "--task", "trial"],
            "--task takes FILE.py:FUNCTION or MODULE:FUNCTION, but got 'trial'",
        ),
        (["{0}/run", "--task", "{0}/nowhere.py:make_task"], "cannot be used: no file at"),
        (
            ["{0}/run", "--task", "no_such_module:make_task"],
            "ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (["{0}/run", "--task", "{0}/trial.py:make"], "has no attribute 'make'"),
        (
            ["{0}/run", "--task", "{0}/trial.py:failing"],
            "cannot be used: OSError: no data in /nowhere",
        ),
        (
            ["{0}/run", "--task", "{0}/trial.py:no_task"],
            "must make an nni_stress.Task, but made int",
        ),
        (["{0}/run", "--task", "trials.lenet5:make_task"], "holds another network"),
        (
            ["{0}/run", "--task", "tests.unit.cli.test_export:run_at_once"],
            "cannot be used: this is a trial: NNI runs it",
        ),
    ],
)
def test_wrong_arguments_are_reported_in_one_line(
    arguments, words, lineage, tmp_path, capsys, monkeypatch
):
    for name in [name for name in os.environ if name.startswith("NNI_")]:
        monkeypatch.delenv(name)
    before = content_of(tmp_path)
    filled = [argument.format(tmp_path) for argument in arguments]
    assert command("export", *filled, "--to", tmp_path / "exported") == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and error.startswith("error: ") and words in error
    assert {k: v for k, v in content_of(tmp_path).items() if "__pycache__" not in str(k)} == before
    assert not [path for path in tmp_path.iterdir() if "exported" in path.name]


def run_at_once():
    """Run a trial, as a script does that has no `if __name__ == "__main__"`."""
    from nni_stress import run_trial

    run_trial(network)


def test_a_folder_in_use_is_not_touched(lineage, tmp_path, capsys):
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "mine").write_text("mine")
    assert (
        command("export", lineage.folder, "--to", tmp_path / "exported", "--format", "safetensors")
        == 1
    )
    assert "exported already exists, and is not an empty folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "exported").iterdir()] == ["mine"]


def test_a_missing_package_is_named_and_nothing_is_left(lineage, tmp_path):
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"  # it cannot be imported any more
        "from nni_stress.__main__ import main; main()"
    )
    arguments = ["run", "--to", "exported", "--task", "trial.py:make_task"]
    done = subprocess.run(
        [sys.executable, "-c", code, "export", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: an ONNX file needs onnxscript and onnxruntime, but onnxruntime is missing: "
        "pip install nni-stress[onnx]\n"
    )
    assert not [path for path in tmp_path.iterdir() if "exported" in path.name]


class Bomb:
    def __reduce__(self):
        return open, (self.path, "w")


def test_a_network_file_runs_no_code(lineage, tmp_path, capsys):
    """The network file of a hostile lineage is a pickle, with the digest in its record."""
    bomb = Bomb()
    bomb.path = str(tmp_path / "went off")
    file = lineage.network_path("g002-01")
    file.write_bytes(pickle.dumps(bomb))
    write_json(
        file.with_name("record.json"),
        lineage.record("g002-01")._replace(digest=digest(file))._asdict(),
    )
    task = f"{tmp_path / 'trial.py'}:make_task"
    assert command("export", lineage.folder, "--to", tmp_path / "exported", "--task", task) == 1
    assert "damaged or not a network file" in capsys.readouterr().err
    assert not (tmp_path / "went off").exists() and not (tmp_path / "exported").exists()
    pickle.loads(file.read_bytes()).close()  # to load it as a pickle would run code
    assert (tmp_path / "went off").exists()


UNKNOWN_TO_ONNX = """
class Network(nn.Linear):
    def forward(self, values):
        return torch.special.bessel_j0(super().forward(values))


def make_odd_task():
    return Task(lambda: Network(4, 3), torch.rand(4, 4), lambda generator: [(torch.rand(4, 4), 0)],
                functional.cross_entropy, lambda network, split: 1.0, 1, 0.1)
"""


def test_a_format_that_fails_leaves_the_others_and_one_line(tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    file = tmp_path / "odd.py"
    file.write_text(TASK + UNKNOWN_TO_ONNX)
    odd = load_task(f"{file}:make_odd_task")
    lineage = Lineage(tmp_path / "lineage")
    lineage.update_state(**Rules(4, 0.01)._asdict())
    record = Record("g000-00", 0, None, {}, 0.9, 0.9, 15, 12, 1.0, None, {}, {})
    lineage.add(record, lambda path: serialization.save(odd.network(), path))
    target = tmp_path / "exported"
    arguments = ["--task", f"{file}:make_odd_task", "--format", "onnx,pt2", "--int8"]
    assert command("export", lineage.folder, "g000-00", "--to", target, *arguments) == 1
    shown = capsys.readouterr()
    assert len(shown.err.splitlines()) == 1
    assert "not written: network.onnx, network.int8.onnx (torch.onnx cannot write" in shown.err
    assert "network.pt2: " in shown.out and str(target) in shown.out
    files = {"network.safetensors", "network.pt2"}
    assert {path.name for path in target.iterdir()} == files | {"record.json", "ancestors.json"}
    assert set(json.loads((target / "record.json").read_text())["files"]) == files
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".exported")]
