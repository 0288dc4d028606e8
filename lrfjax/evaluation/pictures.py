"""Figures of images: single ones, and collages of an image decoded by several methods.

Figures are matplotlib's; closing them is left to the caller.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.evaluation.plots import DPI, make_axes
from lrfjax.evaluation.saving import DEFAULT_FORMAT, Saver, saver
from lrfjax.image.reading import check_image

Row = Mapping[str, Any]
"""A row of ``eval_compression``, possibly with more entries."""

_RATE, _PSNR = "bit rate (bpp)", "PSNR (dB)"
_GAP, _TITLE = 0.06, 0.38
"""Space between the columns of a collage and above each image, in inches."""


def vis_image(
    image: Any,
    title: str | None = None,
    ax: Axes | None = None,
    *,
    save_dir: str | os.PathLike[str] | None = None,
    prefix: str = "",
    format: str = DEFAULT_FORMAT,
) -> Figure:
    """Show an image without axes, and save the figure if a folder is given.

    Args:
        image: shape (H, W) or (H, W, 3), uint8.
        title: title above the image.
        ax: axes to draw on; new ones by default.
        save_dir: folder for the figure, created if it is missing.
        prefix: name of the file, ``<save_dir>/<prefix>.<format>``; ``image`` by default.
        format: ``"pdf"``, ``"svg"`` or ``"png"``.

    Returns:
        The figure.

    Raises:
        InputError: if the shape is not that of an image, ``prefix`` or ``format`` is given without
            ``save_dir``, the format is unknown, or the file cannot be written.
        InputTypeError: if the image is not a uint8 array.
    """
    pixels = check_image(image)
    saves = saver(save_dir, prefix, format)
    height, width = pixels.shape[:2]
    figure, ax = make_axes(ax, (6.4, 6.4 * height / width))
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title, fontsize=9)
    if saves is not None:
        saves.save(figure, *[] if prefix else ["image"])
    return figure


def vis_collage(
    results: Mapping[str, Sequence[Row]] | Sequence[Row],
    bpps: Sequence[float],
    original: Any | None = None,
    crop: tuple[slice, slice] | None = None,
    *,
    save_dir: str | os.PathLike[str] | None = None,
    prefix: str = "",
    format: str = DEFAULT_FORMAT,
) -> Figure:
    """Show an image as each method decodes it, near given bit rates.

    With ``save_dir``, the collage is saved as ``<prefix>-collage.<format>``, and each picture in it
    by itself as ``<prefix>-<method>-<rate>bpp-<PSNR>dB.<format>``, such as
    ``kodim01-IMF-0.201bpp-25.31dB.pdf``. What file names do not hold becomes an underscore.

    Args:
        results: for each method, rows of ``eval_compression(..., reconstruct=True)``; or all rows
            in one sequence, each with the name of its method as ``"method"``. Rows may have the
            name of their image as ``"data"``, which must be the same in all of them.
        bpps: bit rates, one row of the collage each. Each method shows its nearest rate.
        original: the image before compression, shown once, in a column of its own.
        crop: rows and columns of the image to show; all by default.
        save_dir: folder for the collage and its pictures, created if it is missing.
        prefix: beginning of the names of the files.
        format: ``"pdf"``, ``"svg"`` or ``"png"``.

    Returns:
        The figure, one column of images for each method. A crop of 140 to 290 columns keeps its
        pixels at 100 dots per inch.

    Raises:
        InputError: if ``results`` or ``bpps`` is empty, a rate is not positive, rows lack a rate,
            a PSNR, a method or a decoded image, or are of several images, and as ``vis_image``.
        InputTypeError: if ``results`` is something else.
    """
    saves = saver(save_dir, prefix, format)
    methods = _by_method(results)
    if not methods or not len(bpps):
        raise InputError("results and bpps must not be empty")
    for bpp in bpps:
        if not checks.real("bpps", bpp, 0.0):
            raise InputError(f"bpps must be above 0, got {bpp}")
    for name, rows in methods.items():
        if not rows:
            raise InputError(f"results[{name!r}] must hold at least one row, got none")
        for key in (_RATE, _PSNR):
            if any(key not in row for row in rows):
                raise InputError(f"results[{name!r}] has rows without {key!r}")
    chosen = {name: [nearest_rate(rows, bpp) for bpp in bpps] for name, rows in methods.items()}
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
            label = f"{name}\n{shown[_RATE]:.3f} bpp, {shown[_PSNR]:.2f} dB"
            vis_image(shown["reconstructed"][crop], label, place(row, column))
    if saves is not None:
        saves.save(figure, "collage")
        for name, rows in chosen.items():
            # Two rates may have the same row nearest to them.
            for shown in {id(row): row for row in rows}.values():
                rate, psnr = f"{shown[_RATE]:.3f}bpp", f"{shown[_PSNR]:.2f}dB"
                _save_picture(saves, shown["reconstructed"][crop], name, rate, psnr)
    return figure


def _by_method(results: Any) -> dict[str, Sequence[Row]]:
    """Return the rows of each method."""
    if isinstance(results, Mapping):
        return dict(results)
    if isinstance(results, str) or not isinstance(results, Sequence):
        raise InputTypeError(f"results must be rows, or rows by method, got {results!r:.80}")
    methods: dict[str, list[Row]] = {}
    for number, row in enumerate(results):
        if not isinstance(row, Mapping):
            raise InputTypeError(f"results[{number}] must be a row, got {row!r:.80}")
        if not isinstance(row.get("method"), str):
            raise InputError(f"results[{number}] must have a 'method', got {sorted(row)}")
        methods.setdefault(row["method"], []).append(row)
    names = dict.fromkeys(str(row["data"]) for row in results if "data" in row)
    if len(names) > 1:
        raise InputError(f"results must be of one image, got data {', '.join(map(repr, names))}")
    return dict(methods)


def _save_picture(saves: Saver, image: np.ndarray, *words: str) -> None:
    """Save an image alone, pixel by pixel."""
    # The colour map of gray images changes some gray levels by one.
    pixels = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    # A little more than whole pixels, since matplotlib rounds the size down.
    figure = plt.figure(figsize=[(n + 0.01) / DPI for n in (image.shape[1], image.shape[0])])
    try:
        vis_image(pixels, ax=figure.add_axes((0, 0, 1, 1)))
        saves.save(figure, *words)
    finally:
        plt.close(figure)


def nearest_rate(rows: Sequence[Mapping[str, Any]], bpp: float) -> Mapping[str, Any]:
    """Return the row whose bit rate is nearest to ``bpp``, in ratio."""
    return min(rows, key=lambda row: abs(np.log(row[_RATE] / bpp)))
