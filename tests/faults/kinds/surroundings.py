"""Surroundings that are unusual: no HOME, long and odd paths."""

import os

from tests.faults.configuration import ROOT
from tests.faults.experiment import FaultyExperiment
from tests.faults.kinds.kills import everything
from tests.faults.registry import fault

ODD = (
    "a folder with spaces",
    'it\'s "quoted"',
    "number #1 & (more); $HOME",
    "größer 漢字 ñ",
    "100% of -- it",
    "x" * 200,
    "back\\slash and `tick`",
)


def _no_home(run: FaultyExperiment) -> None:
    os.environ.pop("HOME", None)


@fault("HOME unset", prepare=_no_home)
def no_home(run: FaultyExperiment) -> str:
    return everything(run)


def _register(name: str) -> None:
    def prepare(run: FaultyExperiment) -> None:
        run.move_to(run.folder / name)
        run.folder.mkdir(parents=True)
        code = run.folder / "code"
        code.mkdir()
        run.config["trialCodeDirectory"] = str(code)
        os.environ["PYTHONPATH"] = str(ROOT)

    @fault(f"path {name if len(name) < 60 else 'of 200 characters'}", prepare=prepare)
    def odd_path(run: FaultyExperiment) -> str:
        return everything(run)


for each in ODD:
    _register(each)
