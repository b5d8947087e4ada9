"""Each reader of files and messages: what it may be given, and what must hold of its answer.

A reader returns if it took what it was given, having checked that what it took is sound; or it
raises one of this package's errors.
"""

import copy
import io
import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch
import yaml
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import nni_stress
from nni_stress import StressTuner
from nni_stress.evolution.ancestry import ancestry, best_survivor
from nni_stress.evolution.search import Search
from nni_stress.evolution.search_space import check_search_space, flat
from nni_stress.evolution.tuner_arguments import TunerArguments, check_arguments
from nni_stress.experiment import config_file
from nni_stress.hparams import Arguments
from nni_stress.lineage import nni_database
from nni_stress.lineage.record import parse_record
from nni_stress.lineage.store import Lineage
from nni_stress.lineage.trial_spec import TrialSpec
from nni_stress.trial.claim import ParameterSource, parse
from nni_stress.trial.inheritance import parse_origins
from nni_stress.utils.atomic_files import read_json, refuse_code
from nni_stress.visualization.html_page import page
from nni_stress.visualization.snapshot import overview
from nni_stress.visualization.text import status_text
from reports.contest.file import read_contest
from reports.contest.planted import Truth, plant
from reports.contest.records import collect
from reports.contest.report.facts import compare
from reports.contest.report.page import write_report
from reports.simulation import SPACE, SimulatedManager
from tests.helpers.folders import write_idx
from tests.helpers.running import config_of
from tests.unit.trials import test_darknet
from trials.data.grey import read_grey
from trials.data.image_files import load_image
from trials.models.darknet import load_darknet

from .strategies import VALUES, changed, damaged, json_files

SEARCH_SPACE = {
    **SPACE,
    "stressor": {"_type": "choice", "_value": ["silence", "weaken"]},
    "floor": {"_type": "randint", "_value": [1, 5]},
    "learning_rate": {"_type": "loguniform", "_value": [0.001, 0.01]},
    "strength": {
        "_type": "choice",
        "_value": [
            {"_name": "taylor", "redundancy": {"_type": "normal", "_value": [1.0, 0.5]}},
            {"_name": "l2"},
        ],
    },
}
SETTINGS = {
    "population_size": 2,
    "generations": 2,
    "tolerance": 0.2,
    "seed": 3,
    "search": "Random",
}


class Given:
    """Something valid of every kind, made once."""

    def __init__(self, folder):
        self.folder = folder
        self.lineage = folder / "lineage"
        manager = SimulatedManager(StressTuner(**SETTINGS, folder=str(self.lineage)))
        manager.run()
        assert manager.error is None
        Lineage(self.lineage).add_failure("g001-02", "no memory")
        self.contest = plant(folder / "contest", Truth(seeds=(1, 2), founders=(1, 2)))
        test_darknet.write(folder / "some.weights", test_darknet.random_convolutions())
        write_idx(folder / "digits", compress=True)
        (folder / "experiment").mkdir()
        self.experiment = config_of(folder / "experiment")
        self.spec = read_json(self.lineage / "generations" / "g001.json")["offspring"][0]
        self.spec = {
            **self.spec,
            "lineage": str(self.lineage),
            "incarnation": 0,
            "attempt": "0.0",
            "time_limit": 60,
        }

    def json(self, name):
        return read_json(self.folder / name)


class Reader:
    """A reader of what is no file; its errors are ValueErrors and TypeErrors of this package.

    Parameters
    ----------
    contents
        Makes what it is given, from what is `Given`.
    read
        Reads it.
    """

    file = None
    is_named = False

    def __init__(self, contents, read):
        self.contents = contents
        self.read = read


class FileReader(Reader):
    """A reader of a file, called with the folder of all files.

    Its errors name the file, unless they are those of a tuner, which reads all files of a lineage.
    """

    def __init__(self, file, contents, read):
        super().__init__(contents, read)
        self.file = file
        self.is_named = read is not resume


