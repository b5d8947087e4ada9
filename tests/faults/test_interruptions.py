"""Interruptions of the real nnictl: the lineage resumes, and comes to the same survivors."""

import random

import pytest

from nni_stress.lineage.store import Lineage
from tests.faults.campaign import DOWN, Campaign


def records(folder):
    """Records of a campaign's lineage without their times."""
    lineage = Lineage(folder / "disk" / "lineage")
    return [record._replace(seconds={}) for record in lineage.records()]


@pytest.mark.slow
def test_an_evolution_interrupted_ten_times_has_the_same_survivors(tmp_path, port):
    uninterrupted = Campaign(tmp_path / "uninterrupted", 5, [], port).run()
    chance = random.Random(5)
    interruptions = [chance.choice((*DOWN, "trial killed from outside")) for _ in range(10)]
    campaign = Campaign(tmp_path / "interrupted", 5, interruptions, port)
    result = campaign.run()
    assert uninterrupted["outcome"] == result["outcome"] == "DONE", (uninterrupted, result)
    assert len(campaign.faults) == 10
    assert records(tmp_path / "interrupted") == records(tmp_path / "uninterrupted") != []
