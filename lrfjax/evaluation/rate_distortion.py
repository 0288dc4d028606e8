"""Rate-distortion curves: rising part, interpolation, restriction, least margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from lrfjax.errors import InputError

_GRID = 1001


@dataclass(frozen=True)
class Margin:
    """The smallest difference in quality between a curve and an anchor.

    Attributes:
        least: smallest quality minus the anchor's at the same rate, negative if the curve falls
            below; NaN if the curves share no rates.
        rate: rate at which it occurs.
        low: lowest rate compared.
        high: highest rate compared.
    """

    least: float
    rate: float
    low: float
    high: float


def check_curve(name: str, rates: Any, qualities: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the rates and the qualities of a curve as float arrays.

    Args:
        name: name of the rates in an error message.
        rates: shape (n,), positive and finite.
        qualities: shape (n,), finite.

    Raises:
        InputError: if lengths differ, a rate is not positive or a quality is not finite.
    """
    r, q = np.asarray(rates, float), np.asarray(qualities, float)
    if r.shape != q.shape or r.ndim != 1:
        raise InputError(f"{name} must have one quality each, got {r.shape} and {q.shape}")
    if not (np.all(r > 0) and np.all(np.isfinite(r)) and np.all(np.isfinite(q))):
        raise InputError(f"{name} must be positive, and their qualities finite, got {r}, {q}")
    return r, q


def rising_part(rates: Any, qualities: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a curve that are better than all cheaper ones, sorted by rate.

    Args:
        rates: shape (n,), positive.
        qualities: shape (n,), finite.

    Returns:
        Rates and qualities, both strictly rising.

    Example:
        >>> [a.tolist() for a in rising_part([2.0, 1.0, 3.0], [31.0, 30.0, 30.5])]
        [[1.0, 2.0], [30.0, 31.0]]
    """
    order = np.lexsort((-np.asarray(qualities, float), np.asarray(rates, float)))
    rates, qualities = np.asarray(rates, float)[order], np.asarray(qualities, float)[order]
    best = np.maximum.accumulate(np.concatenate([[-np.inf], qualities[:-1]]))
    keep = qualities > best
    return rates[keep], qualities[keep]


def similarity_decibels(similarity: Any) -> np.ndarray:
    """Return -10 log10(1 - s), which spreads out values of SSIM and MS-SSIM near 1.

    Args:
        similarity: values s of any shape, at most 1; the result is infinite for 1.

    Example:
        >>> similarity_decibels([0.0, 0.9, 0.99]).round(6).tolist()
        [0.0, 10.0, 20.0]
    """
    with np.errstate(divide="ignore"):
        return 0.0 - 10 * np.log10(1 - np.asarray(similarity, float))


def quality_at(rates: Any, qualities: Any, at: Any) -> np.ndarray:
    """Return the quality of a curve at given rates, by PCHIP over the logarithm of the rate.

    Args:
        rates: shape (n,), positive.
        qualities: shape (n,), finite. Points outside the ``rising_part`` are left out.
        at: rates to evaluate at, any shape.

    Returns:
        Qualities in the shape of ``at``; NaN outside the rates of the curve.

    Example:
        >>> quality_at([0.1, 1.0, 10.0], [30, 35, 40], [0.05, 0.1, 10**0.5]).round(6).tolist()
        [nan, 30.0, 37.5]
    """
    rates, qualities = rising_part(rates, qualities)
    at = np.asarray(at, float)
    if len(rates) < 2:
        return np.full(at.shape, np.nan)
    inside = (at >= rates[0]) & (at <= rates[-1])
    curve = PchipInterpolator(np.log(rates), qualities)
    return np.where(inside, curve(np.log(np.where(inside, at, rates[0]))), np.nan)


def restrict_rates(
    rates: Any, qualities: Any, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of a curve that lies between two rates.

    Its ends are interpolated by ``quality_at``, so the part does not depend on where the points
    next to ``low`` and ``high`` lie.

    Args:
        rates: shape (n,), positive.
        qualities: shape (n,), finite.
        low: lowest rate of the part. A curve that begins above it is not extrapolated.
        high: highest rate of the part. A curve that ends below it is not extrapolated.

    Returns:
        Rates and qualities, both strictly rising; empty if the curve has no such part.

    Example:
        >>> part = restrict_rates([0.1, 0.4, 1.6, 6.4], [30, 34, 38, 42], 0.05, 0.8)
        >>> [a.round(6).tolist() for a in part]
        [[0.1, 0.4, 0.8], [30.0, 34.0, 36.0]]
    """
    rates, qualities = rising_part(rates, qualities)
    inside = (rates > low) & (rates < high)
    ends = quality_at(rates, qualities, [low, high])
    parts = [([low], ends[:1]), (rates[inside], qualities[inside]), ([high], ends[1:])]
    rates, qualities = (np.concatenate(values) for values in zip(*parts, strict=True))
    has_value = ~np.isnan(qualities)
    return rates[has_value], qualities[has_value]


def least_margin(
    anchor_rates: Any, anchor_qualities: Any, rates: Any, qualities: Any, low: float, high: float
) -> Margin:
    """Return the smallest difference in quality between a curve and an anchor.

    Both are interpolated by ``quality_at`` on a dense grid of the rates that they share.

    Args:
        anchor_rates: shape (n,), positive.
        anchor_qualities: shape (n,), finite.
        rates: rates of the curve, shape (m,), positive.
        qualities: qualities of the curve, shape (m,), finite.
        low: lowest rate to compare; 0 for no limit.
        high: highest rate to compare.

    Example:
        >>> margin = least_margin([0.1, 0.4, 1.6], [30, 34, 38], [0.2, 1.6], [34, 37], 0.1, 1.5)
        >>> round(margin.least, 2), margin.rate, margin.low, margin.high
        (-0.91, 1.5, 0.2, 1.5)
    """
    curves = rising_part(anchor_rates, anchor_qualities), rising_part(rates, qualities)
    starts, ends = ([r[i] for r, _ in curves if len(r) > 1] for i in (0, -1))
    low, high = float(max([low, *starts])), float(min([high, *ends]))
    if len(starts) < 2 or low >= high:
        return Margin(*4 * (float("nan"),))
    grid = np.geomspace(low, high, _GRID)
    anchor, curve = (quality_at(*points, grid) for points in curves)
    least = int(np.argmin(curve - anchor))
    return Margin(float((curve - anchor)[least]), float(grid[least]), low, high)
