"""The examples in docstrings run, and every public name has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import nni_stress
import reports
import trials

ALIASES = ("nni_stress.trials.", "nni_stress.reports.")  # the same files as trials, reports


def modules():
    """Names of all modules; those that a command runs at import are left out."""
    for package in (nni_stress, reports, trials):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(part in module.name for part in ("__main__", "templates", *ALIASES)):
                yield module.name


@pytest.mark.parametrize("name", sorted(modules()))
def test_the_examples_of_a_module_run(name):
    failures, _ = doctest.testmod(importlib.import_module(name))
    assert failures == 0


@pytest.mark.parametrize("name", nni_stress.__all__)
def test_a_public_name_has_an_example(name):
    assert ">>> " in inspect.getdoc(getattr(nni_stress, name))
