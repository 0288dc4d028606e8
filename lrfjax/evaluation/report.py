"""The report on a results file: a page of tables and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lrfjax.errors import InputError
from lrfjax.evaluation.compressai import PublishedCurve
from lrfjax.evaluation.mean_curves import Mean, MeanCurve, bd_table, by_image, mean_curve
from lrfjax.evaluation.methods import METHODS
from lrfjax.evaluation.page import table, write_page
from lrfjax.evaluation.paired import Difference, bd_rate_differences, quality_differences
from lrfjax.evaluation.plots import plot_differences, plot_mean_curves
from lrfjax.evaluation.results import Row, by_method, measured

TABLE_RATES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5)
DIFFERENCE_RATES = (0.15, 0.25, 0.5, 1.0)
BD_RATES = (0.1, 1.5)
_FIGURES = {"psnr": "psnr_db", "ssim": "ssim", "ms_ssim": "ms_ssim_db"}
_NUM_RATES = 120
_MOST_REFERENCES, _MOST_FAILURES = 3, 20


def label(method: str) -> str:
    """Return the name of a method in figures and tables, which no other method has."""
    if method in METHODS:
        return METHODS[method].label
    return repr(method) if method in {known.label for known in METHODS.values()} else method


def write_report(
    rows: Sequence[Row],
    folder: Path,
    *,
    anchor: str | None = None,
    reference: str | None = None,
    method: str = "linear",
    published: Sequence[PublishedCurve] = (),
) -> list[Path]:
    """Write a Markdown page with mean curves, differences of codecs and times, and its figures.

    Args:
        rows: rows of a results file. Rows with an error are listed, and are part of nothing else.
        folder: an existing folder.
        anchor: method that the Bjontegaard deltas compare with. By default JPEG; without rows of
            JPEG the deltas are left out.
        reference: method that the differences of all others refer to; by default each of the first
            three methods besides the anchor.
        method: interpolation of each image's curve for the means, see
            ``mean_curves.interpolate``. The deltas use PCHIP.
        published: curves to draw over the figures.

    Returns:
        The paths of the written files, the page first.

    Raises:
        InputError: if there are no rows, the given anchor or reference has no rows, a method has
            several sets of parameters, or a file cannot be written.
    """
    if not rows:
        raise InputError("rows must not be empty")
    failures = _failures(rows)
    rows = measured(rows)
    methods = by_method(rows)
    for name, given in (("anchor", anchor), ("reference", reference)):
        if given is not None and given not in methods:
            there = ", ".join(sorted(methods)) or "none"
            raise InputError(f"{name} {given!r} has no rows; there are {there}")
    if not rows:
        return write_page(folder, "report", "Rate-distortion", failures, {})
    anchor = anchor or "jpeg"
    images = {(row.image, row.digest) for row in rows}
    parts = [f"{len(rows)} measurements of {len(images)} images."]
    parts += _incomplete(methods, images)
    curves = mean_curves(methods, TABLE_RATES, "psnr_db", method)
    parts += [
        f"## PSNR over RGB\n\nMeans over the images in dB at rates in bpp, by {method} "
        "interpolation of each image's curve. Blank: at least one image has no point at this rate.",
        rate_table(curves),
    ]
    if anchor in methods and len(methods) > 1:
        parts += _deltas(rows, anchor)
    others = [name for name in methods if name != anchor][:_MOST_REFERENCES]
    references = [reference] if reference else others
    parts += differences(rows, references, anchor, method)
    parts += ["## Times", times_table(methods), _machine(rows)]
    parts += failures
    figures = draw_means(methods, _FIGURES, BD_RATES[1], method, published)
    if references:
        figures |= _draw_differences(rows, references[0], method)
    return write_page(folder, "report", "Rate-distortion", parts, figures)


def mean_curves(
    methods: Mapping[str, Sequence[Row]], rates: Sequence[float], metric: str, method: str
) -> dict[str, MeanCurve]:
    """Return the mean curve of each method, by label."""
    return {label(name): mean_curve(rows, rates, metric, method) for name, rows in methods.items()}


def plot_rates(rows: Sequence[Row], high: float = BD_RATES[1]) -> list[float]:
    """Return the rates of a figure: the range of the rows up to ``high``, in equal ratios."""
    rates = [row.bpp for row in rows]
    low = min(rates)
    return np.geomspace(low, max(min(max(rates), high), 1.01 * low), _NUM_RATES).tolist()


def draw_means(
    methods: Mapping[str, Sequence[Row]],
    metrics: Mapping[str, str],
    highest: float,
    method: str = "linear",
    published: Sequence[PublishedCurve] = (),
) -> dict[str, Figure]:
    """Return figures of mean curves, by name. A curve needs means at two rates or more.

    Args:
        methods: rows by method.
        metrics: metric of each figure by its name, see ``mean_curve``.
        highest: highest rate drawn, in bpp.
        method: interpolation of each image's curve.
        published: curves to draw over the figures of metrics that they have.
    """
    places = plot_rates([row for rows in methods.values() for row in rows], highest)
    figures = {}
    for name, metric in metrics.items():
        curves = mean_curves(methods, places, metric, method)
        drawn = {n: curve for n, curve in curves.items() if np.isfinite(curve.mean).sum() > 1}
        fitting = [curve for curve in published if metric in curve.metrics]
        if drawn:
            figures[name] = plot_mean_curves(drawn, fitting)
    return figures


def rate_table(curves: Mapping[str, MeanCurve]) -> str:
    """Return the mean of each curve at its rates, as Markdown."""
    rates = next(iter(curves.values())).rates
    used = [k for k in range(len(rates)) if any(np.isfinite(c.mean[k]) for c in curves.values())]
    rows = [
        [name, *("" if math.isnan(curve.mean[k]) else f"{curve.mean[k]:.2f}" for k in used)]
        for name, curve in curves.items()
    ]
    return table(["codec", *(f"{rates[k]:g}" for k in used)], rows)


def _plus_minus(value: float, error: float, digits: int = 2, sign: str = "-") -> str:
    if math.isnan(value):
        return ""
    return f"{value:{sign}.{digits}f}" + ("" if math.isnan(error) else f" ± {error:.{digits}f}")


def _incomplete(methods: Mapping[str, Sequence[Row]], images: set[tuple[str, str]]) -> list[str]:
    """Return a warning that names the methods without all images, if there are any."""
    lacking = {n: len(images - set(by_image(rows))) for n, rows in methods.items()}
    named = ", ".join(f"{label(name)} lacks {count}" for name, count in lacking.items() if count)
    return [f"**Not all methods have all images:** {named}."] if named else []


def _deltas(rows: Sequence[Row], anchor: str) -> list[str]:
    between = f"{BD_RATES[0]:g} to {BD_RATES[1]:g} bpp"
    lines = []
    tables = {m: bd_table(rows, anchor, m, BD_RATES) for m in ("psnr_db", "ssim", "ms_ssim")}
    for name in tables["psnr_db"]:
        cells = [_mean(tables["psnr_db"][name].mean_bd_psnr, 2)]
        cells += [_mean(found[name].mean_bd_rate, 1) for found in tables.values()]
        lines.append([label(name), *cells])
    heads = ["codec", "BD-PSNR (dB)", *(f"BD-rate (%), {n}" for n in ("PSNR", "SSIM", "MS-SSIM"))]
    return [
        f"## Against {label(anchor)}\n\nBjontegaard deltas of each image, means plus or minus one "
        f"standard error: log-rate over quality by PCHIP, {between}, similarities in decibels. A "
        "negative BD-rate means fewer bits. In brackets: the number of images with a common "
        "interval.",
        table(heads, lines),
    ]


def differences(
    rows: Sequence[Row], references: Sequence[str], anchor: str = "jpeg", method: str = "linear"
) -> list[str]:
    """Return tables of the differences of all codecs from references, as parts of a page.

    Args:
        rows: rows of several codecs.
        references: methods that the others refer to, a table each.
        anchor: method that BD-rates compare with; without its rows they are left out.
        method: interpolation of each image's curve.
    """
    methods = by_method(rows)
    if len(methods) < 2 or not references:
        return []
    text = (
        "## Differences\n\nEach codec minus the one in the corner, on the same images: the mean "
        "difference, plus or minus its standard error, and in brackets on how many images the "
        f"codec is ahead. PSNR in dB at rates in bpp, by {method} interpolation. Blank: no image "
        "has both codecs at this rate."
    )
    if anchor in methods:
        text += (
            f" BD-rates against {label(anchor)} (PSNR, PCHIP, {BD_RATES[0]:g} to {BD_RATES[1]:g} "
            "bpp) in percentage points; a negative difference means fewer bits."
        )
    parts = [text]
    for reference in references:
        found = quality_differences(rows, reference, DIFFERENCE_RATES, method=method)
        used = [
            k for k in range(len(DIFFERENCE_RATES)) if any(f[k].mean.count for f in found.values())
        ]
        cells = {name: [difference_cell(row[k]) for k in used] for name, row in found.items()}
        heads = [f"{DIFFERENCE_RATES[k]:g}" for k in used]
        if anchor in methods:
            rates = bd_rate_differences(rows, reference, anchor, rates=BD_RATES)
            cells = {name: [difference_cell(rates[name], 1), *row] for name, row in cells.items()}
            heads = ["BD-rate", *heads]
        lines = [[label(name), *row] for name, row in cells.items()]
        parts.append(table([f"minus {label(reference)}", *heads], lines))
    return parts


def _draw_differences(rows: Sequence[Row], reference: str, method: str) -> dict[str, Figure]:
    """Return the figure of the differences from a reference, if any two codecs share rates."""
    rates = plot_rates(rows)
    found = quality_differences(rows, reference, rates, method=method)
    curves = {label(name): row for name, row in found.items()}
    drawn = {n: row for n, row in curves.items() if sum(d.is_complete for d in row) > 1}
    return {"differences": plot_differences(drawn, rates, label(reference))} if drawn else {}


def difference_cell(difference: Difference, digits: int = 2) -> str:
    """Return the mean with its standard error, and on how many images the codec is ahead."""
    mean = difference.mean
    text = _plus_minus(mean.value, mean.standard_error, digits, "+")
    return text and f"{text} ({difference.num_ahead} of {mean.count})"


def _failures(rows: Sequence[Row]) -> list[str]:
    """Return a part on the rows with an error, grouped by codec and reason, if there are any."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.error:
            groups.setdefault((label(row.method), row.error), []).append(row)
    if not groups:
        return []
    lines = []
    for (name, reason), found in list(groups.items())[:_MOST_FAILURES]:
        images = list(by_image(found))
        others = f" and {len(images) - 1} more" if len(images) > 1 else ""
        cells = name, images[0][0] + others, f"{len(found)}", reason
        lines.append([cell.replace("|", r"\|") for cell in cells])
    left = len(groups) - len(lines)
    parts = ["## Not measured", table(["codec", "images", "measurements", "reason"], lines)]
    return [*parts, f"And {left} more reasons."] if left else parts


def _mean(mean: Mean, digits: int) -> str:
    text = _plus_minus(mean.value, mean.standard_error, digits)
    return text and f"{text} ({mean.count})"


def times_table(methods: Mapping[str, Sequence[Row]]) -> str:
    """Return median times in milliseconds per megapixel, as Markdown; blank if not measured."""
    lines = []
    for name, rows in methods.items():
        cells = []
        for time in ("encode_ms", "decode_ms"):
            found = [getattr(row, time) / (row.height * row.width / 1e6) for row in rows]
            timed = [value for value in found if not math.isnan(value)]
            cells.append(f"{np.median(timed):.1f}" if timed else "")
        lines.append([label(name), *cells, f"{max(row.batch for row in rows)}"])
    return table(["codec", "encode (ms/MP)", "decode (ms/MP)", "images at a time"], lines)


def _machine(rows: Sequence[Row]) -> str:
    devices = sorted({row.device for row in rows})
    versions = sorted({f"{name} {value}" for row in rows for name, value in row.versions.items()})
    return (
        "Medians over all images and levels, without compilation, on "
        f"{'; '.join(devices)}, with {', '.join(versions)}."
    )
