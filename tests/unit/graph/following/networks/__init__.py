"""The networks, sorted by what they show."""

from ..case import Cases
from . import (
    attention,
    heads,
    layers,
    moves,
    norms,
    operators,
    parameters,
    programs,
    recurrent,
    sizes,
)

MODULES = (
    layers,
    norms,
    recurrent,
    attention,
    heads,
    moves,
    operators,
    parameters,
    programs,
    sizes,
)
CASES: Cases = Cases()
for module in MODULES:
    CASES.update({f"{module.__name__.rpartition('.')[2]}.{k}": v for k, v in module.CASES.items()})
