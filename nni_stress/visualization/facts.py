"""Facts about a lineage that its page shows beside the figures and the table."""

from __future__ import annotations

from ..evolution import selection
from ..lineage.record import Record
from ..utils.rank_correlation import rank_correlation
from .scatter import unit
from .snapshot import Overview
from .text import times

_LEAST_PAIRS = 5  # offspring of which a rank correlation is shown


def summary(overview: Overview) -> list[tuple[str, str, str]]:
    """The lineage in a few figures: for each its name, its value, and a remark.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nni_stress.evolution.rules import Rules
    >>> summary(Overview(Path("lineage"), Rules(generations=3, tolerance=0.01)))
    [('offspring', '0 of 0', 'recorded; 0 lost, 0 on the frontier')]
    """
    states = [child.state for child in overview.offspring if child.generation]
    counts = (
        "offspring",
        f"{states.count('recorded')} of {len(states)}",
        f"recorded; {states.count('lost')} lost, {len(overview.frontier)} on the frontier",
    )
    if not overview.line:
        return [counts]
    founder = overview.line[0]
    best = overview.line[-1]
    clusters = []
    if best.clusters and founder.clusters:  # older records do not say
        fewer = f"{times(founder.clusters / best.clusters)} fewer than the founder"
        clusters = [("clusters", f"{best.clusters:,}", fewer)]
    return [
        ("best survivor", best.uid, _origin(best)),
        ("efficiency", times(best.efficiency), unit(overview)),
        ("synapses", f"{best.synapses:,}", f"founder {founder.synapses:,}"),
        ("MACs", f"{best.macs:,}", f"founder {founder.macs:,}"),
        *clusters,
        (
            "validation fidelity",
            f"{best.validation:.4f}",
            f"founder {founder.validation:.4f}; test {best.test:.4f}, founder {founder.test:.4f}",
        ),
        counts,
    ]


def _origin(record: Record) -> str:
    if record.matured:
        return f"maturation of {record.ancestor}"
    return f"generation {record.generation}"


def constraints(overview: Overview) -> list[tuple[str, float, float]]:
    """Constraints on resources, as shares of what the founder uses.

    Returns
    -------
    list of (str, float, float)
        For each constraint the resource, the allowed share, and the best survivor's share.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nni_stress.lineage.record import Record
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> small = founder._replace(uid="g001-00", generation=1, macs=2000)
    >>> from nni_stress.evolution.rules import Rules
    >>> rules = Rules(generations=3, tolerance=0.01, constraints={"macs": 0.5})
    >>> constraints(Overview(Path("lineage"), rules, founder=founder, line=[founder, small]))
    [('macs', 0.5, 0.4)]
    """
    if not overview.line or overview.founder is None:
        return []
    best = overview.line[-1]
    return [
        (resource, allowed, selection.used(best, overview.founder, resource))
        for resource, allowed in overview.rules.constraints.items()
    ]


def untrained_loss_line(overview: Overview) -> str | None:
    """What the untrained loss of offspring tells of their final fidelity, in one line.

    Returns
    -------
    str or None
        Their rank correlation over the offspring that were chosen among candidates and recovered to
        the end; None if there are fewer than five.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nni_stress.evolution.rules import Rules
    >>> untrained_loss_line(Overview(Path("lineage"), Rules(generations=3, tolerance=0.01)))
    """
    pairs = [
        (record.untrained_loss, record.validation)
        for _, record in overview.recorded
        if record.untrained_loss is not None and record.forecast is None
    ]
    if len(pairs) < _LEAST_PAIRS:
        return None
    losses, fidelities = zip(*pairs)
    found = rank_correlation(losses, fidelities)
    if found is None:
        return None
    return (
        f"Rank correlation of untrained loss and final validation fidelity: {found:.2f} over "
        f"{len(pairs)} offspring (at -1 the loss puts them in the order of their fidelity)."
    )
