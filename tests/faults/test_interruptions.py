"""The real nnictl, interrupted: the lineage goes on where it was, and comes to the same survivors."""

import random

import pytest

from nni_stress.lineage.store import Lineage
from tests.faults.campaign import DOWN, Campaign


def records(folder):
    return [
        record._replace(seconds={}) for record in Lineage(folder / "disk" / "lineage").records()
    ]


@pytest.mark.slow
def test_interrupted_at_ten_random_moments_an_evolution_has_the_same_survivors(tmp_path, port):
    whole = Campaign(tmp_path / "whole", 5, [], port).run()
    chance = random.Random(5)
    interruptions = [chance.choice((*DOWN, "trial killed from outside")) for _ in range(10)]
    parts = Campaign(tmp_path / "parts", 5, interruptions, port)
    result = parts.run()
    assert whole["outcome"] == result["outcome"] == "DONE", (whole, result)
    assert len(parts.faults) == 10
    assert records(tmp_path / "parts") == records(tmp_path / "whole") != []
