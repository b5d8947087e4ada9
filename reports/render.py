"""Texts, rendered from records."""
from __future__ import annotations

from typing import Sequence

from nni_stress.lineage import Record


def offspring_line(record: Record) -> str:
    """One offspring in one line: what it achieved, and under which stress."""
    stress = ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                       for name, value in sorted(record.arguments.items()))
    return (f"  {record.uid}  fidelity {record.validation:.4f}  efficiency {record.efficiency:6.1f}x"
            f"  {record.synapses:>9,} synapses  {stress}").rstrip()


def generations_table(records: Sequence[Record], survivors: Sequence[Record]) -> str:
    """A line for every generation: its fittest offspring, and the survivor of the lineage marked."""
    chosen = {record.uid for record in survivors}
    lines = ["generation  offspring  fittest   synapses        MACs  efficiency  validation    test"]
    for generation in sorted({record.generation for record in records}):
        members = [record for record in records if record.generation == generation]
        fittest = next((m for m in members if m.uid in chosen), None)
        if fittest is None:
            lines.append(f"{generation:>10}  {len(members):>9}  none kept the fidelity; gentler next")
            continue
        lines.append(f"{generation:>10}  {len(members):>9}  {fittest.uid}  {fittest.synapses:>9,}  {fittest.macs:>10,}"
                     f"  {fittest.efficiency:>9.1f}x  {fittest.validation:>10.4f}  {fittest.test:.4f}")
    return "\n".join(lines)
