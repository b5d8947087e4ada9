"""Hostile and nonsensical messages to tuner and trials over a simulated manager."""

import copy

from nni_stress.lineage.store import Lineage
from nni_stress.trial.claim import ParameterSource, accept, parse
from tests.faults.registry import fault
from tests.faults.simulated import Simulated

CODE = {"__symbol__": "path:os.system", "__args__": ["touch /tmp/owned"]}
NONSENSE = [
    *(None, True, "", "x" * 100_000, 10**400, -1, float("nan"), float("inf"), [], [[]] * 1000),
    *({}, CODE, {"uid": None}, {"uid": "../../x"}, {"uid": ["g001-00"]}, {"uid": CODE}),
    *({"uid": "g001-00", "default": "x"}, {"uid": "g999-99"}, {"default": None, "uid": 3}),
    *("g001-00", {"uid": "g001-00"}, {"lineage": "/", "uid": "g001-00"}, b"\xff\xfe"),
]


@fault("hostile results, requests and search spaces", simulated=True)
def hostile_callbacks(run: Simulated) -> str:
    run.session(_send_nonsense)
    run.finish()
    return "before each trial"


def _send_nonsense(manager) -> None:
    import random

    chance = random.Random(manager.tuner.lineage.folder.name)
    make = manager.offspring

    def send_and_make(spec, lineage):
        value, other = chance.choice(NONSENSE), chance.choice(NONSENSE)
        manager.tuner.receive_trial_result(other, value, other)
        manager.tuner.trial_end(value, other)
        manager.tuner.import_data(value)
        manager.tuner.update_search_space(value)
        manager.tuner.update_search_space({"temperature": value})
        return make(spec, lineage)

    manager.offspring = send_and_make


@fault("forged parameters of trials", simulated=True)
def forged_parameters(run: Simulated) -> str:
    other = Lineage(run.lineage.folder.with_name("other"))
    other.update_state(incarnation=0, generation=1, experiment="another")
    before = sorted(other.folder.rglob("*"))
    run.session(_forge)
    run.finish()
    assert sorted(other.folder.rglob("*")) == before, "a trial wrote into another lineage"
    return "before each trial"


def _forge(manager) -> None:
    """Before each trial another takes a forged copy of its parameters, as through /tuner."""
    import random

    chance = random.Random(manager.tuner.lineage.folder.name)
    trial = manager._trial

    def forge_and_try(job):
        if manager._queue:
            forged = forge(manager._queue[0], chance)
            try:
                spec = parse(forged, chance.choice(list(ParameterSource)))
                lineage = None if spec is None else accept(spec, "forged")
            except (ValueError, SystemExit, OSError):
                lineage = None
            if lineage is not None:
                raise AssertionError(f"a trial accepted {forged}")
        return trial(job)

    manager._trial = forge_and_try


def forge(message: dict, chance) -> dict:
    """A message of the tuner with one of its values, or more, replaced."""
    forged = copy.deepcopy(message)
    other = forged["lineage"].rsplit("/", 1)[0] + "/other"
    ways = [
        {"lineage": other},
        {"lineage": "/", "incarnation": None, "generation": None},
        {"arguments": {"environmental_factor": 0.9}},
        {"arguments": CODE},
        {"seed": forged["seed"] + 1},
        {"resource": "joules"},
        {"ancestor": "g000-01" if forged["ancestor"] else "g000-00"},
        {"uid": "g998-00", "generation": 998},
        {"uid": "../x"},
        {chance.choice(sorted(forged)): chance.choice(NONSENSE[2:])},
    ]
    forged.update(chance.choice(ways))
    return forged
