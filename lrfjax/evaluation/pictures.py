"""Images, and collages of what each method makes of one.

Every function returns a matplotlib figure and leaves saving and closing to the caller.
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


def vis_image(image: Any, title: str | None = None, ax: Axes | None = None) -> Figure:
    """Show an image without axes.

    Args:
        image: shape (H, W) or (H, W, 3), uint8.
        title: above the image.
        ax: axes to draw on; new ones by default.

    Returns:
        The figure.

    Raises:
        InputError: if it is not an image.
        InputTypeError: if it is not a uint8 array.
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
    """Show what each method makes of an image, near given bit rates.

    Args:
        results: for each method, rows of ``eval_compression(..., reconstruct=True)``.
        bpps: bit rates; for each, the row of each method that is nearest is shown. One column
            each.
        original: the image before compression, shown in a column of its own where given.
        crop: rows and columns of the image to show; all by default.

    Returns:
        The figure, one row of images for each method.

    Raises:
        InputError: if nothing is asked for, or rows were made without ``reconstruct=True``.
    """
    if not results or not len(bpps):
        raise InputError("results and bpps must not be empty")
    for name, rows in results.items():
        if not rows:
            raise InputError(f"results[{name!r}] must hold at least one row, got none")
    chosen = {name: [nearest_rate(rows, bpp) for bpp in bpps] for name, rows in results.items()}
    for name, rows in chosen.items():
        if any("reconstructed" not in row for row in rows):
            raise InputError(f"results[{name!r}] has rows without an image: reconstruct=True")
    crop = crop or (slice(None), slice(None))
    first = check_image(next(iter(chosen.values()))[0]["reconstructed"])[crop]
    columns = len(bpps) + (original is not None)
    cell = 2.9
    figure, axes = plt.subplots(
        len(chosen),
        columns,
        squeeze=False,
        figsize=(cell * columns, len(chosen) * (cell * first.shape[0] / first.shape[1] + 0.35)),
        layout="constrained",
    )
    for row_axes, (name, rows) in zip(axes, chosen.items(), strict=True):
        cells = list(row_axes)
        if original is not None:
            vis_image(check_image(original)[crop], "original", cells.pop(0))
        for ax, row in zip(cells, rows, strict=True):
            label = f"{name}  {row['bit rate (bpp)']:.3f} bpp  {row['PSNR (dB)']:.2f} dB"
            vis_image(row["reconstructed"][crop], label, ax)
    return figure


def nearest_rate(rows: Sequence[Mapping[str, Any]], bpp: float) -> Mapping[str, Any]:
    """Return the row whose bit rate is nearest to ``bpp``, in ratio."""
    return min(rows, key=lambda row: abs(np.log(row["bit rate (bpp)"] / bpp)))
