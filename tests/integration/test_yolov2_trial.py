"""YOLOv2: training of its founder, an evolution through nnictl, and comparison of the result."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import pytest
import torch
import yaml

from nni_stress.evolution.rules import Rules
from nni_stress.experiment.config_file import read as read_config
from nni_stress.graph import serialization
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.trial.founding import make_founder
from nni_stress.trial.offspring import make_offspring
from tests.helpers.folders import write_idx, write_kitti, write_voc
from tests.integration.test_alexnet import trial
from tests.unit.trials.test_darknet import BACKBONE, random_convolutions, write
from trials.data.detection_folders import VOC_CLASSES
from trials.data.garments import CLASSES
from trials.founders import train_founder
from trials.models import yolov2
from trials.yolov2 import main, make_task, training_sizes, with_initial_weights

ROOT = Path(__file__).parents[2]
SMALL = {"size": 64, "width": 0.125, "batch_size": 8, "founder_epochs": 5, "scenes": 64}
OPTIONS = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folder of Fashion-MNIST's files, with random pixels."""
    folder = tmp_path_factory.mktemp("data")
    write_idx(folder, True)
    return str(folder)


@pytest.fixture(scope="module")
def evolved(data, tmp_path_factory):
    """Task, founder's file and lineage of an evolution of one generation."""
    folder = tmp_path_factory.mktemp("run")
    task = make_task("scenes", data, **SMALL)
    lineage = Lineage(folder / "lineage")
    train_founder(task, folder / "founder", quiet=True)
    make_founder(task, trial(FOUNDER), lineage, folder / "founder")
    make_offspring(
        task,
        trial(
            "g001-00",
            environmental_factor=0.03,
            stress_epochs=1,
            recovery_epochs=1,
            candidates=3,
            learning_rate=1e-3,
        ),
        lineage,
    )
    lineage.update_state(**Rules(1, 1.0)._asdict(), population_size=1)
    for number, closed in enumerate([[FOUNDER], ["g001-00"]]):
        lineage.write_generation(number, {"offspring": [], "suggestions": [], "closed": closed})
    return task, folder / "founder", lineage


@pytest.mark.slow
def test_a_founder_trained_beforehand_has_small_offspring(evolved):
    task, file, lineage = evolved
    founder, offspring = lineage.record(FOUNDER), lineage.record("g001-00")
    assert founder.validation == task.fidelity(serialization.load(file, task.network), "validation")
    assert 33 < offspring.efficiency < 35 and offspring.macs < founder.macs
    small = serialization.load(lineage.network_path("g001-00"), task.network)
    assert small(torch.zeros(2, 3, 96, 128)).shape == (2, 5 * (5 + 10), 3, 4)
    inputs, targets = task.screening
    assert inputs.shape == (500, 3, 64, 64)
    with torch.no_grad():
        trained, untrained = (
            sum(task.loss.terms(network.eval()(inputs), targets)[:3])  # random pixels show no class
            for network in (serialization.load(file, task.network), task.network())
        )
    assert trained < 0.8 * untrained


@pytest.mark.slow
def test_founder_and_survivor_are_compared_by_a_picture_and_a_table(
    evolved, data, tmp_path, capsys
):
    _, _, lineage = evolved
    before = {path: path.read_bytes() for path in lineage.folder.rglob("*") if path.is_file()}
    main(
        [
            *OPTIONS,
            "--data-dir",
            data,
            "--compare",
            str(lineage.folder.parent),
            "--to",
            str(tmp_path / "new" / "compared"),
        ]
    )
    table = (tmp_path / "new" / "compared" / "precision.txt").read_text()
    assert table == capsys.readouterr().out
    head, *rows, mean = table.splitlines()
    survivor = lineage.record("g001-00")
    assert head.split() == ["class", "founder", "g001-00,", f"{survivor.efficiency:.1f}x"]
    assert [row.split()[0] for row in rows] == [name.split()[0] for name in CLASSES]
    assert mean.split() == ["mean", f"{lineage.record(FOUNDER).test:.3f}", f"{survivor.test:.3f}"]
    height, width, _ = matplotlib.image.imread(
        tmp_path / "new" / "compared" / "detections.png"
    ).shape
    assert 2.7 < height / width < 3.3  # six rows, two columns
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.slow
def test_all_trials_have_the_same_anchors(evolved, data):
    task, other = evolved[0], make_task("scenes", data, **SMALL)
    assert task.loss.anchors == other.loss.anchors and len(task.loss.anchors) == 5
    larger = make_task("scenes", data, **{**SMALL, "size": 128})
    small_mean, large_mean = (torch.tensor(t.loss.anchors).mean() for t in (task, larger))
    assert 1.8 < large_mean / small_mean < 2.2  # anchors are in cells


