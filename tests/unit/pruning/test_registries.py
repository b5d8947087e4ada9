"""Stressors and importances are found by the names that settings may have."""

import pytest

from nni_stress import hparams
from nni_stress.pruning.importances import IMPORTANCES
from nni_stress.pruning.stressors import STRESSORS
from nni_stress.pruning.stressors.base import Stressor
from nni_stress.utils.registry import load_entries


@pytest.mark.parametrize(
    ("registry", "names"), [(STRESSORS, hparams.STRESSORS), (IMPORTANCES, hparams.STRENGTHS)]
)
def test_each_name_of_the_settings_has_an_entry_of_that_name(registry, names):
    assert list(registry)[: len(names)] == list(names)  # other tests register their own
    assert all(entry.name == name for name, entry in registry.items())


def test_a_name_without_a_file_or_class_is_an_import_error():
    package = "nni_stress.pruning.stressors"
    with pytest.raises(ImportError, match="no_such_stressor"):
        load_entries(package, ["no_such_stressor"], Stressor)
    with pytest.raises(ImportError, match="must define a Stressor with name = 'base'"):
        load_entries(package, ["base"], Stressor)
