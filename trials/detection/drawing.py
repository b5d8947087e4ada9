"""Detections of several networks side by side, and their average precisions as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .boxes import to_corners
from .decoding import Detections
from .targets import is_box

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

_TRUE_BOX = {"linestyle": (0, (4, 3)), "linewidth": 1}
_TEXT_ROOM = 0.06  # fraction of the height that a label above a box takes


def draw_side_by_side(
    path: str | Path,
    images: Tensor,
    detections: Mapping[str, Sequence[Detections]],
    names: Sequence[str],
    targets: Tensor | None = None,
    score_threshold: float = 0.3,
) -> None:
    """Draw a PNG with a row for each image and a column for each network.

    Parameters
    ----------
    path
        File to write.
    images
        B x 3 x H x W or B x 1 x H x W. Each is scaled to the full range of brightness, so that they
        may be normalised.
    detections
        Detections of each image, by the title of the network's column.
    names
        Names of the classes.
    targets
        True boxes, B x N x 5, drawn dashed in white.
    score_threshold
        Least score of the detections that are drawn.

    Raises
    ------
    ValueError
        If there is nothing to draw, or the number of images differs between networks.
    """
    _check(images, detections)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import hsv_to_rgb
    from matplotlib.figure import Figure

    height, width = images.shape[2:]
    figure = Figure(
        figsize=(4 * len(detections), 4 * len(images) * height / width + 0.4),
        layout="constrained",
    )
    axes = figure.subplots(len(images), len(detections), squeeze=False)
    colours = hsv_to_rgb([(index / len(names), 0.9, 0.8) for index in range(len(names))])
    for row, image in enumerate(images):
        pixels = _to_pixels(image)
        for column, (title, found) in enumerate(detections.items()):
            panel = axes[row][column]
            panel.imshow(pixels, extent=(0, width, height, 0))
            panel.set_axis_off()
            if row == 0:
                panel.set_title(title)
            if targets is not None:
                boxes = to_corners(targets[row][is_box(targets[row])][:, 1:])
                for box in boxes.tolist():
                    _draw_box(panel, box, (width, height), "white", **_TRUE_BOX)
            for box, score, label in _best_last(found[row], score_threshold):
                left, top = _draw_box(panel, box, (width, height), colours[label], linewidth=2)
                text = f"{names[label]} {score:.2f}"
                _draw_label(panel, (left, top), text, colours[label], above=box[1] > _TEXT_ROOM)
    FigureCanvasAgg(figure).print_png(str(path))


def _check(images: Tensor, detections: Mapping[str, Sequence[Detections]]) -> None:
    counts = {title: len(found) for title, found in detections.items()}
    if not counts or not len(images) or set(counts.values()) != {len(images)}:
        raise ValueError(
            f"a picture needs every network's detections in each image, but got "
            f"{len(images)} images and {counts}"
        )


def _to_pixels(image: Tensor) -> np.ndarray:
    """An image as H x W x 3, from 0 to 1."""
    image = image.detach().float().cpu().expand(3, -1, -1)
    darkest, brightest = image.min(), image.max()
    scaled = (image - darkest) / (brightest - darkest).clamp(min=1e-6)
    return scaled.permute(1, 2, 0).numpy()


def _best_last(
    detections: Detections, score_threshold: float
) -> list[tuple[list[float], float, int]]:
    """Box, score and label of the detections to draw; the best comes last, on top of the others."""
    entries = zip(*(values.tolist() for values in detections))
    chosen = [entry for entry in entries if entry[1] >= score_threshold]
    return sorted(chosen, key=lambda entry: entry[1])


def _draw_box(
    panel: Axes, box: Iterable[float], size: tuple[int, int], colour: Any, **style: Any
) -> tuple[float, float]:
    """Draw a box given in fractions of the image, and return its left top corner in pixels."""
    from matplotlib.patches import Rectangle

    left, top, right, bottom = (share * pixels for share, pixels in zip(box, (*size, *size)))
    panel.add_patch(
        Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, **style)
    )
    return left, top


def _draw_label(
    panel: Axes, position: tuple[float, float], text: str, colour: Any, above: bool
) -> None:
    """Write a label above a box, or within it where the picture ends."""
    panel.text(
        *position,
        text,
        color="white",
        fontsize=8,
        clip_on=True,
        va="bottom" if above else "top",
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 1},
    )


def precision_table(precisions: Mapping[str, Tensor], names: Sequence[str]) -> str:
    """Tabulate average precisions: a row for each class and a last one for their mean.

    Parameters
    ----------
    precisions
        Average precision of each class, by the title of the network's column. NaN, for a class
        without true boxes, is shown as a dash.
    names
        Names of the classes.

    Returns
    -------
    str
        The table, of several lines.

    Raises
    ------
    ValueError
        If there is no network, or a network has not one average precision for each class.

    Examples
    --------
    >>> print(precision_table({"founder": torch.tensor([0.5, torch.nan])}, ["shirt", "boot"]))
    class  founder
    shirt    0.500
    boot         -
    mean     0.500
    """
    counts = {title: len(values) for title, values in precisions.items()}
    if set(counts.values()) != {len(names)}:
        raise ValueError(
            f"the table needs {len(names)} average precisions of each network, but got {counts}"
        )
    columns = [torch.as_tensor(values).double() for values in precisions.values()]
    rows = [
        ["class", *precisions],
        *(
            [name, *(_format(float(values[index])) for values in columns)]
            for index, name in enumerate(names)
        ),
        ["mean", *(_format(float(values.nanmean())) for values in columns)],
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(_format_row(row, widths) for row in rows)


def _format_row(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
    return "  ".join([row[0].ljust(widths[0]), *cells])


def _format(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