def test_multi_scale_sizes_are_multiples_of_32_around_the_size(data):
    assert training_sizes(416) == tuple(range(320, 609, 32)) and training_sizes(64) == (64, 96)
    task = make_task("scenes", data, multi_scale=True, **{**SMALL, "scenes": 640, "batch_size": 2})
    sizes = {
        images.shape[-1]
        for (images, _), _ in zip(task.loader(torch.Generator().manual_seed(0)), range(100))
    }
    assert sizes == {64, 96} and task.example_input.shape[-1] == 64


def test_difficult_objects_are_used_neither_for_training_nor_for_screening(tmp_path):
    boxes = [("dog", 1, 1, 20 + 9 * n, 70 - 8 * n, 0) for n in range(5)]
    write_voc(tmp_path, objects=[*boxes, ("person", 5, 5, 60, 60, 1)])
    task = make_task("voc", str(tmp_path), 64, 0.0625, 4)
    dog = VOC_CLASSES.index("dog")
    assert set(task.screening[1][..., 0].flatten().tolist()) == {dog, -1}
    inputs, targets = next(iter(task.loader(torch.Generator().manual_seed(0))))
    assert {dog} <= set(targets[..., 0].flatten().tolist()) <= {dog, -1}
    assert torch.isfinite(task.loss(task.network()(inputs), targets))


@pytest.mark.slow
def test_a_founder_starts_from_the_part_of_darknets_weights_that_fits(evolved, tmp_path, capsys):
    convolutions = random_convolutions()
    for name, part in (
        ("other.weights", convolutions),
        ("backbone.weights", convolutions[:BACKBONE]),
    ):
        write(tmp_path / name, part)
        task = make_narrow(evolved)
        network = with_initial_weights(task, str(tmp_path / name)).network()
        assert torch.equal(network.fine[0][0].weight, torch.from_numpy(convolutions[0][4]).float())
        assert torch.equal(
            network.coarse[5][0].weight, torch.from_numpy(convolutions[17][4]).float()
        )
        assert f"starts from the backbone of {tmp_path / name}" in capsys.readouterr().out
    whole = (tmp_path / "other.weights").read_bytes()
    (tmp_path / "other.weights").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="is too short: the network has"):
        with_initial_weights(make_narrow(evolved), str(tmp_path / "other.weights")).network()


def make_narrow(evolved):
    """The task with a network as wide as the weights files of test_darknet."""
    return replace(evolved[0], network=lambda: yolov2(10, 0.0625))


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("voc needs a data folder, but none was named", ["--data=voc"]),
        ("data folder /nowhere does not exist", ["--data=kitti", "--data-dir=/nowhere"]),
        ("the size of scenes must be a multiple of 32, but got 100", ["--size=100"]),
        ("scenes need at least one scene and one garment, but got -1 and ", ["--scenes=-1"]),
        ("batch_size must lie between 1 and the 4 examples, but got 8", ["--scenes=4"]),
        ("width must be positive, but got -1.0", ["--width=-1"]),
        ("no weights file at /nowhere", ["--weights=/nowhere"]),
    ],
)
def test_errors_in_the_founders_training_are_one_line(words, arguments, data, tmp_path):
    folder = [] if any("--data" in argument for argument in arguments) else ["--data-dir", data]
    with pytest.raises(SystemExit, match=f"^error: {words}") as error:
        main(
            [
                "--train-founder",
                "--founder",
                str(tmp_path / "founder"),
                *OPTIONS,
                *folder,
                *arguments,
            ]
        )
    assert "\n" not in str(error.value) and not (tmp_path / "founder").exists()


