"""Colors that people with any color vision can tell apart."""

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


def color(number: int, last: int) -> str:
    """Color of a generation, from dark for the founder to light for the last one.

    Parameters
    ----------
    number
        The generation, from 0.
    last
        The last generation.

    Returns
    -------
    str
        The color as ``#rrggbb``.

    Examples
    --------
    >>> color(0, 10), color(10, 10)
    ('#440154', '#b5de2b')
    """
    place = (len(_VIRIDIS) - 1) * number / max(last, 1)
    low = min(int(place), len(_VIRIDIS) - 2)
    share = place - low
    dark, light = (_channels(name) for name in _VIRIDIS[low : low + 2])
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in zip(dark, light))


def _channels(name: str) -> list[int]:
    return [int(name[start : start + 2], 16) for start in (0, 2, 4)]
