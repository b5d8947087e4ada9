"""Detections of several networks side by side, and their average precisions as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from .boxes import corners
from .decoding import Detections
from .targets import present


def draw_side_by_side(
    path: str | Path,
    images: Tensor,
    found: Mapping[str, Sequence[Detections]],
    names: Sequence[str],
    targets: Tensor | None = None,
    least: float = 0.3,
) -> None:
    """Draw a PNG with a row for each image and a column for each network.

    Parameters
    ----------
    path
        The file.
    images
        B x 3 x H x W, or B x 1 x H x W; drawn from their least value to their largest, so that normalised ones will do.
    found
        {title of a column: detections of each image}, as ``{"founder": ..., "offspring": ...}``.
    names
        Names of the classes.
    targets
        Truths of each image, B x N x 5, drawn dashed in white.
    least
        Only detections of at least this score are drawn.

    Raises
    ------
    ValueError
        If there is nothing to draw, or a network has not been asked about as many images.
    """
    if (
        not found
        or not len(images)
        or any(len(detections) != len(images) for detections in found.values())
    ):
        counts = {title: len(detections) for title, detections in found.items()}
        raise ValueError(
            f"a picture needs every network's detections in each image, but got "
            f"{len(images)} images and {counts}"
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import hsv_to_rgb
    from matplotlib.figure import Figure

    height, width = images.shape[2:]
    figure = Figure(
        figsize=(4 * len(found), 4 * len(images) * height / width + 0.4), layout="constrained"
    )
    axes = figure.subplots(len(images), len(found), squeeze=False)
    colours = hsv_to_rgb([(index / len(names), 0.9, 0.8) for index in range(len(names))])
    for row, image in enumerate(images):
        shown = _visible(image)
        for column, (title, detections) in enumerate(found.items()):
            panel = axes[row][column]
            panel.imshow(shown, extent=(0, width, height, 0))
            panel.set_axis_off()
            if row == 0:
                panel.set_title(title)
            if targets is not None:
                for box in corners(targets[row][present(targets[row])][:, 1:]).tolist():
                    _draw_box(
                        panel, box, (width, height), "white", linestyle=(0, (4, 3)), linewidth=1
                    )
            for box, score, label in _by_score(detections[row], least):
                left, top = _draw_box(panel, box, (width, height), colours[label], linewidth=2)
                panel.text(
                    left,
                    top,
                    f"{names[label]} {score:.2f}",
                    color="white",
                    fontsize=8,
                    clip_on=True,
                    va="bottom" if box[1] > 0.06 else "top",  # else it would be cut off
                    bbox={"facecolor": colours[label], "edgecolor": "none", "pad": 1},
                )
    FigureCanvasAgg(figure).print_png(str(path))


def _visible(image: Tensor):
    """Height x width x 3, from 0 to 1."""
    image = image.detach().float().cpu().expand(3, -1, -1)
    return (
        ((image - image.min()) / (image.max() - image.min()).clamp(min=1e-6))
        .permute(1, 2, 0)
        .numpy()
    )


def _by_score(detections: Detections, least: float):
    """The detections to draw, the best last and so on top."""
    chosen = [
        entry for entry in zip(*(values.tolist() for values in detections)) if entry[1] >= least
    ]
    return sorted(chosen, key=lambda entry: entry[1])


def _draw_box(panel, box, size, colour, **style):
    """Draw a box given in shares of the image; its left top corner in pixels."""
    from matplotlib.patches import Rectangle

    left, top, right, bottom = (share * pixels for share, pixels in zip(box, (*size, *size)))
    panel.add_patch(
        Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, **style)
    )
    return left, top


def precision_table(found: Mapping[str, Tensor], names: Sequence[str]) -> str:
    """Average precision of every class, a column for each network, and their mean in the last line.

    Parameters
    ----------
    found
        {title of a column: average precisions, one for each class}; nan, for a class without truths, becomes a dash.
    names
        Names of the classes.

    Raises
    ------
    ValueError
        If a network has not as many average precisions as there are names.
    """
    if not found or any(len(values) != len(names) for values in found.values()):
        counts = {title: len(values) for title, values in found.items()}
        raise ValueError(
            f"the table needs {len(names)} average precisions of each network, but got {counts}"
        )
    columns = [torch.as_tensor(values).double() for values in found.values()]
    rows = [
        [name, *(_written(float(values[index])) for values in columns)]
        for index, name in enumerate(names)
    ]
    rows = [
        ["class", *found],
        *rows,
        ["mean", *(_written(float(values.nanmean())) for values in columns)],
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:])),
            ]
        )
        for row in rows
    )


def _written(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
