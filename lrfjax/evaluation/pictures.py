"""Figures of images: single ones, and collages of an image decoded by several methods.

Figures are matplotlib's; saving and closing them is left to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrfjax.errors import InputError
from lrfjax.evaluation.plots import make_axes
from lrfjax.image.reading import check_image

_GAP, _TITLE = 0.06, 0.38
"""Space between the columns of a collage and above each image, in inches."""


def vis_image(image: Any, title: str | None = None, ax: Axes | None = None) -> Figure:
    """Show an image without axes.

    Args:
        image: shape (H, W) or (H, W, 3), uint8.
        title: title above the image.
        ax: axes to draw on; new ones by default.

    Returns:
        The figure.

    Raises:
        InputError: if the shape is not that of an image.
        InputTypeError: if the image is not a uint8 array.
    """
    pixels = check_image(image)
    height, width = pixels.shape[:2]
    figure, ax = make_axes(ax, (6.4, 6.4 * height / width))
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title, fontsize=9)
    return figure


def vis_collage(
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    bpps: Sequence[float],
    original: Any | None = None,
    crop: tuple[slice, slice] | None = None,
) -> Figure:
    """Show an image as each method decodes it, near given bit rates.

    Args:
        results: for each method, rows of ``eval_compression(..., reconstruct=True)``.
        bpps: bit rates, one row of the collage each. Each method shows its nearest rate.
        original: the image before compression, shown once, in a column of its own.
        crop: rows and columns of the image to show; all by default.

    Returns:
        The figure, one column of images for each method. A crop of 140 to 290 columns keeps its
        pixels at 100 dots per inch.

    Raises:
        InputError: if ``results`` or ``bpps`` is empty, or the rows have no decoded images.
    """
    if not results or not len(bpps):
        raise InputError("results and bpps must not be empty")
    for name, rows in results.items():
        if not rows:
            raise InputError(f"results[{name!r}] must hold at least one row, got none")
    chosen = {name: [nearest_rate(rows, bpp) for bpp in bpps] for name, rows in results.items()}
    for name, rows in chosen.items():
        if any("reconstructed" not in row for row in rows):
            raise InputError(f"results[{name!r}] has rows without an image; use reconstruct=True")
    crop = crop or (slice(None), slice(None))
    first = check_image(next(iter(chosen.values()))[0]["reconstructed"])[crop]
    height, width = first.shape[:2]
    cell = min(max(width / 100, 1.4), 2.9)
    tall = cell * height / width
    columns = len(chosen) + (original is not None)
    size = columns * (cell + _GAP) - _GAP, len(bpps) * (tall + _TITLE)
    figure = plt.figure(figsize=size)

    def place(row: float, column: int) -> Axes:
        """Return axes of exactly the size of a cell, so that pixels stay pixels."""
        left, top = column * (cell + _GAP), row * (tall + _TITLE) + _TITLE
        return figure.add_axes(
            (left / size[0], 1 - (top + tall) / size[1], cell / size[0], tall / size[1])
        )

    if original is not None:
        vis_image(check_image(original)[crop], "original", place((len(bpps) - 1) / 2, 0))
    for column, (name, rows) in enumerate(chosen.items(), columns - len(chosen)):
        for row, shown in enumerate(rows):
            label = f"{name}\n{shown['bit rate (bpp)']:.3f} bpp, {shown['PSNR (dB)']:.2f} dB"
            vis_image(shown["reconstructed"][crop], label, place(row, column))
    return figure


def nearest_rate(rows: Sequence[Mapping[str, Any]], bpp: float) -> Mapping[str, Any]:
    """Return the row whose bit rate is nearest to ``bpp``, in ratio."""
    return min(rows, key=lambda row: abs(np.log(row["bit rate (bpp)"] / bpp)))
