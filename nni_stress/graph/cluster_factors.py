"""Factors on the clusters of a network, at the places where it reads them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..utils.devices import on_device
from .following.structure import Structure, removed_flags
from .normalizers import Normalizer
from .patched_forward import PatchedForward
from .readings import Reading, readings_of

Parts: TypeAlias = tuple[Tensor, ...]  # factors along each dimension that reads


class ClusterFactors:
    """Multiplies the effect of clusters by factors, everywhere in a network.

    A factor applies where a cluster is read: behind its norm and activation. At 0 the network
    computes what it computes without the cluster; norms over clusters take their statistics over
    those with a factor above 0. Gradients flow accordingly. Weights are not changed.

    Parameters
    ----------
    network
        The network, wrapped by NNI or not.
    structure
        Its structure.
    directly
        Clusters whose factors apply to all parameters that have them, as some other module than a
        layer may read them. So do those of clusters that no layer reads. All, if it is None; their
        factors are 0 or 1, as others would apply several times.

    Examples
    --------
    >>> from nni_stress.graph.following.follow import follow
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    >>> inputs = torch.rand(5, 2)
    >>> whole = network(inputs)
    >>> factors = ClusterFactors(network, follow(network, (inputs,)))
    >>> factors.put_on(np.array([1.0, 1.0, 0.0, 1.0]))  # of clusters 0 to 3; 0 must stay
    >>> torch.equal(whole, network(inputs))
    False
    >>> factors.take_off()
    >>> torch.equal(whole, network(inputs))
    True
    """

    def __init__(
        self, network: nn.Module, structure: Structure, directly: Collection[int] | None = None
    ):
        self._network = network
        self._structure = structure
        self._directly = directly
        self._sites: list[_Site] = []
        self._normalizers: list[Normalizer] = []
        self._patched: list[PatchedForward] = []
        self._handles: list[RemovableHandle] = []

    def put_on(self, factors: NDArray[Any]) -> None:
        """Apply factors from now on, in place of those that were applied before.

        Parameters
        ----------
        factors
            The factor of each cluster, by its number; that of cluster 0 is 1.
        """
        if not self._patched:
            self._patch()
        for site, part in self._parts(factors):
            site.parts = part
        for normalizer in self._normalizers:
            normalizer.put_on(factors)

    def mask(self, removed: Collection[int]) -> None:
        """Apply a factor of 0 to some clusters, and of 1 to all others."""
        self.put_on(1.0 - removed_flags(self._structure, removed))

    def scale(self, factors: NDArray[Any]) -> None:
        """Multiply what reads clusters by factors, once and for good.

        Parameters
        ----------
        factors
            As those of :meth:`put_on`. Modules that normalize over clusters are left alone.
        """
        if not self._patched:
            self._patch()
        scaled: set[nn.Parameter] = set()  # one may be read at several places
        for site, part in self._parts(factors):
            parameter = site.parameter
            if part is None or parameter in scaled:
                continue
            with torch.no_grad():
                if parameter is not None:
                    parameter.copy_(site.of_tensor(parameter, part))
                    scaled.add(parameter)
                elif not site.reading.leaf:
                    self._scale_parametrized(site, part)

    def _scale_parametrized(self, site: _Site, parts: Parts) -> None:
        """Set a parametrized tensor, if its parametrization has an inverse."""
        owner, _, name = site.reading.holder.rpartition(".parametrizations.")
        module = self._network.get_submodule(owner)
        with contextlib.suppress(NotImplementedError):
            setattr(module, name, site.of_tensor(getattr(module, name), parts))

    def _parts(self, factors: NDArray[Any]) -> Iterator[tuple[_Site, Parts | None]]:
        """The factors of each place that reads; None where all are 1."""
        if not self._sites:
            return
        gathered = factors[self._index].astype(np.float32)
        active = np.minimum.reduceat(gathered, self._starts) < 1
        values = on_device(torch.from_numpy(gathered).to(self._dtype), self._device)
        for site, part, acts in zip(self._sites, values.split(self._sizes), active):
            yield site, site.shaped(part) if acts else None

    def take_off(self) -> None:
        """Let the network compute with all its clusters again."""
        for patched in reversed(self._patched):
            patched.undo()
        for handle in self._handles:
            handle.remove()
        self._sites, self._normalizers, self._patched, self._handles = [], [], [], []

    def _patch(self) -> None:
        readings = self._readings()
        first = next(self._network.parameters(), torch.zeros(()))
        self._device, self._dtype = first.device, first.dtype
        self._sites = [_Site(self._network, reading) for reading in readings]
        rows = [row for reading in readings for row in reading.clusters if row is not None]
        self._index = np.concatenate([np.zeros(0, np.int64), *rows])
        self._sizes = [site.size for site in self._sites]
        self._starts = np.cumsum([0, *self._sizes])[:-1]
        callers: dict[str, list[_Site]] = {}
        for site in self._sites:
            callers.setdefault(site.reading.caller, []).append(site)
        for path, normalizing in self._structure.normalizing.items():
            normalizer = Normalizer(self._network, path, normalizing, self._structure, self._device)
            self._normalizers.append(normalizer)
            self._patched.append(normalizer.patched)
        for path, sites in callers.items():
            module = self._network.get_submodule(path)
            self._patched.append(PatchedForward(module, _forward(sites)))
        for module in self._network.modules():
            if isinstance(module, nn.MultiheadAttention):  # hooks keep it off its fast path
                self._handles.append(module.register_forward_pre_hook(lambda module, args: None))

    def _readings(self) -> list[Reading]:
        directly = np.ones(len(self._structure.roots), bool)
        if self._directly is not None:
            directly = removed_flags(self._structure, self._directly)
            readings = readings_of(self._network, self._structure, directly)
            directly |= ~removed_flags(self._structure, _read(readings))
        directly[0] = False
        return readings_of(self._network, self._structure, directly)


def _read(readings: list[Reading]) -> set[int]:
    rows = [labels for reading in readings for labels in reading.clusters if labels is not None]
    return set(np.unique(np.concatenate([[0], *rows])).tolist())


class _Site:
    """A tensor that reads clusters, and the factors on these at present."""

    def __init__(self, network: nn.Module, reading: Reading):
        self.reading = reading
        self.holder = network.get_submodule(reading.holder)
        self.parts: Parts | None = None
        self._shapes = list(_shapes(reading))
        self._lengths = [len(row) for row in reading.clusters if row is not None]
        tensor = getattr(self.holder, reading.leaf) if reading.leaf else None
        self._elements = tensor.numel() if isinstance(tensor, Tensor) else 0
        shown = [dim for dim, row in enumerate(reading.clusters) if row is not None]
        made = reading.output_dim
        self._made = shown.index(made) if made in shown else None
        self._read = next((i for i, dim in enumerate(shown) if dim != made), None)

    @property
    def size(self) -> int:
        """Number of its factors."""
        return sum(self._lengths)

    def shaped(self, factors: Tensor) -> Parts:
        """The factors in shapes that broadcast to the tensor."""
        parts = factors.split(self._lengths) if len(self._lengths) > 1 else (factors,)
        return tuple(part.view(shape) for part, shape in zip(parts, self._shapes))

    def of_input(self, values: Tensor, parts: Parts) -> Tensor:
        """The caller's first argument, multiplied by the factors on what is read."""
        return self._of_activation(values, parts, self._read)

    def of_output(self, values: Tensor, parts: Parts) -> Tensor:
        """The caller's result, multiplied by the factors on its own clusters."""
        return self._of_activation(values, parts, self._made)

    def _of_activation(self, values: Tensor, parts: Parts, index: int | None) -> Tensor:
        if index is None:
            return values
        dims = -1 - (self.reading.input_dim or -1)
        return values * _alike(parts[index].view(-1, *[1] * dims), values)

    def of_tensor(self, tensor: Tensor, parts: Parts) -> Tensor:
        """The tensor, multiplied by the factors."""
        groups = self.reading.groups
        if groups > 1:
            own = _alike(parts[0], tensor).view(groups, 1, -1, *[1] * (tensor.dim() - 2))
            return (tensor.unflatten(0, (groups, -1)) * own).flatten(0, 1)
        for factors in parts:
            tensor = tensor * _alike(factors, tensor)
        return tensor

    @property
    def parameter(self) -> nn.Parameter | None:
        """The parameter that is read; None for what a module makes of others."""
        owner = getattr(self.holder, "_nni_wrapper", self.holder)
        return owner._parameters.get(self.reading.leaf)  # noqa: SLF001

    def by_activations(self, args: tuple[Any, ...]) -> bool:
        """Whether it is cheaper to multiply the caller's first argument, and its result."""
        if self.reading.input_dim is None or not args or not isinstance(args[0], Tensor):
            return False
        return args[0].numel() < self._elements


