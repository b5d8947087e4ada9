"""The registries have exactly the names that settings may have, which are read without torch."""

import pytest

from nni_stress import hparams
from nni_stress.pruning.functional.stress import SHAPES
from nni_stress.pruning.importances import IMPORTANCES
from nni_stress.pruning.stressors import STRESSORS


@pytest.mark.parametrize(
    ("registry", "names"),
    [
        (STRESSORS, hparams.STRESSORS),
        (IMPORTANCES, hparams.STRENGTHS),
        (SHAPES, hparams.SHAPES),
    ],
)
def test_a_registry_has_the_names_that_settings_may_have(registry, names):
    assert set(registry) == set(names)


@pytest.mark.parametrize("registry", [STRESSORS, IMPORTANCES])
def test_each_entry_is_registered_under_its_own_name(registry):
    assert all(entry.name == name for name, entry in registry.items())
