"""Rate-distortion over many images: the mean curve, and Bjontegaard deltas image by image.

At one setting, a codec gives each image a different rate, so a mean over images at one setting
mixes rates. Here each image's curve is first interpolated at common rates and then averaged, as in
the figures of arXiv 2408.12691.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrfjax.checks import one_of
from lrfjax.errors import InputError
from lrfjax.evaluation.bjontegaard import bd_psnr, bd_rate
from lrfjax.evaluation.rate_distortion import (
    check_curve,
    quality_at,
    restrict_rates,
    rising_part,
    similarity_decibels,
)
from lrfjax.evaluation.results import Row, by_method, measured

METRICS = ("psnr_db", "ssim", "ms_ssim", "ssim_db", "ms_ssim_db")
"""Metrics of mean curves; ``_db`` converts a similarity to decibels before anything else."""

INTERPOLATIONS = ("pchip", "linear")

Image = tuple[str, str]
"""The name of an image and the digest of its pixels."""


@dataclass(frozen=True, eq=False)
class MeanCurve:
    """The mean of a metric over images, at given rates.

    Attributes:
        rates: shape (n,), in bpp.
        mean: shape (n,), in the unit of the metric; NaN where there is no mean.
        standard_error: standard error of the mean, shape (n,): the standard deviation between
            images (ddof 1) over the square root of their number; NaN for fewer than 2 images.
        count: number of images whose curve covers the rate, shape (n,), integers.
        metric: name of the metric, from ``METRICS``.
        method: interpolation of each image's curve, from ``INTERPOLATIONS``.
        num_images: number of images.
    """

    rates: np.ndarray
    mean: np.ndarray
    standard_error: np.ndarray
    count: np.ndarray
    metric: str
    method: str
    num_images: int


@dataclass(frozen=True)
class Mean:
    """A mean over images.

    Attributes:
        value: the mean; NaN without images.
        standard_error: standard error of the mean (ddof 1); NaN for fewer than 2 images.
        count: number of images with a value.
    """

    value: float
    standard_error: float
    count: int


@dataclass(frozen=True, eq=False)
class BdSummary:
    """Bjontegaard deltas of a codec against the anchor, image by image.

    Attributes:
        images: names of the n images.
        bd_rate: shape (n,), in percent; NaN for an image whose curves share no interval.
        bd_psnr: shape (n,), in dB, of the similarity if that is the metric; NaN as ``bd_rate``.
    """

    images: tuple[str, ...]
    bd_rate: np.ndarray
    bd_psnr: np.ndarray

    @property
    def mean_bd_rate(self) -> Mean:
        """The mean BD-rate in percent, over the images that have one."""
        return mean_of(self.bd_rate)

    @property
    def mean_bd_psnr(self) -> Mean:
        """The mean BD-PSNR in dB, over the images that have one."""
        return mean_of(self.bd_psnr)


def interpolate(rates: Any, qualities: Any, at: Any, method: str = "pchip") -> np.ndarray:
    """Return the quality of a curve at given rates.

    Args:
        rates: shape (n,), positive.
        qualities: shape (n,), finite.
        at: rates to evaluate at, any shape.
        method: ``"pchip"`` over the logarithm of the rate (see ``quality_at``), or ``"linear"``
            over the rate. Points outside the ``rising_part`` are left out.

    Returns:
        Qualities in the shape of ``at``; NaN outside the rates of the curve, and everywhere if it
        has fewer than 2 points.

    Raises:
        InputError: if lengths differ, a rate is not positive, a quality is not finite, or the
            method is unknown.

    Example:
        >>> interpolate([0.1, 0.3, 0.5], [30, 34, 36], [0.05, 0.2, 0.5], "linear").tolist()
        [nan, 32.0, 36.0]
    """
    one_of("method", method, INTERPOLATIONS)
    rates, qualities = check_curve("rates", rates, qualities)
    if method == "pchip":
        return quality_at(rates, qualities, at)
    at = np.asarray(at, float)
    rates, qualities = rising_part(rates, qualities)
    if len(rates) < 2:
        return np.full(at.shape, np.nan)
    return np.interp(at, rates, qualities, left=np.nan, right=np.nan)


def mean_curve(
    rows: Sequence[Row],
    at: Sequence[float],
    metric: str = "psnr_db",
    method: str = "pchip",
    require_all: bool = True,
) -> MeanCurve:
    """Return the mean over images of a metric at given rates.

    A point without a finite value (a lossless file, the similarity of a small image) is not part
    of a curve. An image is left out at the rates that its curve does not cover.

    Args:
        rows: rows of one codec with one set of parameters: any number of images, several levels
            each. Rows with an error are left out.
        at: rates in bpp, shape (n,).
        metric: ``"psnr_db"``; ``"ssim"`` or ``"ms_ssim"``, averaged as they are; or ``"ssim_db"``
            or ``"ms_ssim_db"``, converted to decibels (``similarity_decibels``) before
            interpolation and mean. That differs from the decibels of the mean.
        method: interpolation of each image's curve, see ``interpolate``.
        require_all: whether a mean needs the values of all images. If false, the mean at each rate
            is over the images that reach it. It jumps where an image enters or leaves: near the
            ends only easy or only hard images are left, and two codecs are compared over different
            images.

    Raises:
        InputError: if there are no rows, they mix codecs or parameters, ``at`` is not a vector of
            rates, or the metric or method is unknown.
    """
    one_of("metric", metric, METRICS)
    one_of("method", method, INTERPOLATIONS)
    rows = measured(rows)
    check_one_codec(rows)
    places = np.asarray(at, float)
    if places.ndim != 1 or not places.size:
        raise InputError(f"at must hold rates, got shape {places.shape}")
    images = by_image(rows)
    values = np.stack([interpolate(*curve(r, metric), places, method) for r in images.values()])
    means = [mean_of(column) for column in values.T]
    count = np.array([m.count for m in means])
    hidden = (count < len(images)) & require_all
    mean, error = (
        np.where(hidden, np.nan, column)
        for column in ([m.value for m in means], [m.standard_error for m in means])
    )
    return MeanCurve(places, mean, error, count, metric, method, len(images))


def bd_table(
    rows: Sequence[Row],
    anchor: str = "jpeg",
    metric: str = "psnr_db",
    rates: tuple[float, float] = (0.1, 1.5),
) -> dict[str, BdSummary]:
    """Return Bjontegaard deltas of every codec except the anchor, image by image.

    They interpolate log-rate over quality by PCHIP, see ``bd_rate`` and ``bd_psnr``.

    Args:
        rows: rows of several codecs, each with one set of parameters. Rows with an error are left
            out.
        anchor: ``method`` of the rows to compare with.
        metric: ``"psnr_db"``, ``"ssim"`` or ``"ms_ssim"``; similarities are converted to decibels
            (``similarity_decibels``).
        rates: lowest and highest rate in bpp; curves are first cut there (``restrict_rates``).

    Returns:
        A summary for each codec, in order of first appearance. An image that the anchor lacks has
        NaN.

    Raises:
        InputError: if the anchor has no rows, a codec has several sets of parameters, the rates
            are not in order, or the metric is unknown.
    """
    one_of("metric", metric, ("psnr_db", "ssim", "ms_ssim"))
    if len(rates) != 2 or not 0 <= rates[0] < rates[1]:
        raise InputError(f"rates must be (lowest, highest), got {rates!r}")
    codecs = by_method(rows)
    if anchor not in codecs:
        raise InputError(f"anchor {anchor!r} is not among {sorted(codecs)}")
    unit = metric if metric == "psnr_db" else f"{metric}_db"
    parts: dict[str, dict[Image, tuple[np.ndarray, np.ndarray]]] = {}
    for name, own in codecs.items():
        check_one_codec(own)
        parts[name] = {
            image: restrict_rates(*curve(points, unit), *rates)
            for image, points in by_image(own).items()
        }
    anchors = parts.pop(anchor)
    nothing = np.empty(0), np.empty(0)
    table = {}
    for name, curves in parts.items():
        pairs = [(*anchors.get(image, nothing), *part) for image, part in curves.items()]
        table[name] = BdSummary(
            tuple(image for image, _ in curves),
            np.array([bd_rate(*pair) for pair in pairs]),
            np.array([bd_psnr(*pair) for pair in pairs]),
        )
    return table


def check_one_codec(rows: Sequence[Row]) -> None:
    """Raise InputError unless there are rows, all of one codec with one set of parameters."""
    if not rows:
        raise InputError("rows must not be empty")
    if len(names := {row.method for row in rows}) > 1:
        raise InputError(f"rows must be of one method, got {sorted(names)}")
    settings = {row.key[-1] for row in rows}
    if len(settings) > 1:
        raise InputError(f"rows of {names.pop()!r} mix parameters: {', '.join(sorted(settings))}")


def by_image(rows: Sequence[Row]) -> Mapping[Image, list[Row]]:
    """Return the rows of each image, by its name and the digest of its pixels."""
    found: dict[Image, list[Row]] = {}
    for row in rows:
        found.setdefault((row.image, row.digest), []).append(row)
    return found


def curve(rows: Sequence[Row], metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rates in bpp and values of a metric, without non-finite ones, shape (n,) each."""
    name = metric.removesuffix("_db") if metric != "psnr_db" else metric
    values = np.array([getattr(row, name) for row in rows], float)
    if name != metric:
        values = similarity_decibels(values)
    keep = np.isfinite(values)
    return np.array([row.bpp for row in rows])[keep], values[keep]


def mean_of(values: np.ndarray) -> Mean:
    """Return the mean of the values that are not NaN, shape (n,), with its standard error."""
    values = values[~np.isnan(values)]
    n = len(values)
    error = float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return Mean(float(np.mean(values)) if n else float("nan"), error, n)