@contextmanager
def written(path, content):
    """Replace a file's content in the block."""
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


def read_record(folder):
    record = Lineage(folder / "lineage").record("g001-00")
    assert record is not None and parse_record(record._asdict(), "g001-00") == record


def show(folder):
    """Show a lineage in the terminal and as a page, and find its best network."""
    facts = overview(folder / "lineage")
    text = status_text(facts)
    assert "\x1b" not in text and len(text) < 200_000
    assert len(page(facts)) < 1_000_000
    lineage = Lineage(folder / "lineage")
    assert ancestry(lineage, best_survivor(lineage))


def resume(folder):
    """Go on with a lineage, in a copy of it; the tuner sets aside what is damaged."""
    with tempfile.TemporaryDirectory() as home:
        copy_of = Path(home) / "lineage"
        shutil.copytree(folder / "lineage", copy_of)
        os.environ["NNI_MODE"] = "resume"
        try:
            manager = SimulatedManager(StressTuner(**SETTINGS, folder=str(copy_of)))
        finally:
            del os.environ["NNI_MODE"]
        manager.run()
        if manager.error is not None:
            raise ValueError(manager.error)
        assert Lineage(copy_of).read_state()["finished"]
        assert set(overview(copy_of).damaged) <= {"failures/g001-02.json"}  # that is not used


def read_database(text):
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table ExperimentProfile (params, id, revision)")
        connection.execute("insert into ExperimentProfile values (?, 'x', 1)", (text,))
        assert isinstance(nni_database.experiment_config(connection, "x"), dict)
    connection.close()


def small():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


SHAPES = {
    "0": {"in_channels": 1, "out_channels": 4, "groups": 1},
    "1": {"num_features": 4},
    "3": {"in_features": 4, "out_features": 2},
}


def network_files(given):
    """Network files with changed metadata or damaged bytes."""
    state = small().state_dict()

    def saved(metadata):
        return safetensors.torch.save(state, {"nni_stress": metadata.decode("utf-8", "replace")})

    return st.one_of(
        json_files(SHAPES).map(saved), damaged(st.just(saved(json.dumps(SHAPES).encode())))
    )


def load_network(folder):
    network = nni_stress.load(folder / "network.safetensors", small)
    assert network(torch.ones(2, 1, 3, 3)).shape == (2, 2)
    nni_stress.save(network, folder / "again.safetensors")
    again = nni_stress.load(folder / "again.safetensors", small)
    assert repr(again) == repr(network)


def image(format):
    file = io.BytesIO()
    Image.new("RGB", (20, 12), "red").save(file, format)
    return file.getvalue()


def as_yaml(data):
    try:
        return yaml.safe_dump(data, allow_unicode=True).encode("utf-8", "surrogatepass")
    except (RecursionError, yaml.YAMLError):
        return b"- " * 3000


def yaml_files(valid):
    plain = changed(valid).map(as_yaml)
    return st.one_of(plain, plain, damaged(plain), st.binary(max_size=60))


def suggest(space):
    """Suggestions from a search space that is not refused are within all bounds."""
    refuse_code(space)
    check_search_space(space)
    search = Search("Random")
    search.probe(space)
    for suggestion in search.suggestions(space, [], 5, seed=0):
        Arguments.from_mapping(flat(suggestion))


def check_spec(message):
    spec = parse(message, ParameterSource.TUNER)
    if spec is not None:
        assert asdict(TrialSpec.from_message(spec.to_message())) == asdict(spec)
        spec.hyperparameters()


def check_tuner_arguments(arguments):
    check_arguments(arguments)
    TunerArguments(**arguments).rules()


def receive(value):
    """Metrics that a tuner is sent never end the experiment."""
    with tempfile.TemporaryDirectory() as home:
        tuner = StressTuner(**SETTINGS, folder=str(Path(home) / "lineage"))
        tuner.update_search_space(SPACE)
        sent = []
        tuner.generate_multiple_parameters([0], st_callback=lambda *each: sent.append(each))
        tuner.receive_trial_result(0, value, value)
        tuner.receive_trial_result(value, "", value)
        tuner.trial_end(value, False)
        assert tuner.barrier.error is None and len(sent) == 1


