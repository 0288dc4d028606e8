"""The published comparison of IMF, SVD and JPEG over the rate, beside lrfjax's own codecs.

The published settings of IMF and SVD differ in more than the factorization: their colours, and how
their factors are rounded. IMF, SVD and NMF on one pipeline differ in the factorization alone. The
DCT dictionary is no factorization: encoder and decoder know its V.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lrfjax.errors import InputError
from lrfjax.evaluation.experiments.base import Experiment, Finding, Outcome, Request, gain_finding
from lrfjax.evaluation.mean_curves import MeanCurve, interpolate
from lrfjax.evaluation.methods import METHODS
from lrfjax.evaluation.page import table
from lrfjax.evaluation.report import differences, draw_means, mean_curves, rate_table
from lrfjax.evaluation.results import Row, by_method, read_rows
from lrfjax.evaluation.runner import evaluate

RATES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
TOLERANCE_DB = 0.1
_PUBLISHED = {"IMF": "imf-paper", "SVD": "svd-paper", "JPEG": "jpeg"}
_OWN = ("imf", "svd", "nmf", "dct")
_HIGHEST_DRAWN = 0.8

PAPER_JPEG_QUALITIES = tuple(float(q) for q in range(75))
"""The qualities at which the published curve of JPEG was measured."""

Points = dict[tuple[str, str], list[tuple[float, float]]]


def run(request: Request) -> Outcome:
    """Measure the paper's codecs at its qualities, and lrfjax's own, and compare them.

    The published points, if there are any, are compared with the paper's codecs.
    """
    published = None if request.reference is None else read_reference(request.reference)
    methods = [METHODS[name] for name in (*_PUBLISHED.values(), *_OWN)]
    methods[2] = replace(methods[2], levels=PAPER_JPEG_QUALITIES)
    evaluate(request.data, methods, request.results, show_progress=request.show_progress)
    own = {m.name for m in methods}
    rows = [row for row in read_rows(request.results) if row.method in own]
    by_name = by_method(rows)
    curves = mean_curves(by_name, RATES, "psnr_db", "linear")
    parts = [
        "The paper's IMF and SVD have its settings. IMF, SVD and NMF share one pipeline, all but "
        "the factorization. The DCT dictionary is no factorization: both sides know its V.",
        "Mean PSNR over RGB in dB at rates in bpp, by linear interpolation of each image's curve. "
        "Blank: at least one image has no point at this rate.",
        rate_table(curves),
        *differences(rows, [name for name in ("imf-paper", "svd") if name in by_name]),
    ]
    findings = _orderings(curves)
    if published is not None:
        text, found = _against(published, by_name)
        parts += ["## Ours minus published, in dB\n\n" + text] if text else []
        findings += found
    for metric in ("ssim", "ms_ssim"):
        other = mean_curves(by_name, RATES, metric, "linear")
        parts += [f"## {metric.upper().replace('_', '-')}", rate_table(other)]
    figures = draw_means(by_name, {"psnr": "psnr_db", "ssim": "ssim"}, _HIGHEST_DRAWN)
    return Outcome("IMF, SVD, NMF, the DCT dictionary and JPEG", parts, findings, figures)


def _orderings(curves: dict[str, MeanCurve]) -> list[Finding]:
    low = {name: _up_to(curve, 0.25) for name, curve in curves.items()}
    return [
        gain_finding("the paper's IMF is above its SVD", curves, "IMF, paper", "SVD, paper"),
        gain_finding("the paper's IMF is above JPEG up to 0.25 bpp", low, "IMF, paper", "JPEG"),
        gain_finding("IMF is above SVD on the same pipeline", curves, "IMF", "SVD"),
        gain_finding("IMF is above NMF on the same pipeline", curves, "IMF", "NMF"),
        gain_finding("IMF is above the paper's IMF", curves, "IMF", "IMF, paper"),
        gain_finding(
            "the DCT dictionary is above the paper's IMF", curves, "DCT dictionary", "IMF, paper"
        ),
        gain_finding("the DCT dictionary is above JPEG", curves, "DCT dictionary", "JPEG"),
    ]


def _up_to(curve: MeanCurve, high: float) -> MeanCurve:
    return replace(curve, mean=np.where(curve.rates <= high, curve.mean, np.nan))


def read_reference(path: Path) -> Points:
    """Return published points (bpp, dB) by image and method.

    Raises:
        InputError: if the file cannot be read, or a line is not a point.
    """
    try:
        with path.open(newline="") as file:
            lines = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"reference {str(path)!r} cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"reference {str(path)!r} is not a CSV file: {error}") from error
    points: Points = {}
    for number, line in enumerate(lines, 2):
        try:
            point = float(line["bpp"]), float(line["psnr_db"])
            points.setdefault((line["image"], line["method"]), []).append(point)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"reference {str(path)!r}, line {number} is not a point") from error
    if not points:
        raise InputError(f"reference {str(path)!r} holds no points")
    return points


def _against(published: Points, by_name: Mapping[str, Sequence[Row]]) -> tuple[str, list[Finding]]:
    """Return a table of differences of means over the common images, and the findings.

    Our files have a few dozen bytes of header, the published files hundreds. The difference shows
    at the lowest quality, where both have the same factors of one column. The second row of each
    codec adds this difference to our files; this row should agree.
    """
    lines, findings = [], []
    for method, name in _PUBLISHED.items():
        sizes: dict[str, tuple[int, list[tuple[int, float]]]] = {}
        for row in by_name.get(name, ()):
            points = sizes.setdefault(Path(row.image).name, (row.height * row.width, []))[1]
            points.append((row.num_bytes, row.psnr_db))
        common = [image for image in sizes if (image, method) in published]
        claim = f"{method} within {TOLERANCE_DB} dB of the published mean"
        if not common:
            findings.append(Finding(claim, None, "no image in common"))
            continue
        theirs = _mean([published[image, method] for image in common])
        cheapest = [
            min(published[image, method])[0] * sizes[image][0] / 8 - min(sizes[image][1])[0]
            for image in common
        ]
        framing = round(float(np.median(cheapest)))
        for extra in sorted({0, framing}):
            ours = [
                [(8 * (n + extra) / pixels, value) for n, value in points]
                for pixels, points in (sizes[image] for image in common)
            ]
            difference = _mean(ours) - theirs
            cells = [f"{d:+.3f}" if np.isfinite(d) else "" for d in difference]
            lines.append([f"{method}, {extra} bytes more" if extra else method, *cells])
        has = np.isfinite(difference)
        if not has.any():
            findings.append(Finding(claim, None, "no rate that all images reach in both sets"))
            continue
        worst = float(np.abs(difference[has]).max())
        rates = ", ".join(f"{rate:g}" for rate in np.array(RATES)[has])
        figures = f"at most {worst:.3f} dB off, {len(common)} images, at {rates} bpp"
        if framing:
            figures += f", with {framing} bytes added to our files, the difference at rank 1"
        findings.append(Finding(claim, worst <= TOLERANCE_DB, figures))
    heads = ["codec", *(f"{rate:g}" for rate in RATES)]
    return (table(heads, lines) if lines else ""), findings


def _mean(curves: Sequence[Sequence[tuple[float, float]]]) -> np.ndarray:
    """Return the mean over images of the PSNR at ``RATES``; NaN where an image has none."""
    values = []
    for points in curves:
        rates, psnr = np.array(points).T
        values.append(interpolate(rates, psnr, RATES, "linear"))
    return np.mean(values, axis=0)


EXPERIMENT = Experiment("comparison", "curves of the paper's codecs, lrfjax's own and JPEG", run)
