"""Colours that people with any colour vision can tell apart."""

from __future__ import annotations

# Viridis at equal steps, without its light end, which is too pale on white.
_VIRIDIS = (
    "440154",
    "482878",
    "3e4989",
    "31688e",
    "26828e",
    "1f9e89",
    "35b779",
    "6ece58",
    "b5de2b",
)


def colour(number: int, last: int) -> str:
    """The colour of a generation, from dark to light, as #rrggbb."""
    place = (len(_VIRIDIS) - 1) * number / max(last, 1)
    low, share = min(int(place), len(_VIRIDIS) - 2), place - min(int(place), len(_VIRIDIS) - 2)
    ends = [[int(name[i : i + 2], 16) for i in (0, 2, 4)] for name in _VIRIDIS[low : low + 2]]
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in zip(*ends))
