"""Colors of generations on light and dark pages, for people with any color vision."""

from __future__ import annotations

from collections.abc import Sequence

# Viridis at equal steps: on light pages without its palest part, on dark ones without its darkest.
_LIGHT = (
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
_DARK = (*_LIGHT[3:], "fde725")


def color(number: int, last: int, dark: bool = False) -> str:
    """Color of a generation, from dark for the founder to light for the last one.

    Parameters
    ----------
    number
        The generation, from 0.
    last
        The last generation.
    dark
        Whether the page is dark.

    Returns
    -------
    str
        The color as ``#rrggbb``.

    Examples
    --------
    >>> color(0, 10), color(10, 10), color(0, 10, dark=True)
    ('#440154', '#b5de2b', '#31688e')
    """
    palette: Sequence[str] = _DARK if dark else _LIGHT
    place = (len(palette) - 1) * number / max(last, 1)
    low = min(int(place), len(palette) - 2)
    share = place - low
    start, end = (_channels(name) for name in palette[low : low + 2])
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in zip(start, end))


def generation_rules(numbers: Sequence[int]) -> str:
    """CSS by which a shape of class ``gN`` has the color of generation N.

    Parameters
    ----------
    numbers
        The generations that are shown, the last one last.

    Examples
    --------
    >>> print(generation_rules([0, 1]))
    .g0 { fill: #440154 } .g1 { fill: #b5de2b }
    @media (prefers-color-scheme: dark) { .g0 { fill: #31688e } .g1 { fill: #fde725 } }
    """
    light, dark = (
        " ".join(f".g{number} {{ fill: {color(number, numbers[-1], dark)} }}" for number in numbers)
        for dark in (False, True)
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}"


def _channels(name: str) -> list[int]:
    return [int(name[start : start + 2], 16) for start in (0, 2, 4)]
