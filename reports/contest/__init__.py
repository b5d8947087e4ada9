"""A contest: methods x budgets x seeds, each cell a search and one final training of equal steps.

The rules are in reports/protocol.md, a contest's fields in reports/compare.yml. Its folder holds::

    contest.yml                            the contest
    founders/1.safetensors, 1.json         each founder, and what it achieves
    cells/macs/25x/L1NormPruner/4.json     the record of one cell (:mod:`.records`)
    networks/macs/25x/evolution/4.safetensors    networks that other cells, or users, take up
"""