def test_data_with_too_few_images_or_boxes_are_refused(tmp_path):
    write_kitti(tmp_path, images=10)
    with pytest.raises(
        ValueError,
        match="kitti has 8 images to train with, too few to hold some out for validation",
    ):
        make_task("kitti", str(tmp_path), 64)
    write_kitti(tmp_path / "more")
    with pytest.raises(
        ValueError, match="5 anchors need at least as many different boxes, but got 1"
    ):
        make_task("kitti", str(tmp_path / "more"), 64)


def test_a_comparison_needs_a_lineage_and_a_folder(tmp_path, capsys):
    with pytest.raises(SystemExit, match="error: no lineage of"):
        main(["--compare", str(tmp_path), "--to", str(tmp_path / "compared")])
    with pytest.raises(SystemExit):
        main(["--compare", str(tmp_path)])
    assert "--compare and --to go together" in capsys.readouterr().err


def test_the_experiment_file_is_valid():
    config = read_config(ROOT / "trials" / "yolov2.yml")
    assert config["trialCodeDirectory"] == config["tuner"]["codeDirectory"] == str(ROOT)
    assert "environmental_factor" in config["searchSpace"]


@pytest.mark.slow
def test_an_evolution_of_yolov2_through_nnictl(data, tmp_path, port):
    config = yaml.safe_load((ROOT / "trials" / "yolov2.yml").read_text())
    options = [*OPTIONS, f"--data-dir={data}", f"--founder={tmp_path / 'founder'}"]
    config.update(
        trialCommand=f"python3 -m trials.yolov2 {' '.join(options)}",
        trialCodeDirectory=str(ROOT),
        searchSpaceFile="space.yml",
    )
    config["tuner"]["codeDirectory"] = str(ROOT)
    config["tuner"]["classArgs"].update(population_size=2, generations=1, tolerance=1.0)
    (tmp_path / "space.yml").write_text(
        yaml.safe_dump(
            {
                "environmental_factor": {"_type": "uniform", "_value": [0.05, 0.1]},
                "candidates": {"_type": "choice", "_value": [3]},
                "stress_epochs": {"_type": "choice", "_value": [0.5]},
                "recovery_epochs": {"_type": "choice", "_value": [1]},
            }
        )
    )
    (tmp_path / "yolov2.yml").write_text(yaml.safe_dump(config))

    def run(module, *arguments):
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
        )

    founder = run("trials.yolov2", "--train-founder", *options)
    assert founder.returncode == 0 and "epoch 5 of 5: validation" in founder.stdout + founder.stderr
    done = run(
        "trials.demo",
        "--config",
        tmp_path / "yolov2.yml",
        "--runs",
        tmp_path / "runs",
        "--port",
        port,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = Path(done.stdout.splitlines()[-1])
    records = Lineage(folder / "lineage").records()
    assert [record.uid for record in records] == ["g000-00", "g001-00", "g001-01"]
    assert all(record.efficiency > 9 for record in records[1:])
    compared = run("trials.yolov2", *options, "--compare", folder, "--to", tmp_path / "compared")
    assert compared.returncode == 0 and compared.stdout.splitlines()[-1].startswith("mean")
    exported = run(
        "nni_stress",
        "export",
        folder,
        "--to",
        tmp_path / "exported",
        "--task",
        f"{write_task(tmp_path, data)}",
    )
    assert exported.returncode == 0 and (tmp_path / "exported" / "network.onnx").exists(), (
        exported.stderr
    )


def write_task(folder, data):
    """Write a file with the task of these tests, and return the name of its function."""
    (folder / "task.py").write_text(
        "from trials.yolov2 import make_task as make\n\n\n"
        f"def make_task():\n    return make('scenes', {data!r}, **{SMALL!r})\n"
    )
    return f"{folder / 'task.py'}:make_task"
