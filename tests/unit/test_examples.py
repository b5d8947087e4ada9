"""The examples in docstrings run, and every public name has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import nni_stress
import reports
import trials


def modules():
    """Names of all modules; those that a command runs at import are left out."""
    for package in (nni_stress, reports, trials):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "__main__" not in module.name and "templates" not in module.name:
                yield module.name


@pytest.mark.parametrize("name", sorted(modules()))
def test_the_examples_of_a_module_run(name):
    failures, _ = doctest.testmod(importlib.import_module(name))
    assert failures == 0


@pytest.mark.parametrize("name", nni_stress.__all__)
def test_a_public_name_has_an_example(name):
    assert ">>> " in inspect.getdoc(getattr(nni_stress, name))
