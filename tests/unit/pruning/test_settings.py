"""Every setting of NNI's config means to StressPruner what it means to NNI's pruners."""

import pytest
import torch
from nni.compression.pruning import L1NormPruner
from torch import nn

from nni_stress import StressPruner
from nni_stress.hparams import STRESSORS
from tests.helpers.pipelines import alive, named, plain_evaluator
from tests.unit.pruning.test_pruner import same_masks


class Settings(nn.Module):
    """Layers for every setting: plain, of equal size, grouped, dense."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 16, 3)
        self.two = nn.Conv2d(16, 16, 3)
        self.three = nn.Conv2d(16, 16, 3, groups=4)
        self.norm = nn.BatchNorm2d(16)
        self.dense = nn.Linear(16, 24)
        self.head = nn.Linear(24, 4)

    def forward(self, images):
        features = self.norm(
            torch.relu(self.three(torch.relu(self.two(torch.relu(self.one(images))))))
        )
        return self.head(torch.relu(self.dense(features.mean((2, 3)))))


def settings_network():
    torch.manual_seed(2)
    return Settings()


def aligned_to(module):
    return {"align": {"module_name": module, "target_name": "weight", "dims": [0]}}


HALF = {"sparse_ratio": 0.5}
ONLY_WEIGHT = {"target_names": ["weight"]}
# NNI's settings, and whether they fix how many of each target are kept, whatever the strengths.
SETTINGS = {
    "op_types": ([{"op_types": ["Conv2d"], **HALF}], True),
    "op_names": ([{"op_names": ["one", "dense"], "sparse_ratio": 0.3}], True),
    "op_names_re": ([{"op_names_re": ["t.*"], "sparse_ratio": 0.3}], True),
    "exclude_op_names": ([{"op_types": ["Conv2d"], "exclude_op_names": ["two"], **HALF}], True),
    "exclude_op_names_re": (
        [{"op_types": ["Conv2d"], "exclude_op_names_re": ["t.*"], **HALF}],
        True,
    ),
    "exclude_op_types": (
        [{"op_names_re": ["o.*|d.*"], "exclude_op_types": ["Linear"], **HALF}],
        True,
    ),
    "a later config wins": (
        [{"op_types": ["Conv2d"], **HALF}, {"op_names": ["two"], "sparse_ratio": 0.75}],
        True,
    ),
    "target_settings": (
        [{"op_names": ["one", "two"], "target_settings": {"weight": {"sparse_ratio": 0.25}}}],
        True,
    ),
    "target_names": ([{"op_names": ["one"], **ONLY_WEIGHT, **HALF}], True),
    "sparse_threshold": ([{"op_names": ["one", "two"], "sparse_threshold": 2.4}], False),
    "threshold and least ratio": (
        [{"op_names": ["one"], "sparse_threshold": 1e-9, "min_sparse_ratio": 0.25}],
        True,
    ),
    "threshold and largest ratio": (
        [{"op_names": ["one"], "sparse_threshold": 1e9, "max_sparse_ratio": 0.75}],
        True,
    ),
    "least ratio": ([{"op_names": ["one"], "sparse_ratio": 0.1, "min_sparse_ratio": 0.4}], True),
    "largest ratio": ([{"op_names": ["one"], "sparse_ratio": 0.9, "max_sparse_ratio": 0.4}], True),
    "global_group_id": (
        [{"op_names": ["two", "three"], "sparse_ratio": 0.1, "global_group_id": 1}],
        False,
    ),
    "dependency_group_id": ([{"op_names": ["one", "two"], "dependency_group_id": 1, **HALF}], True),
    "internal_metric_block": (
        [
            {
                "op_names": ["two", "three"],
                "dependency_group_id": 1,
                "internal_metric_block": 4,
                **HALF,
            }
        ],
        True,
    ),
    "align a layer": (
        [
            {"op_names": ["one"], **HALF},
            {
                "op_names": ["two"],
                "target_settings": {"weight": aligned_to("one"), "bias": aligned_to("one")},
            },
        ],
        True,
    ),
    "align batch norm": (
        [
            {"op_names": ["three"], **HALF},
            {
                "op_names": ["norm"],
                "target_settings": {"weight": aligned_to("three"), "bias": aligned_to("three")},
            },
        ],
        True,
    ),
    "align outputs": (
        [
            {
                "op_names": ["one"],
                "target_names": ["weight", "bias", "_output_"],
                **HALF,
                "target_settings": {"_output_": {**aligned_to(None), "apply_method": "mul"}},
            }
        ],
        True,
    ),
    "out_channel": ([{"op_names": ["two", "dense"], "granularity": "out_channel", **HALF}], True),
    "in_channel": (
        [{"op_names": ["two", "dense"], "granularity": "in_channel", **ONLY_WEIGHT, **HALF}],
        True,
    ),
    "per weight": ([{"op_names": ["dense"], "granularity": [1, 1], **ONLY_WEIGHT, **HALF}], True),
    "blocks": ([{"op_names": ["dense"], "granularity": [4, 2], **ONLY_WEIGHT, **HALF}], True),
    "kernels": (
        [{"op_names": ["two"], "granularity": [1, 1, -1, -1], **ONLY_WEIGHT, **HALF}],
        True,
    ),
}


def counts(masks):
    return {name: int(mask.count_nonzero()) for name, mask in named(masks).items()}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_of_nni_means_what_it_means_to_the_norm_pruner(name):
    config_list, exact = SETTINGS[name]
    expected = L1NormPruner(settings_network(), config_list).compress()[1]
    assert any((mask == 0).any() for mask in named(expected).values())
    assert same_masks(
        StressPruner(settings_network(), config_list, temperature=0).compress()[1], expected
    )
    drawn = [
        StressPruner(settings_network(), config_list, temperature=0.5, seed=seed).compress()[1]
        for seed in (1, 2)
    ]
    assert not same_masks(*drawn)
    for masks in drawn:
        assert set(named(masks)) == set(named(expected)) and (
            not exact or counts(masks) == counts(expected)
        )


@pytest.mark.parametrize("stressor", STRESSORS)
@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_works_under_every_stressor(name, stressor):
    config_list, exact = SETTINGS[name]
    expected = L1NormPruner(settings_network(), config_list).compress()[1]
    model = settings_network()
    images = plain_evaluator(model, draw=lambda: (torch.rand(2, 3, 12, 12), torch.randint(4, (2,))))
    _, masks = StressPruner(
        model,
        config_list,
        images,
        5,
        temperature=0.3,
        stressor=stressor,
        stress_peak=1.0,
        stress_onset=0.2,
        stress_ramp=0.2,
    ).compress()
    assert all(set(mask.unique().tolist()) <= {0, 1} for mask in named(masks).values())
    assert not exact or counts(masks) == counts(expected)


def survivors(config_list, seeds, **arguments):
    """{layer: which of its clusters survived, for each seed}"""
    drawn = [
        alive(StressPruner(settings_network(), config_list, seed=seed, **arguments).compress()[1])
        for seed in range(seeds)
    ]
    return {name: torch.stack([each[name] for each in drawn]) for name in drawn[0]}


@pytest.mark.parametrize(
    ("sampling", "ratio"), [("exact", 0.5), ("exact", 1.0), ("bernoulli", 0.5)]
)  # 1.0: one comes back
def test_layers_of_one_dependency_group_lose_the_same_clusters(sampling, ratio):
    together = [{"op_names": ["one", "two"], "dependency_group_id": 1, "sparse_ratio": ratio}]
    found = survivors(together, 10, temperature=0.5, sampling=sampling)
    assert torch.equal(found["one"], found["two"]) and found["one"].any(1).all()


class Alike(nn.Module):
    """Layers of the same strengths, rising from cluster to cluster."""

    def __init__(self, layers):
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(16, 16) for _ in range(layers)))
        for layer in self.layers:
            layer.weight.data = torch.linspace(0.2, 1, 16).view(-1, 1).repeat(1, 16)


def test_a_draw_is_as_random_for_a_dependency_group_as_for_a_single_layer():
    """If every layer drew alone, NNI's mean over the group would cancel the noise."""

    def survival(layers):
        together = [{"op_types": ["Linear"], "sparse_ratio": 0.5, "dependency_group_id": 1}]
        return (
            torch.stack(
                [
                    alive(
                        StressPruner(
                            Alike(layers), together, temperature=0.3, seed=seed
                        ).compress()[1]
                    )["layers.0"]
                    for seed in range(200)
                ]
            )
            .float()
            .mean(0)
        )

    assert torch.allclose(
        survival(8), survival(1), atol=0.15
    )  # 3 standard errors; where each draws alone, 0.25 apart
