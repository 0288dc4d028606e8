"""Figures of curves: convergence, rate-distortion of an image, means over images.

The functions return matplotlib figures; closing them is left to the caller.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrfjax.errors import InputError
from lrfjax.evaluation.compressai import PublishedCurve
from lrfjax.evaluation.convergence import SweepTimes
from lrfjax.evaluation.mean_curves import Mean, MeanCurve
from lrfjax.evaluation.paired import Difference
from lrfjax.evaluation.rate_distortion import restrict_rates, rising_part
from lrfjax.evaluation.styles import (
    bound_styles,
    curve_styles,
    legend_text,
    published_styles,
    sparse,
)
from lrfjax.image.writing import check_writable, write_atomically
from lrfjax.types import History, Result

_METRIC_LABELS = {
    "psnr_db": "PSNR over RGB (dB)",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "ssim_db": r"SSIM as $-10\,\log_{10}(1 - s)$ (dB)",
    "ms_ssim_db": r"MS-SSIM as $-10\,\log_{10}(1 - s)$ (dB)",
}
_BAND_NOTE = "\nband: one standard error"
SUFFIXES = (".pdf", ".svg", ".png")
DPI = 150
"""Dots per inch of PNG files, and of images inside the other files."""


def plot_convergence(
    results: Mapping[str, Result | History],
    bounds: Mapping[str, float] | None = None,
    ax: Axes | None = None,
    *,
    times: Mapping[str, SweepTimes] | None = None,
) -> Figure:
    """Plot the relative error over the sweeps, or over the time, on a logarithmic axis.

    Args:
        results: result or history by name, of one problem or of a batch. A batch is drawn as its
            median with a band from the 10th to the 90th percentile.
        bounds: heights of horizontal lines by label, such as the SVD bound.
        ax: axes to draw on; new ones by default.
        times: times from ``time_sweeps`` for every name. They plot the error over milliseconds,
            with the start and without compilation.

    Returns:
        The figure.

    Raises:
        InputError: if there is nothing to plot, or a name has no times.
    """
    if not results:
        raise InputError("results must hold at least one history, got none")
    if times is not None and (missing := sorted(set(results) - set(times))):
        raise InputError(f"times must have all results, lacks {missing}")
    figure, ax = make_axes(ax, (6.4, 4.0))
    has_band = False
    for name, style in curve_styles(results).items():
        result = results[name]
        history = result.history if isinstance(result, Result) else result
        error, sweeps = np.asarray(history.relative_error), np.asarray(history.sweeps)
        error, sweeps = (a.reshape(-1, a.shape[-1]) for a in (error, sweeps))
        # Entries after a stop repeat the last one, at the same number of sweeps.
        done, first = np.unique(sweeps.max(axis=0), return_index=True)
        place = done if times is None else 1e3 * times[name].after(done)
        median = np.median(error, axis=0)[first]
        ax.plot(place, median, label=legend_text(name), **sparse(style, done.size))
        if error.shape[0] > 1:
            low, high = np.percentile(error, (10, 90), axis=0)
            band = {"color": style["color"], "alpha": 0.2, "linewidth": 0}
            ax.fill_between(place, low[first], high[first], **band)
            has_band = True
    bounds = bounds or {}
    for (name, value), style in zip(bounds.items(), bound_styles(len(bounds)), strict=True):
        ax.axhline(value, label=legend_text(name), **style)
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
        results: for each method, rows of ``eval_compression``. Points outside the
            ``rising_part`` of a method are drawn pale and left out of its line.
        metric: key of the rows to plot.
        ax: axes to draw on; new ones by default.

    Returns:
        The figure.

    Raises:
        InputError: if a row lacks the metric, or there is nothing to plot.
    """
    if not results:
        raise InputError("results must hold at least one method, got none")
    figure, ax = make_axes(ax, (6.4, 4.4))
    styles = curve_styles(results)
    for name, rows in results.items():
        for row in rows:
            if metric not in row:
                raise InputError(f"metric {metric!r} is not among {sorted(row)}")
        rates = np.array([row["bit rate (bpp)"] for row in rows])
        values = np.array([row[metric] for row in rows], float)
        style = styles[name] | {"markersize": 3.5}
        if style["linestyle"] != "-":
            style["markerfacecolor"] = "white"
        ax.plot(rates, values, **{**style, "linestyle": "none"}, alpha=0.35)
        ax.plot(*rising_part(rates, values), label=legend_text(name), **style)
    ax.set_xlabel("bit rate (bpp)")
    ax.set_ylabel(metric)
    ax.set_xlim(left=0)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return figure


