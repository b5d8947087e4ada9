"""Section: how many clusters each layer of the networks has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..facts import Comparison, Entry
from ..fields import axis_table, first_record
from ..tables import MISSING, Block, Field


def block(facts: Comparison) -> Block:
    """Make the tables: clusters of each layer, of the first seed."""
    founders = facts.results.founders.values()
    whole = next((clusters(founder.architecture) for founder in founders), MISSING)
    return Block(
        "Architectures",
        "Clusters (output channels or neurons) of each layer, in the order of the layers; of the "
        f"first seed. The founder has {whole}.",
        [axis_table(facts, axis, lambda entry: [_field(entry)]) for axis in facts.axes],
        is_folded=True,
    )


def _field(entry: Entry) -> Field:
    found = first_record(entry)
    if found is None:
        return Field(MISSING)
    return Field(clusters(found.architecture), "", found.path)


def clusters(architecture: Mapping[str, Sequence[int]]) -> str:
    """Write the clusters of all layers.

    Examples
    --------
    >>> clusters({"conv": [20, 1, 5, 5], "norm": [20], "fc": [500, 20]})
    '20-500'
    """
    return "-".join(str(shape[0]) for shape in architecture.values() if len(shape) > 1)
