"""Text for a terminal, from records and from a snapshot of a lineage.

Imports neither torch nor NNI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..lineage.store import Record
from .snapshot import Generation, Offspring, Overview


def plain(text: Any) -> str:
    r"""One printable line.

    Records and reasons are written by others, and could hold control sequences of a terminal.

    Examples
    --------
    >>> plain("out of\n memory")
    'out of memory'
    >>> plain("\x1b[31m") == "\N{REPLACEMENT CHARACTER}[31m"
    True
    """
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for letter in " ".join(str(text).split())
    )


def rounded(value: Any) -> str:
    """Value of a hyperparameter; floats have three significant digits.

    Examples
    --------
    >>> rounded(0.12345), rounded("taylor")
    ('0.123', 'taylor')
    """
    return f"{value:.3g}" if isinstance(value, float) else plain(value)


def times(efficiency: float) -> str:
    """An efficiency as text.

    Examples
    --------
    >>> times(9.61), times(1250)
    ('9.6x', '1,250x')
    """
    return f"{efficiency:.1f}x" if efficiency < 99.95 else f"{efficiency:,.0f}x"


def offspring_line(record: Record) -> str:
    """One line about an offspring: what it achieved, and its hyperparameters.

    Examples
    --------
    >>> from nni_stress.lineage.store import Record
    >>> founder = Record(
    ...     uid="g000-00", generation=0, ancestor=None, arguments={}, validation=0.91, test=0.9,
    ...     synapses=61_706, macs=416_520, efficiency=1.0, untrained=None, architecture={},
    ...     seconds={},
    ... )
    >>> offspring_line(founder)
    '  g000-00  fidelity 0.9100  efficiency    1.0x     61,706 synapses'
    """
    arguments = ", ".join(
        f"{plain(name)} {rounded(value)}" for name, value in sorted(record.arguments.items())
    )
    return (
        f"  {record.uid}  fidelity {record.validation:.4f}  efficiency {record.efficiency:6.1f}x"
        f"  {record.synapses:>9,} synapses  {arguments}"
    ).rstrip()


def generations_table(records: Sequence[Record], survivors: Sequence[Record]) -> str:
    """A table with a line for every survivor of every generation.

    Parameters
    ----------
    records
        Records of all offspring that count.
    survivors
        Records of the survivors, in each generation the best first.

    Returns
    -------
    str
        The table; a generation without survivors has a line that says so.

    Examples
    --------
    >>> from nni_stress.lineage.store import Record
    >>> founder = Record(
    ...     uid="g000-00", generation=0, ancestor=None, arguments={}, validation=0.91, test=0.9,
    ...     synapses=61_706, macs=416_520, efficiency=1.0, untrained=None, architecture={},
    ...     seconds={},
    ... )
    >>> print(generations_table([founder], [founder]))
    generation  offspring  fittest   synapses        MACs  efficiency  validation    test
             0          1  g000-00     61,706     416,520        1.0x      0.9100  0.9000
    >>> print(generations_table([founder], []).splitlines()[1])
             0          1  no survivor: fidelity too low; next generation gentler
    """
    lines = [
        "generation  offspring  fittest   synapses        MACs  efficiency  validation    test"
    ]
    for generation in sorted({record.generation for record in records}):
        size = sum(record.generation == generation for record in records)
        matures = any(record.matured for record in records if record.generation == generation)
        gentler = "" if matures else "; next generation gentler"
        start = f"{'maturation' if matures else generation:>10}  {size:>9}"
        fittest = [record for record in survivors if record.generation == generation]
        if not fittest:
            lines.append(f"{start}  no survivor: fidelity too low{gentler}")
        for record in fittest:
            lines.append(
                f"{start:<21}  {record.uid}  {record.synapses:>9,}  {record.macs:>10,}"
                f"  {record.efficiency:>9.1f}x  {record.validation:>10.4f}  {record.test:.4f}"
            )
            start = ""
    return "\n".join(lines)


def headline(overview: Overview) -> str:
    """The state of the evolution in a few words.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nni_stress.evolution.rules import Rules
    >>> rules = Rules(generations=3, tolerance=0.01)
    >>> headline(Overview(Path("lineage"), rules, generation=2))
    'not running: generation 2 of at most 3, not finished'
    """
    rules = overview.rules
    number = overview.generation
    if overview.finished is not None:
        return f"finished: {plain(overview.finished)}"
    if overview.failed is not None:
        return f"ended in ERROR: {plain(overview.failed)}"
    if number is None:
        return "starting" if overview.running else "not running: not started"
    progress = f"generation {number} of at most {rules.generations}"
    if any(each.matures for each in overview.generations if each.number == number):
        progress = "maturation"
    if not overview.running:
        return f"not running: {progress}, not finished"
    states = [child.state for child in overview.offspring if child.generation == number]
    counts = ", ".join(
        f"{states.count(state)} {state}" for state in ("recorded", "lost", "taken", "waiting")
    )
    return f"{progress} in progress: {counts}"


def rules_line(overview: Overview) -> str:
    r"""The rules of the evolution in one line.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nni_stress.evolution.rules import Rules
    >>> rules = Rules(generations=3, tolerance=0.01)
    >>> print(rules_line(Overview(Path("lineage"), rules, 8)).replace("; ", "\n"))
    8 offspring per generation
    at most 1 survivor
    fidelity at most 0.01 below the founder's
    resource to save: parameters
    """
    rules = overview.rules
    parts = [
        f"{overview.population_size} offspring per generation",
        f"at most {rules.survivors} survivor{'s' if rules.survivors != 1 else ''}",
        f"fidelity at most {rules.tolerance:g} below the founder's",
        f"resource to save: {_resource_name(rules.resource)}",
    ]
    parts += [
        f"{_resource_name(name)} at most {100 * share:g} % of the founder's"
        for name, share in rules.constraints.items()
    ]
    if rules.target_efficiency is not None:
        parts.append(f"ends at {rules.target_efficiency:g}x")
    return "; ".join(parts)


def warning_line(overview: Overview) -> str | None:
    """A warning about the tolerance if it does not suit the founder's fidelity, else None.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nni_stress.evolution.rules import Rules
    >>> warning_line(Overview(Path("lineage"), Rules(generations=3, tolerance=0.01))) is None
    True
    """
    founder = overview.founder
    warning = None if founder is None else overview.rules.warning(founder.validation)
    return None if warning is None else f"warning: {warning}"


def _resource_name(resource: str) -> str:
    return "MACs" if resource == "macs" else resource


def status_text(overview: Overview) -> str:
    """A lineage as text of several paragraphs.

    State and rules, a warning about the tolerance, survivors of each generation, offspring in
    progress, frontier, ancestry of the best survivor, lost offspring, and files that are set aside
    or damaged.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nni_stress.evolution.rules import Rules
    >>> rules = Rules(generations=3, tolerance=0.01)
    >>> waiting = Offspring("g000-00", 0, None, None, {}, "waiting")
    >>> generation = Generation(0, [waiting], closed=False, survivors=[])
    >>> overview = Overview(Path("lineage"), rules, 8, 0, generations=[generation])
    >>> print(status_text(overview))  # doctest: +ELLIPSIS
    lineage lineage
    not running: generation 0 of at most 3, not finished
    8 offspring per generation; ...
    <BLANKLINE>
    founder, not yet closed:
      g000-00  waiting
    """
    open_generations = [each for each in overview.generations if not each.closed]
    blocks = [
        f"lineage {overview.folder}\n{headline(overview)}\n{rules_line(overview)}",
        warning_line(overview),
        _survivors(overview),
        *map(_open_generation, open_generations),
        _paragraph(
            "frontier (no offspring is better in both fidelity and efficiency):",
            [offspring_line(record._replace(arguments={})) for record in overview.frontier],
        ),
        _ancestry(overview.line),
        _paragraph("lost:", [f"  {loss.uid}  {plain(loss.reason)}" for loss in overview.losses]),
        _paragraph(
            "set aside by the tuner, to be retried:",
            [f"  aside/{plain(name)}" for name in overview.aside],
        ),
        _paragraph("damaged, left unchanged:", [f"  {plain(name)}" for name in overview.damaged]),
    ]
    return "\n\n".join(filter(None, blocks))


def _paragraph(title: str, lines: Sequence[str]) -> str:
    """A title and the lines below it; nothing if there are no lines."""
    return "\n".join([title, *lines]) if lines else ""


def _survivors(overview: Overview) -> str:
    closed = {generation.number for generation in overview.generations if generation.closed}
    counted = [
        record for child, record in overview.recorded if child.counts and child.generation in closed
    ]
    survivors = [record for each in overview.generations for record in each.survivors]
    return generations_table(counted, survivors) if counted else ""


def _ancestry(line: Sequence[Record]) -> str:
    if len(line) < 2:
        return ""
    steps = [record.uid + (f" (with {record.other})" if record.other else "") for record in line]
    return f"ancestry of {line[-1].uid}, the best survivor: {' -> '.join(steps)}"


def _open_generation(generation: Generation) -> str:
    title = f"{generation.name}, not yet closed:"
    return "\n".join([title, *map(_offspring_line, generation.offspring)])


def _offspring_line(child: Offspring) -> str:
    if child.record:
        return offspring_line(child.record)
    return f"  {child.uid}  {child.state}" + (f": {plain(child.note)}" if child.note else "")
