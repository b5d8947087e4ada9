"""The command line as a whole."""

import importlib.metadata
import re

import pytest

import nni_stress
from nni_stress import __main__


def test_the_version_is_that_of_the_installed_package(capsys):
    with pytest.raises(SystemExit) as end:
        __main__.main(["--version"])
    assert end.value.code == 0
    version = importlib.metadata.version("nni-stress")
    assert capsys.readouterr().out == f"nni-stress {version}\n"
    assert nni_stress.__version__ == version and "__version__" in dir(nni_stress)


def test_a_package_that_was_not_installed_has_no_known_version(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert nni_stress.__version__ == "unknown"


def test_every_command_has_help(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["--help"])
    shown = capsys.readouterr().out
    assert set(__main__.COMMANDS) <= set(re.findall(r"^    (\w+)", shown, re.MULTILINE))
