"""Importances and stressors of users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from nni.compression.base.target_space import PruningTargetSpace
from torch import Tensor

from ..graph.following.own import LAYERS, OPERATORS
from ..utils.messages import one_line
from ..utils.registry import Registry, check_own_name
from .cluster_values import per_cluster
from .importances import IMPORTANCES
from .importances.base import Importance, Observer
from .importances.taylor import TaylorObserver
from .stressors import STRESSORS
from .stressors.base import Situation, Stressor
from .targets import scaler_of

_Strength = TypeVar("_Strength", bound=Callable[..., Tensor])
_Factor = TypeVar("_Factor", bound=Callable[[Situation], Tensor])


def register_importance(name: str, *, gradients: bool = False) -> Callable[[_Strength], _Strength]:
    """Register what makes a cluster (output channel or neuron) strong, by a function.

    Afterwards ``strength=name`` is right wherever a strength is named: in a
    :class:`~nni_stress.StressPruner`, in a search space, in ``Arguments``. The code that registers
    it has to run in every process that trains: put it into the script of the trial.

    Parameters
    ----------
    name
        Its name, with a namespace of yours, as ``"my::variance"``.
    gradients
        Whether the function also takes gradients. It is then called before every optimizer step
        of the stress phase, and the root mean square of what it returns is the strength. Strengths
        gathered so compare between layers, others within a layer only.

    Returns
    -------
    Callable
        A decorator of the function. It takes the weights of a layer's clusters, of shape (clusters,
        weights of one), and, with `gradients`, their gradients of the same shape. It returns the
        strength of each cluster, of shape (clusters,): finite, not negative unless it takes
        gradients, and higher for a stronger one.

    Raises
    ------
    ValueError
        If the name is not of that form, or is registered already, from elsewhere.

    Examples
    --------
    >>> @register_importance("example::variance")
    ... def variance(weights):
    ...     return weights.var(1, unbiased=False)
    """
    check_own_name("strength", name)

    def register(function: _Strength) -> _Strength:
        if not callable(function):
            raise TypeError(f"an importance must be a function, but got {function!r}")
        kind = _ByGradients if gradients else _ByWeights
        IMPORTANCES.add(name, kind(name, function), function)
        return function

    return register


def register_stressor(
    name: str, *, decays: bool = False, steady: bool = False
) -> Callable[[_Factor], _Factor]:
    """Register how synapses (weights) feel stress, by a function.

    Afterwards ``stressor=name`` is right wherever a stressor is named, see
    :func:`~nni_stress.register_importance`.

    Parameters
    ----------
    name
        Its name, with a namespace of yours, as ``"my::noise"``.
    decays
        Whether factors multiply the weights that read a cluster at every step, for good; otherwise
        they multiply the effect of the cluster during the step, and the weights are not changed.
    steady
        Whether factors stay as they are while the stress level does not change.

    Returns
    -------
    Callable
        A decorator of the function. It takes a
        :class:`~nni_stress.pruning.stressors.base.Situation`, the clusters of one layer at one
        step, and returns the factor of each, of shape (clusters,), in [0, 1]. Near level 0
        factors must be near 1. Draw random numbers from ``situation.generator`` only.

    Raises
    ------
    ValueError
        If the name is not of that form, or is registered already, from elsewhere.

    Examples
    --------
    >>> @register_stressor("example::dim", steady=True)
    ... def dim(situation):
    ...     return 1 - 0.5 * situation.level * (1 - situation.survival())
    """
    check_own_name("stressor", name)

    def register(function: _Factor) -> _Factor:
        if not callable(function):
            raise TypeError(f"a stressor must be a function, but got {function!r}")
        STRESSORS.add(name, _ByFunction(name, function, decays, steady), function)
        return function

    return register


_REGISTRIES: tuple[Registry[Any], ...] = (LAYERS, OPERATORS, IMPORTANCES, STRESSORS)


def registered() -> list[Any]:
    """All that users have registered in this process, for another one that gets it by value.

    Examples
    --------
    >>> take_registered(registered())
    """
    return [registry.own() for registry in _REGISTRIES]


def take_registered(found: list[Any]) -> None:
    """Register what :func:`registered` returned in another process."""
    for registry, own in zip(_REGISTRIES, found):
        registry.take(own)


class _ByWeights(Importance):
    """An importance by a function of weights."""

    def __init__(self, name: str, function: Callable[..., Tensor]):
        self.name = name  # type: ignore[misc]  # a built-in one has it from its class
        self._function = function

    def of_clusters(
        self, module: str, target: str, space: PruningTargetSpace, values: Tensor
    ) -> Tensor:
        """What the function returns, checked."""
        where = f"strength {self.name!r} of {module}.{target}"

        def strength(weights: Tensor) -> Tensor:
            found = _called(where, self._function, weights.flatten(0, -2))
            if not values.is_meta and bool((found < 0).any()):
                raise ValueError(f"{where} must not be negative, but is {float(found.min()):g}")
            return found.view(weights.shape[:-1])

        return _over_clusters(space, values.detach(), strength)


class _ByGradients(Importance):
    """An importance by a function of weights and gradients, gathered while the network trains."""

    needs_training = True

    def __init__(self, name: str, function: Callable[..., Tensor]):
        self.name = name  # type: ignore[misc]
        self._function = function

    def observer(self, total_steps: int) -> Observer:
        """Return a new observer of a training of that many optimizer steps."""
        return TaylorObserver(total_steps, self._effect)

    def _effect(self, module: str, target: str, space: PruningTargetSpace) -> Tensor:
        gradients: list[Tensor] = []

        def take(values: Tensor) -> Tensor:
            gradients.append(values)
            return values[..., 0]

        def effect(weights: Tensor) -> Tensor:
            both = weights.flatten(0, -2), gradients[0].flatten(0, -2)
            where = f"strength {self.name!r} of {module}.{target}"
            return _called(where, self._function, *both).view(weights.shape[:-1])

        _over_clusters(space, space.target.grad, take)
        return _over_clusters(space, space.target.detach(), effect)


class _ByFunction(Stressor):
    """A stressor by a function."""

    def __init__(
        self, name: str, function: Callable[[Situation], Tensor], decays: bool, steady: bool
    ):
        self.name = name  # type: ignore[misc]
        self.decays = decays  # type: ignore[misc]
        self.steady = steady  # type: ignore[misc]
        self._function = function

    def factor(self, situation: Situation) -> Tensor:
        """What the function returns, checked."""
        survival = situation.survival()
        where = f"stressor {self.name!r}"
        found = _called(where, lambda like: self._function(situation), survival.flatten())
        if bool((found < 0).any()) or bool((found > 1).any()):
            worst = max(found.tolist(), key=lambda value: abs(value - 0.5))
            raise ValueError(f"{where} must return factors in [0, 1], but returned {worst:g}")
        return found.to(survival).view(survival.shape)


def _over_clusters(
    space: PruningTargetSpace, values: Tensor, function: Callable[[Tensor], Tensor]
) -> Tensor:
    """Apply a function to the values of each cluster, the last dimension."""
    if scaler_of(space) is None:  # each weight is one by itself
        return function(values.unsqueeze(-1))
    return per_cluster(space, values, function)


def _called(where: str, function: Callable[..., Any], *values: Tensor) -> Tensor:
    """What a user's function returns for rows of values, which must be a finite number for each."""
    try:
        with torch.no_grad():
            found = function(*values)
    except Exception as error:
        raise ValueError(f"{where} fails: {one_line(error)}") from error
    number = len(values[0])
    if not isinstance(found, Tensor):
        raise TypeError(f"{where} must be a tensor of shape ({number},), but got {found!r}")
    if found.shape != (number,):
        raise ValueError(
            f"{where} must be a tensor of shape ({number},), one number for each cluster, but got "
            f"the shape {tuple(found.shape)}"
        )
    if not found.is_meta and not bool(torch.isfinite(found).all()):
        raise ValueError(f"{where} must be finite, but holds NaN or infinite values")
    return found