def plot_mean_curves(
    curves: Mapping[str, MeanCurve],
    published: Sequence[PublishedCurve] = (),
    ax: Axes | None = None,
) -> Figure:
    """Plot means over images, each with a band of one standard error on both sides.

    Args:
        curves: for each method, a curve of the same metric.
        published: published curves, drawn dotted within the rates of ``curves``.
        ax: axes to draw on; new ones by default.

    Returns:
        The figure.

    Raises:
        InputError: if there is nothing to plot, metrics differ, or a published curve lacks the
            metric or has no point among the rates.
    """
    drawn = {name: np.isfinite(curve.mean) for name, curve in curves.items()}
    if not curves or not all(has_mean.any() for has_mean in drawn.values()):
        empty = [name for name, has_mean in drawn.items() if not has_mean.any()]
        raise InputError(f"curves must each have a mean at some rate, got none of {empty}")
    metrics = {curve.metric for curve in curves.values()}
    if len(metrics) > 1:
        raise InputError(f"curves must be of one metric, got {sorted(metrics)}")
    metric = metrics.pop()
    rates = np.concatenate([curve.rates[drawn[name]] for name, curve in curves.items()])
    parts = [_part(other, metric, rates.min(), rates.max()) for other in published]
    figure, ax = make_axes(ax, (6.4, 4.4))
    has_band = False
    for name, style in curve_styles(curves).items():
        curve = curves[name]
        # NaN values stay in, so that the line breaks where the mean is missing.
        ax.plot(curve.rates, curve.mean, label=legend_text(name), **sparse(style, curve.rates.size))
        low, high = curve.mean - curve.standard_error, curve.mean + curve.standard_error
        if np.isfinite(low).any():
            color = style["color"]
            ax.fill_between(curve.rates, low, high, color=color, alpha=0.18, linewidth=0)
            has_band = True
    others = published_styles(len(published))
    for other, part, style in zip(published, parts, others, strict=True):
        ax.plot(*part, label=legend_text(other.name), **style, markersize=3)
    ax.set_xlabel("bit rate (bpp)")
    ax.set_ylabel(_METRIC_LABELS[metric] + _images_note(curves) + _BAND_NOTE * has_band)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return figure


def plot_differences(
    differences: Mapping[str, Sequence[Difference]],
    rates: Sequence[float],
    reference: str,
    ax: Axes | None = None,
) -> Figure:
    """Plot mean differences in PSNR from one codec, each with a band of one standard error.

    The band is that of the difference. It does not hold how images differ from each other, so it
    is much narrower than those of ``plot_mean_curves``.

    Args:
        differences: for each codec, its differences at each rate, see ``quality_differences``. A
            line breaks at rates that some image has not.
        rates: rates in bpp, shape (n,).
        reference: name of the codec that was subtracted.
        ax: axes to draw on; new ones by default.

    Returns:
        The figure.

    Raises:
        InputError: if there is nothing to plot, or a codec has another number of differences.
    """
    if not differences:
        raise InputError("differences must hold at least one codec, got none")
    for name, row in differences.items():
        if len(row) != len(rates):
            raise InputError(f"differences[{name!r}] must have {len(rates)} rates, got {len(row)}")
    figure, ax = make_axes(ax, (6.4, 4.4))
    # The reference takes its own style, so that each codec looks as in the other figures.
    styles = curve_styles([reference, *differences])
    places = np.asarray(rates, float)
    ax.axhline(0.0, label=legend_text(reference), color=styles[reference]["color"])
    for name, row in differences.items():
        means = [d.mean if d.is_complete else Mean(np.nan, np.nan, 0) for d in row]
        mean = np.array([m.value for m in means])
        error = np.array([m.standard_error for m in means])
        ax.plot(places, mean, label=legend_text(name), **sparse(styles[name], places.size))
        band = {"color": styles[name]["color"], "alpha": 0.18, "linewidth": 0}
        ax.fill_between(places, mean - error, mean + error, **band)
    ax.set_xlabel("bit rate (bpp)")
    ax.set_ylabel(f"PSNR over RGB minus that of {reference} (dB){_BAND_NOTE}")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return figure


def _part(
    curve: PublishedCurve, metric: str, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of a published curve between two rates, or raise InputError."""
    if metric not in curve.metrics:
        raise InputError(f"published {curve.name!r} has no {metric!r}: {list(curve.metrics)}")
    is_lossy = np.isfinite(curve.metrics[metric])
    part = restrict_rates(curve.bpp[is_lossy], curve.metrics[metric][is_lossy], low, high)
    if not part[0].size:
        raise InputError(f"published {curve.name!r} has no point from {low:g} to {high:g} bpp")
    return part


def _images_note(curves: Mapping[str, MeanCurve]) -> str:
    counts = sorted({curve.num_images for curve in curves.values()})
    if counts == [1]:
        return ", of 1 image"
    return f", mean of {' to '.join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))} images"


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as .pdf, .svg or .png, whole or not at all; the figure stays open.

    The same figure gives the same bytes: files have no dates, and their identifiers are fixed.

    Args:
        figure: the figure to write.
        path: path of the file, whose suffix sets the format. PNG has 150 dots per inch.

    Raises:
        InputError: if the suffix is none of these, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"path {os.fspath(path)!r} must end in one of {', '.join(SUFFIXES)}")
    check_writable(path)
    dates = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}
    buffer = io.BytesIO()
    with plt.rc_context({"svg.hashsalt": "lrfjax"}):
        figure.savefig(buffer, format=suffix[1:], dpi=DPI, metadata=dates[suffix])
    write_atomically(path, buffer.getvalue())


def make_axes(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Return a figure and its axes, new ones of a size in inches if none are given."""
    if ax is None:
        figure, ax = plt.subplots(figsize=size, layout="constrained")
        return figure, ax
    return ax.get_figure(root=True), ax  # type: ignore[return-value]
