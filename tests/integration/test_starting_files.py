"""The files that `init` writes run with the real nnictl, manager, tuner and trials."""

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml

import nni_stress
from nni_stress.__main__ import main
from nni_stress.cli import init
from nni_stress.experiment import launch
from nni_stress.experiment.config_file import read as read_config
from nni_stress.experiment.trial_check import SWITCH
from nni_stress.lineage.locate import find_lineage
from nni_stress.lineage.store import Lineage
from nni_stress.trial.task import load_task
from tests.integration.test_experiment import no_process_is_left


def command(name, *arguments):
    """Run `python -m nni_stress` in this process, and return its exit status."""
    try:
        main([name, *map(str, arguments)])
    except SystemExit as end:
        print(end.code, file=sys.stderr)
        return 1
    return 0


def make_short(folder):
    config = yaml.safe_load((folder / "stress.yml").read_text())
    config["tuner"]["classArgs"].update(
        population_size=2, generations=1, tolerance=0.05, maturation_epochs=1
    )
    (folder / "stress.yml").write_text(yaml.safe_dump(config))
    space = yaml.safe_load((folder / "search_space.yml").read_text())
    space.update(
        stress_epochs={"_type": "choice", "_value": [0.5]},
        recovery_epochs={"_type": "choice", "_value": [1]},
    )
    (folder / "search_space.yml").write_text(yaml.safe_dump(space))


def test_the_starting_experiment_evolves_and_its_network_is_exported(
    tmp_path, port, capsys, monkeypatch
):
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = tmp_path / "my experiment"
    assert command("init", folder) == 0
    said = capsys.readouterr().out
    assert said.index("python3 trial.py --check") < said.index("nnictl create --config stress.yml")
    make_short(folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(nni_stress.__file__).parents[1]))
    monkeypatch.delenv(SWITCH)
    experiment = launch.start(read_config(folder / "stress.yml"), tmp_path / "run", port)
    try:
        experiment.follow(lambda: None)
    finally:
        experiment.stop()
    founder, *offspring = Lineage(find_lineage(experiment.folder)).records()
    assert founder.validation > 0.9
    assert [record.uid for record in offspring] == ["g001-00", "g001-01", "g002-00"]
    assert all(record.efficiency > 1.5 for record in offspring)

    target = tmp_path / "exported"
    made_by = f"{folder / 'trial.py'}:make_task"
    assert command("export", experiment.folder, "g001-01", "--to", target, "--task", made_by) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(target)
    assert json.loads((target / "record.json").read_text())["synapses"] == offspring[1].synapses
    task = load_task(made_by)
    network = nni_stress.load(target / "network.safetensors", task.network).eval()
    assert task.fidelity(network, "test") == offspring[1].test
    session = onnxruntime.InferenceSession(
        str(target / "network.onnx"), providers=["CPUExecutionProvider"]
    )
    images = task.screening[0][:5]
    (answer,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    assert torch.allclose(torch.from_numpy(answer), network(images), atol=1e-4)
    assert no_process_is_left(tmp_path)


def test_files_are_replaced_only_with_force(tmp_path, capsys):
    mine = tmp_path / "trial.py"
    mine.write_text("mine")
    assert command("init", tmp_path) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and "already holds trial.py" in error and "--force" in error
    assert list(tmp_path.iterdir()) == [mine] and mine.read_text() == "mine"
    assert command("init", tmp_path, "--force") == 0
    assert "run_trial" in mine.read_text() and {path.name for path in tmp_path.iterdir()} == set(
        init.NAMES
    )


@pytest.mark.parametrize(
    ("there", "arguments", "words"),
    [
        ("file", ["file"], "file is not a folder"),
        ("a", ["b", "--epochs", "3"], "--epochs needs --times, which says how small"),
        ("a", ["b", "--times", "1"], "times must be a number above 1, but got 1.0"),
        ("a/trial.py/b", ["a", "--force"], "trial.py is a folder, where a file is to be written"),
    ],
)
def test_a_blocked_target_is_reported_in_one_line(
    there, arguments, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path(there).parent.mkdir(parents=True, exist_ok=True)
    Path(there).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert command("init", *arguments) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and words in error
    assert sorted(tmp_path.rglob("*")) == before and Path(there).read_text() == "mine"


def test_the_written_files_are_valid_and_the_trial_is_short(tmp_path):
    init.write_starting_files(tmp_path)
    config = read_config(tmp_path / "stress.yml")
    assert (
        config["trialCommand"] == "python3 trial.py"
        and config["tuner"]["className"] == "nni_stress.StressTuner"
    )
    text = (tmp_path / "trial.py").read_text()
    assert "trials" not in text and len(text.splitlines()) < 60


def test_a_budget_replaces_the_generations(tmp_path):
    assert command("init", tmp_path, "--times", 8, "--epochs", 6) == 0
    config = read_config(tmp_path / "stress.yml")
    expected = nni_stress.for_budget(8.0, 6.0)
    assert config["searchSpace"] == expected.pop("space")
    given = config["tuner"]["classArgs"]
    assert given.pop("resource") == "macs" and given.pop("seed") == 1
    assert given == expected
