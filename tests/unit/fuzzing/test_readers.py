"""Whatever a reader is given, it takes it or refuses it in one line, and never takes long."""

import os
import re
import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import nni_stress
from nni_stress.exceptions import DamagedFileError, LaunchError
from nni_stress.utils.messages import one_line
from tests.helpers.limits import within

from .readers import READERS, Given, written

SHORT = settings(max_examples=15, derandomize=True)
LONG = settings(max_examples=int(os.environ.get("NNI_STRESS_EXAMPLES", 1000)))
_ACCIDENTS = re.compile(
    "(Type|Key|Index|Attribute|Overflow|ZeroDivision|Recursion|UnboundLocal|Assertion)Error"
)
_OURS = Path(nni_stress.__file__).parents[1]


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    return Given(tmp_path_factory.mktemp("given"))


def check_refusal(error, reader):
    """One of this package's own errors, in one line, which names the file if there is one."""
    line = one_line(error)
    assert "\n" not in line and len(line) < 2500
    if not reader.is_named:
        raised = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        assert isinstance(error, (ValueError, TypeError)) and raised.is_relative_to(_OURS), line
    else:
        assert isinstance(error, (DamagedFileError, LaunchError)), repr(error)
        # What a file names in a search space is told by the experiment that names the file.
        names = (reader.file, reader.file.replace("space.yml", "stress.yml"))
        assert any(Path(name).name in line for name in names), line
    assert not _ACCIDENTS.search(line), line


def run(name, valid, effort):
    reader = READERS[name]

    @settings(
        effort,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(reader.contents(valid))
    def check(content):
        try:
            with within(60):
                if reader.file is None:
                    reader.read(content)
                else:
                    with written(valid.folder / reader.file, content):
                        reader.read(valid.folder)
        except Exception as error:
            check_refusal(error, reader)

    check()


@pytest.mark.parametrize("name", READERS)
def test_a_few_contents(name, valid):
    run(name, valid, SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_contents(name, valid):
    run(name, valid, LONG)
