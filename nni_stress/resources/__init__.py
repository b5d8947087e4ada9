"""Resources that a network uses and that an evolution can save, by name.

A new resource is one file here, with a subclass of :class:`~nni_stress.resources.base.Resource`,
and its entry in `RESOURCES`. Importing this package takes neither torch nor NNI.
"""

from __future__ import annotations

from .base import Resource
from .latency import Latency
from .macs import Macs
from .parameters import Parameters

RESOURCES: dict[str, Resource] = {
    resource.name: resource
    for resource in (
        Parameters(),
        Macs(),
        Latency(),
    )
}
