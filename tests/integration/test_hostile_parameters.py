"""Parameters of a message name neither code nor files nor folders, for a trial."""

import shlex
import sys
from pathlib import Path

from nni_stress.experiment import launch

ROOT = Path(__file__).parents[2]
TUNER = """
from nni.tuner import Tuner

class Hostile(Tuner):
    def __init__(self, parameters):
        self.parameters = parameters

    def update_search_space(self, space):
        pass

    def generate_parameters(self, parameter_id, **kwargs):
        return self.parameters
"""


def test_hostile_parameters_run_nothing_and_write_nowhere(tmp_path, port):
    touched, elsewhere = tmp_path / "touched", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "state.json").write_text("{ of another program")
    (tmp_path / "hostile.py").write_text(TUNER)
    code = {"task": "os:system", "task_arguments": {"command": f"touch {touched}"}}
    founder = {"founder": str(elsewhere / "state.json")}
    spec = {"uid": "g000-00", "generation": 0, "ancestor": None, "seed": 1, "arguments": {}}
    delivery = {"incarnation": 0, "attempt": "0.0", "lineage": str(elsewhere)}
    parameters = {**code, **founder, **spec, **delivery}
    arguments = ["--data", "digits", "--founder", str(tmp_path / "founder")]
    python = Path(sys.executable).name
    config = {
        "searchSpace": {"unused": {"_type": "choice", "_value": [0]}},
        "trialCommand": shlex.join([python, "-m", "trials.lenet5", *arguments]),
        "trialCodeDirectory": str(ROOT),
        "trialConcurrency": 1,
        "maxTrialNumber": 1,
        "trainingService": {"platform": "local"},
        "tuner": {
            "className": "hostile.Hostile",
            "codeDirectory": str(tmp_path),
            "classArgs": {"parameters": parameters},
        },
    }
    experiment = launch.start(config, tmp_path / "run", port)
    try:
        experiment.follow(lambda: None)
    finally:
        experiment.stop()
    (output,) = experiment.folder.glob("environments/*/trials/*/trial.stderr")
    assert not touched.exists() and not (tmp_path / "founder").exists(), output.read_text()
    assert [path.name for path in elsewhere.iterdir()] == ["state.json"]
    assert "must be that of experiment" in output.read_text()