def _shapes(reading: Reading) -> Iterator[tuple[int, ...]]:
    """Shapes by which factors along each dimension that reads broadcast to the tensor."""
    for dim, row in enumerate(reading.clusters):
        if row is not None:
            yield tuple(-1 if other == dim else 1 for other in range(len(reading.clusters)))


def _alike(factors: Tensor, tensor: Tensor) -> Tensor:
    """The factors, on a tensor's device and in its precision."""
    if factors.dtype == tensor.dtype and factors.device == tensor.device:
        return factors
    return factors.to(tensor.device, tensor.dtype)


def _forward(sites: list[_Site]) -> Callable[..., Any]:
    """The forward pass of a module that reads clusters."""

    def forward(plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not sites[0].reading.leaf:  # of a parametrized tensor
            made = plain(*args, **kwargs)
            return made if sites[0].parts is None else sites[0].of_tensor(made, sites[0].parts)
        shown: list[tuple[dict[str, Any], str, Any]] = []
        makes: list[_Site] = []
        for site in sites:
            if site.parts is None:
                continue
            if site.by_activations(args):
                args = (site.of_input(args[0], site.parts), *args[1:])
                makes.append(site)
                continue
            leaf, table = site.reading.leaf, vars(site.holder)
            tensor = getattr(site.holder, leaf)
            shown.append((table, leaf, table.get(leaf)))
            table[leaf] = site.of_tensor(tensor, site.parts)
        try:
            made = plain(*args, **kwargs)
            for site in makes:
                made = made if site.parts is None else site.of_output(made, site.parts)
            return made
        finally:
            for table, leaf, before in reversed(shown):
                if before is None:
                    del table[leaf]
                else:
                    table[leaf] = before

    return forward
