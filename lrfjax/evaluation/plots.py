"""Figures: convergence, rate-distortion, images and collages of them.

One colour for each method throughout, from the palette of Okabe and Ito, which stays apart under
the common kinds of colour blindness. Every function returns a matplotlib figure and leaves saving
and closing to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrfjax.errors import InputError
from lrfjax.evaluation.convergence import SweepTimes
from lrfjax.evaluation.rate_distortion import rising_part
from lrfjax.image.reading import check_image
from lrfjax.types import History, Result

METHOD_COLORS = {
    "IMF": "#0072B2",
    "NMF": "#E69F00",
    "SVD": "#009E73",
    "JPEG": "#D55E00",
    "WEBP": "#CC79A7",
}
_OTHER_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000")


def method_color(name: str, index: int = 0) -> str:
    """Return the colour of a method: its own, or for other names one by index.

    What follows a comma tells variants of a method apart, which share its colour.
    """
    method = name.partition(",")[0].upper()
    return METHOD_COLORS.get(method, _OTHER_COLORS[index % len(_OTHER_COLORS)])


def plot_convergence(
    results: Mapping[str, Result | History],
    bounds: Mapping[str, float] | None = None,
    ax: Axes | None = None,
    *,
    times: Mapping[str, SweepTimes] | None = None,
) -> Figure:
    """Plot the relative error over the sweeps, or over the time, on a logarithmic axis.

    Args:
        results: the result or history of one problem for each name, or of a batch: then the
            median, and a band from the 10th to the 90th percentile.
        bounds: horizontal lines to draw, such as the SVD bound, by label.
        ax: axes to draw on; new ones by default.
        times: from ``time_sweeps``, for every name: plots over milliseconds, start included and
            compilation not.

    Returns:
        The figure.

    Raises:
        InputError: if there is nothing to plot, or a name has no times.
    """
    if not results:
        raise InputError("results must hold at least one history, got none")
    if times is not None and (missing := sorted(set(results) - set(times))):
        raise InputError(f"times must have all results, lacks {missing}")
    figure, ax = _axes(ax, (6.4, 4.0))
    has_band = False
    for index, (name, result) in enumerate(results.items()):
        history = result.history if isinstance(result, Result) else result
        error, sweeps = np.asarray(history.relative_error), np.asarray(history.sweeps)
        error, sweeps = (a.reshape(-1, a.shape[-1]) for a in (error, sweeps))
        # Entries after a stop repeat the last one, at the same number of sweeps.
        done, first = np.unique(sweeps.max(axis=0), return_index=True)
        place = done if times is None else 1e3 * times[name].after(done)
        color = method_color(name, index)
        style: dict[str, Any] = {"marker": "o", "markersize": 3.5} if done.size <= 25 else {}
        ax.plot(place, np.median(error, axis=0)[first], label=name, color=color, **style)
        if error.shape[0] > 1:
            low, high = np.percentile(error, (10, 90), axis=0)
            ax.fill_between(place, low[first], high[first], color=color, alpha=0.2, linewidth=0)
            has_band = True
    for index, (name, value) in enumerate((bounds or {}).items()):
        ax.axhline(value, label=name, color="#555555", linestyle=("--", ":", "-.")[index % 3])
    if any(np.any(np.asarray(line.get_ydata()) > 0) for line in ax.lines):
        ax.set_yscale("log")
    ax.set_xlabel("sweeps" if times is None else "time (ms)")
    note = "\nmedian, 10th to 90th percentile" if has_band else ""
    ax.set_ylabel(r"relative error $\|X - UV^\top\|_F \,/\, \|X\|_F$" + note)
    ax.grid(alpha=0.3, which="both")
    ax.legend(frameon=False)
    return figure


def plot_rate_distortion(
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    metric: str = "PSNR (dB)",
    ax: Axes | None = None,
) -> Figure:
    """Plot a metric over the bit rate.

    Args:
        results: for each method, rows of ``eval_compression``. Points that a cheaper one of the
            same method equals are drawn pale and left out of the line.
        metric: the key to plot.
        ax: axes to draw on; new ones by default.

    Returns:
        The figure.

    Raises:
        InputError: if a row has no such key, or there is nothing to plot.
    """
    if not results:
        raise InputError("results must hold at least one method, got none")
    figure, ax = _axes(ax, (6.4, 4.4))
    for index, (name, rows) in enumerate(results.items()):
        for row in rows:
            if metric not in row:
                raise InputError(f"metric {metric!r} is not among {sorted(row)}")
        rates = np.array([row["bit rate (bpp)"] for row in rows])
        values = np.array([row[metric] for row in rows], float)
        # A variant of a method (a name with a comma) shares its colour, and is dashed and hollow.
        style: dict[str, Any] = {"color": method_color(name, index), "markersize": 3.5}
        if "," in name:
            style |= {"markerfacecolor": "white", "linestyle": "--"}
        ax.plot(rates, values, "o", **{**style, "linestyle": "none"}, alpha=0.35)
        best = rising_part(rates, values)
        ax.plot(*best, marker="o", label=name, **style)
    ax.set_xlabel("bit rate (bpp)")
    ax.set_ylabel(metric)
    ax.set_xlim(left=0)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return figure


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
    figure, ax = _axes(ax, (6.4, 6.4 * height / width))
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


def _axes(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    if ax is None:
        figure, ax = plt.subplots(figsize=size, layout="constrained")
        return figure, ax
    return ax.get_figure(root=True), ax  # type: ignore[return-value]
