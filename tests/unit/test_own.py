"""Importances and stressors of users: as good as built-in ones, and checked."""

import pytest
import torch

import nni_stress
from nni_stress import Arguments, PrunerArguments, testing
from nni_stress.evolution.search_space import check_search_space
from nni_stress.hparams import STRENGTHS, STRESSORS
from nni_stress.lineage.store import Lineage
from nni_stress.pruning.functional import stress
from nni_stress.trial.in_process import evolve
from nni_stress.trial.offspring import stress_and_synthesize
from tests.unit.trial.test_in_process import ARGUMENTS, SPACE, make_task


@nni_stress.register_importance("unit::taylor", gradients=True)
def taylor(weights, gradients):
    return (weights * gradients).sum(1)


@nni_stress.register_importance("unit::l2")
def l2(weights):
    return weights.norm(dim=1)


@nni_stress.register_stressor("unit::attenuate", steady=True)
def attenuate(situation):
    return 1 - situation.level * (1 - situation.survival())


@nni_stress.register_stressor("unit::weaken", decays=True)
def weaken(situation):
    return stress.weakening(situation.survival(), situation.level, situation.total_steps)


def offspring(**settings):
    arguments = Arguments(stress_epochs=2, environmental_factor=0.5, **settings)
    torch.manual_seed(0)
    task = make_task()
    return stress_and_synthesize(task.network(), task, arguments, seed=1).state_dict()


@pytest.mark.parametrize(
    ("builtin", "own"),
    [
        (("taylor", "attenuate"), ("unit::taylor", "unit::attenuate")),
        (("l2", "weaken"), ("unit::l2", "unit::weaken")),
    ],
)
def test_what_a_user_writes_does_what_the_same_does_here(builtin, own):
    first, second = (offspring(strength=s, stressor=t) for s, t in (builtin, own))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", [*STRESSORS, "unit::attenuate", "unit::weaken"])
def test_stressors_keep_their_contract(name):
    testing.check_stressor(name)


@pytest.mark.parametrize("name", [*STRENGTHS, "unit::taylor", "unit::l2"])
def test_importances_keep_their_contract(name):
    testing.check_importance(name)


def registered(kind, function, name, **settings):
    """Register a function under a name of its own, and return that."""
    getattr(nni_stress, f"register_{kind}")(f"unit::{name}", **settings)(function)
    return f"unit::{name}"


@pytest.mark.parametrize(
    ("kind", "name", "function", "said"),
    [
        ("stressor", "loud", lambda s: 0 * s.survival(), "a factor of 0 at a level of 1e-06"),
        (
            "stressor",
            "unseeded",
            lambda s: 1 - s.level * torch.rand(s.survival().shape),
            "gives two offspring of one seed",
        ),
        (
            "importance",
            "unseeded",
            lambda w: torch.rand(len(w)),
            "gives two offspring of one seed",
        ),
        ("importance", "writes", lambda w: w.mul_(2).norm(dim=1), "changes weights"),
    ],
)
def test_faults_that_are_planted_break_a_contract(kind, name, function, said):
    own = registered(kind, function, name)
    with pytest.raises(AssertionError, match=said):
        getattr(testing, f"check_{kind}")(own)


@pytest.mark.parametrize(
    ("kind", "name", "function", "settings", "said"),
    [
        ("importance", "whole", lambda w: w, {}, r"one number for each cluster, but got the shape"),
        ("importance", "none", lambda w: None, {}, r"must be a tensor of shape \(\d+,\), but got"),
        ("importance", "less", lambda w: -w.norm(dim=1), {}, "must not be negative, but is -"),
        ("importance", "nan", lambda w: w.sum(1) / 0, {}, "must be finite"),
        (
            "importance",
            "fails",
            lambda w: w.no(),
            {},
            r"fails: .* 'no' \(.*test_own.py, line \d+\)",
        ),
        ("importance", "one", lambda w: w, {"gradients": True}, "fails: .* takes 1 positional"),
        ("stressor", "more", lambda s: 2 + s.survival(), {}, r"in \[0, 1\], but returned"),
        ("stressor", "three", lambda s: torch.ones(3, 1), {}, r"but got the shape \(3, 1\)"),
    ],
)
def test_what_a_function_must_not_return_is_an_error_of_one_line(
    kind, name, function, settings, said
):
    own = registered(kind, function, name, **settings)
    setting = "strength" if kind == "importance" else kind
    with pytest.raises((TypeError, ValueError), match=rf"^{setting} '{own}'.*{said}[^\n]*$"):
        offspring(**{setting: own})


