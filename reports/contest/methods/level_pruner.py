"""NNI's LevelPruner: it removes single synapses (weights), and the network keeps its shape."""

from __future__ import annotations

from collections.abc import Callable

import torch
from nni.compression import pruning
from torch import nn
from torch.nn.utils.prune import custom_from_mask, remove

from nni_stress.graph import cost
from nni_stress.utils.seeding import seed_of

from .base import Trial
from .limits import exceeded, named_layers
from .phases import train_for, whole_steps
from .ratios import NOMINAL, Masks, Ratios, replace_ratios


def prune(trial: Trial) -> nn.Module:
    """Mask single synapses by magnitude, in all layers that the task selects, and train the rest.

    The masks are parametrisations of torch, so that whoever trains the network further needs not
    know of them: zeros stay zero. Until :func:`make_permanent` has removed them, a layer has
    ``weight_orig`` and ``weight_mask``. What the network uses of the parameters is
    :func:`synapses_left`, the number that are not zero; its MACs and its latency stay.

    Raises
    ------
    ValueError
        If the budget is not one of parameters, or it cannot be met.
    """
    if trial.resource != "parameters":
        raise ValueError(f"LevelPruner removes single synapses, and saves no {trial.resource}")
    torch.manual_seed(trial.seed)
    network = trial.network
    masks = _masks(trial)
    for layer, targets in masks.items():
        module = network.get_submodule(layer)
        custom_from_mask(module, "weight", targets["weight"])
    steps = whole_steps(trial.task, trial.epochs)
    rate = trial.knobs["learning_rate"]
    train_for(network, trial.task, steps, rate, seed_of(trial.seed, "recovery"))
    network.zero_grad()
    return network


def _masks(trial: Trial) -> Masks:
    network = trial.network
    names = sorted(named_layers(trial.task, network))
    sizes = {name: _weight_of(network, name).numel() for name in names}
    fixed = cost.synapses(network) - sum(sizes.values())
    # NNI rounds the number that it removes of each layer down.
    kept = int(trial.allowed * cost.synapses(network)) - fixed - len(names)
    if kept <= 0:
        raise exceeded("parameters", trial.allowed, fixed / cost.synapses(network))
    ratio = 1 - kept / sum(sizes.values())
    together = trial.knobs["scope"] == "global"
    entry = {
        "op_names": names,
        "sparse_ratio": NOMINAL if together else ratio,
        "target_names": ["weight"],
    }
    pruner = pruning.LevelPruner(network, [entry])
    if together:
        # Magnitudes of single synapses, not divided by their layers' means, which would empty the
        # first layer: its weights are few and large.
        replace_ratios(pruner, _ranked(ratio), comparable=True)
    masks: Masks = pruner.compress()[1]
    pruner.unwrap_model()
    return masks


def _ranked(ratio: float) -> Callable[[Masks, float], Ratios]:
    """Ratios of the layers where the least important synapses of all of them go."""

    def ratios_at(metrics: Masks, progress: float) -> Ratios:
        own = {layer: targets["weight"].flatten() for layer, targets in metrics.items()}
        together = torch.cat([*own.values()])
        least = together.kthvalue(max(1, int(ratio * len(together)))).values
        return {layer: float((metric <= least).double().mean()) for layer, metric in own.items()}

    return ratios_at


def _weight_of(network: nn.Module, layer: str) -> torch.Tensor:
    weight = network.get_submodule(layer).weight
    assert isinstance(weight, torch.Tensor)
    return weight


def make_permanent(network: nn.Module) -> nn.Module:
    """Remove the masks after the last training; weights that they hid are then zero.

    Parameters
    ----------
    network
        What :func:`prune` returned, trained or not; changed in place. A network without masks stays
        as it is.

    Examples
    --------
    >>> layer = custom_from_mask(nn.Linear(2, 1), "weight", torch.tensor([[1.0, 0.0]]))
    >>> [name for name, _ in make_permanent(layer).named_parameters()]
    ['bias', 'weight']
    >>> bool(layer.weight[0, 1] == 0)
    True
    """
    for module in network.modules():
        if "weight_mask" in dict(module.named_buffers(recurse=False)):
            remove(module, "weight")
    return network


def synapses_left(network: nn.Module) -> int:
    """Number of weights and biases that are not zero.

    Examples
    --------
    >>> layer = custom_from_mask(nn.Linear(2, 1, bias=False), "weight", torch.tensor([[1.0, 0.0]]))
    >>> synapses_left(layer)
    1
    """
    left = 0
    for module in network.modules():
        masks = dict(module.named_buffers(recurse=False))
        for name, parameter in module.named_parameters(recurse=False):
            mask = masks.get(name.replace("_orig", "_mask"))
            values = parameter if mask is None or mask is parameter else parameter * mask
            left += int(values.count_nonzero())
    return left
