"""`status` and `export` of a lineage that someone else made: an answer at once, never a secret."""

import json
import os

import pytest

from nni_stress.evolution.rules import Rules
from nni_stress.lineage.read_only import LineageView
from nni_stress.lineage.store import Lineage, Record
from nni_stress.utils.atomic_files import write_json
from tests.helpers.limits import within
from tests.integration.test_starting_files import command

RECORD = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
SMALL = RECORD._replace(uid="g001-00", generation=1, ancestor="g000-00", synapses=500, efficiency=2)


@pytest.fixture
def lineage(tmp_path):
    found = Lineage(tmp_path / "lineage")
    for record in (RECORD, SMALL):
        found.add(record, lambda path: path.write_bytes(b"network"))
    found.update_state(**Rules(4, 0.01)._asdict(), population_size=1, generation=1)
    for number, uid in enumerate(("g000-00", "g001-00")):
        plan = {"offspring": [], "suggestions": [], "closed": [uid]}
        found.write_generation(number, plan)
    (tmp_path / "secret").write_text("secret")
    return found


def replaced_by(make):
    def damage(file):
        if file.is_dir():
            file.rename(file.with_name("elsewhere"))
        else:
            file.unlink()
        make(file)

    return damage


def changed(**changes):
    def damage(file):
        write_json(file, {**json.loads(file.read_text()), **changes})

    return damage


def linked_network(file):
    changed(digest=None)(file)
    replaced_by(lambda path: path.symlink_to("../../../secret"))(
        file.parent / "network.safetensors"
    )


def linked_folder(file):
    changed(digest=None)(file)
    file.parent.rename(file.parents[3] / "elsewhere")
    file.parent.symlink_to("../../elsewhere")


DAMAGES = {
    "FIFO": (replaced_by(os.mkfifo), "record.json must be a regular file, but is a FIFO"),
    "folder": (replaced_by(os.mkdir), "record.json must be a regular file, but is a folder"),
    "device": (
        replaced_by(lambda path: path.symlink_to("/dev/zero")),
        "record.json must be a regular file, but is a device",
    ),
    "holes": (lambda path: os.truncate(path, 6 * 10**9), "bytes, but has 6,000,000,000"),
    "long curve": (changed(curve=[0.5] * 20_000), "curve must be a list of at most 10,000"),
    "huge": (changed(curve=[0.1234567] * 10**6), "record.json must have at most 4,194,304 bytes"),
    "digits": (
        lambda path: path.write_text(path.read_text().replace("5000", "9" * 5000)),
        "whole numbers must have at most 100 digits",
    ),
    "depth": (
        lambda path: path.write_text(path.read_text().replace("{}", "[" * 5000 + "]" * 5000)),
        "record.json is damaged: ",
    ),
    "digest": (changed(digest=["x"]), "digest must be a text"),
    "linked network": (linked_network, "network.safetensors must be a regular file, but is a symb"),
    "linked folder": (linked_folder, "a symbolic link leads out of it"),
    "network of holes": (
        lambda path: os.truncate(path.parent / "network.safetensors", 6 * 10**9),
        "network.safetensors must have at most",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_offspring_is_named_at_once(name, lineage, tmp_path, capsys):
    damage, words = DAMAGES[name]
    damage(lineage.folder / "offspring" / "g001-00" / "record.json")
    for uid in ([], ["g001-00"]):
        with within():
            assert command("export", lineage.folder, *uid, "--to", tmp_path / "to", "--no-onnx")
        error = capsys.readouterr().err
        assert words in error and len(error.splitlines()) == 1 and len(error) < 2500
        assert not (tmp_path / "to").exists()
    with within():
        assert command("status", lineage.folder, "--html", tmp_path / "page.html") == 0
    output = capsys.readouterr().out
    about_network = "network" in name or "linked" in name
    assert about_network or "damaged, left unchanged:\n  offspring/g001-00" in output


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize(
    "name", ["generations/g001.json", "failures/g001-01.json", "attempts/g001-01.0.0", "tuner.lock"]
)
def test_other_files_of_a_lineage_block_nothing(make, name, lineage, capsys):
    lineage.add_failure("g001-01", "no memory")
    lineage.claim("g001-01", "0.0", "job")
    (lineage.folder / "tuner.lock").touch()
    replaced_by(make)(lineage.folder / name)
    with within():
        assert command("status", lineage.folder) == 0
        view = LineageView(lineage.folder)
        assert view.claims_of("another job") == [] and not view.is_under_way()
        assert view.taker("g001-01", 0) in ("job", "")
    listed = name in capsys.readouterr().out
    assert listed == name.endswith(".json")


@pytest.mark.parametrize("content", ["{", "[]", '{"incarnation": "x"}', '{"generations": []}'])
def test_a_damaged_state_is_named(content, lineage, tmp_path, capsys):
    (lineage.folder / "state.json").write_text(content)
    for arguments in (["status"], ["export", "--no-onnx", "--to", tmp_path / "to"]):
        assert command(arguments[0], lineage.folder, *arguments[1:]) == 1
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1 and "state.json" in error