def test_a_name_is_registered_once_but_by_the_same_code_again():
    def again():
        @nni_stress.register_importance("unit::again")
        def same(weights):
            return weights.norm(dim=1)

    again()
    again()  # as a notebook's cell
    with pytest.raises(ValueError, match=r"strength 'unit::l2' is registered already, by .*\.l2$"):
        nni_stress.register_importance("unit::l2")(lambda weights: weights.norm(dim=1))
    with pytest.raises(ValueError, match="must have a name as 'my::l2', with a namespace of yours"):
        nni_stress.register_importance("l2")
    with pytest.raises(ValueError, match="must have a name as 'my::name'"):
        nni_stress.register_stressor("my stressor")
    with pytest.raises(TypeError, match="a stressor must be a function, but got 3"):
        nni_stress.register_stressor("unit::three")(3)


def test_a_misspelt_name_is_found_where_it_can_be():
    with pytest.raises(
        ValueError, match="strength must be one of magnitude, l2, taylor, or registered by you and"
    ):
        PrunerArguments(strength="tailor")
    with pytest.raises(ValueError, match=r"must be one of linear, .*, but got 'my::shape'"):
        PrunerArguments(stress_shape="my::shape")
    for setting in ({"strength": "unit::l3"}, {"stressor": "unit::atenuate"}):
        with pytest.raises(ValueError, match=rf"{next(iter(setting))} must be one of .*unit::"):
            offspring(**setting)


@pytest.mark.parametrize("nested", [False, True])
def test_an_evolution_refuses_names_that_nothing_is_registered_under(nested, tmp_path):
    def space(name):
        choice = {"_name": name, "stress_peak": {"_type": "uniform", "_value": [0.5, 1]}}
        value = choice if nested else name
        return {**SPACE, "stressor": {"_type": "choice", "_value": [value]}}

    for name in ("unit::atenuate", "unit::attenuate"):
        check_search_space(space(name))  # as nnictl and the tuner do, where no trial runs
    with pytest.raises(ValueError, match=r"stressor must be one of .*, but got 'unit::atenuate'"):
        evolve(make_task(), tmp_path / "wrong", space("unit::atenuate"), **ARGUMENTS)
    assert Lineage(tmp_path / "wrong").records() == []
    with pytest.raises(ValueError, match=r"search space: stressor must be one of .*'atenuate'"):
        check_search_space(space("atenuate"))
    lineage = evolve(
        make_task(), tmp_path / "right", space("unit::attenuate"), **{**ARGUMENTS, "generations": 1}
    )
    made = [record for record in lineage.records() if record.generation == 1]
    assert made and all(record.arguments["stressor"] == "unit::attenuate" for record in made)


@pytest.mark.slow
def test_workers_get_what_is_registered_in_the_process_that_starts_them(tmp_path):
    @nni_stress.register_stressor("unit::only_here")  # not where a worker would import this file
    def only_here(situation):
        return 1 - situation.level * (1 - situation.survival())

    space = {**SPACE, "stressor": {"_type": "choice", "_value": ["unit::only_here"]}}
    arguments = {**ARGUMENTS, "generations": 1, "progress": False}
    one, several = (
        nni_stress.evolve(make_task(), tmp_path / str(n), space=space, workers=n, **arguments)
        for n in (1, 2)
    )
    assert [record.validation for record in several.records] == [
        record.validation for record in one.records
    ]