def report(folder):
    """Report on a contest; what is damaged is a line of the page."""
    page = write_report(compare(collect(folder / "contest")), folder / "contest")
    assert "<script" not in page.read_text()


_CELL = "cells/parameters/10x/L1NormPruner/1.json"
_LINEAGE = ("state.json", "generations/g001.json", "offspring/g001-00/record.json")

READERS = {
    "record": FileReader(
        "lineage/offspring/g001-00/record.json",
        lambda given: json_files(given.json("lineage/offspring/g001-00/record.json")),
        read_record,
    ),
    **{
        f"{read.__name__} {name}": FileReader(
            f"lineage/{name}",
            lambda given, name=name: json_files(given.json(f"lineage/{name}")),
            read,
        )
        for name in (*_LINEAGE, "failures/g001-02.json")
        for read in (show, resume)
    },
    "origins": FileReader(
        "origins.json",
        lambda given: json_files({"0": [0, 2], "3": [0, 1]}),
        lambda folder: parse_origins(folder / "origins.json"),
    ),
    "network": FileReader("network.safetensors", network_files, load_network),
    "experiment": FileReader(
        "experiment/stress.yml",
        lambda given: yaml_files(
            {**yaml.safe_load(given.experiment.read_text()), "maxExperimentDuration": "1h"}
        ),
        lambda folder: config_file.read(folder / "experiment" / "stress.yml"),
    ),
    "search space file": FileReader(
        "experiment/space.yml",
        lambda given: st.one_of(yaml_files(SEARCH_SPACE), json_files(SEARCH_SPACE)),
        lambda folder: config_file.read(folder / "experiment" / "stress.yml"),
    ),
    "weights": FileReader(
        "some.weights",
        lambda given: damaged(st.just((given.folder / "some.weights").read_bytes())),
        lambda folder: load_darknet(test_darknet.small(), folder / "some.weights"),
    ),
    "image": FileReader(
        "image.png",
        lambda given: damaged(st.sampled_from([image("png"), image("jpeg"), image("gif")])),
        lambda folder: load_image(str(folder / "image.png")),
    ),
    "digits": FileReader(
        "digits/train-images-idx3-ubyte.gz",
        lambda given: damaged(
            st.just((given.folder / "digits" / "train-images-idx3-ubyte.gz").read_bytes())
        ),
        lambda folder: read_grey("mnist", str(folder / "digits")),
    ),
    "contest": FileReader(
        "contest/contest.yml",
        lambda given: yaml_files(yaml.safe_load((given.contest / "contest.yml").read_text())),
        lambda folder: read_contest(folder / "contest" / "contest.yml"),
    ),
    "contest's founder": FileReader(
        "contest/founders/1.json",
        lambda given: json_files(given.json("contest/founders/1.json")),
        report,
    ),
    "contest's cell": FileReader(
        f"contest/{_CELL}", lambda given: json_files(given.json(f"contest/{_CELL}")), report
    ),
    "database": Reader(
        lambda given: st.one_of(
            json_files({"tuner": {"name": "Stress"}}).map(lambda text: text.decode("latin-1")),
            st.none(),
            st.integers(-5, 5),
            st.binary(max_size=9),
        ),
        read_database,
    ),
    "search space": Reader(lambda given: changed(SEARCH_SPACE), suggest),
    "tuner's arguments": Reader(
        lambda given: changed({**SETTINGS, "constraints": {"macs": 0.5}, "time_limit": 60}),
        lambda data: check_tuner_arguments(data if isinstance(data, dict) else {}),
    ),
    "trial's parameters": Reader(lambda given: changed(copy.deepcopy(given.spec)), check_spec),
    "metrics": Reader(
        lambda given: st.one_of(VALUES, changed({"uid": "g000-00", "default": 0.9})), receive
    ),
}
