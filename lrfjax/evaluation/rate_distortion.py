"""Curves of distortion over rate, and the distance between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from lrfjax.errors import InputError


def rising_part(rates: Any, qualities: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a curve that no cheaper point equals, sorted by rate.

    Args:
        rates: shape (n,), positive.
        qualities: shape (n,), finite.

    Returns:
        Both arrays, strictly rising.

    Example:
        >>> [a.tolist() for a in rising_part([2.0, 1.0, 3.0], [31.0, 30.0, 30.5])]
        [[1.0, 2.0], [30.0, 31.0]]
    """
    order = np.lexsort((-np.asarray(qualities, float), np.asarray(rates, float)))
    rates, qualities = np.asarray(rates, float)[order], np.asarray(qualities, float)[order]
    best = np.maximum.accumulate(np.concatenate([[-np.inf], qualities[:-1]]))
    keep = qualities > best
    return rates[keep], qualities[keep]


def bd_rate(
    anchor_rates: Sequence[float],
    anchor_qualities: Sequence[float],
    rates: Sequence[float],
    qualities: Sequence[float],
) -> float:
    """Return the Bjontegaard delta rate of a curve against an anchor, in percent.

    Log-rate over quality, interpolated by PCHIP, averaged over the interval of qualities that both
    curves cover (VCEG-M33, with piecewise cubic Hermite interpolation as in JCTVC-B055). Points
    that a cheaper one of the same curve equals are left out.

    Args:
        anchor_rates: in bpp, positive.
        anchor_qualities: as many, in dB for PSNR.
        rates: of the curve.
        qualities: of the curve.

    Returns:
        The mean difference in rate at equal quality; negative where the curve needs less. NaN
        where the curves share no interval.

    Raises:
        InputError: if lengths differ, or a rate is not positive or a quality not finite.

    Example:
        >>> round(bd_rate([0.1, 0.2, 0.4], [30, 33, 36], [0.05, 0.1, 0.2], [30, 33, 36]), 6)
        -50.0
    """
    curves = []
    for name, given in (
        ("anchor_rates", (anchor_rates, anchor_qualities)),
        ("rates", (rates, qualities)),
    ):
        r, q = (np.asarray(values, float) for values in given)
        if r.shape != q.shape or r.ndim != 1:
            raise InputError(f"{name} must have one quality each, got {r.shape} and {q.shape}")
        if not (np.all(r > 0) and np.all(np.isfinite(r)) and np.all(np.isfinite(q))):
            raise InputError(f"{name} must be positive, and their qualities finite, got {r}, {q}")
        curves.append(rising_part(r, q))
    if min(len(r) for r, _ in curves) < 2:
        return float("nan")
    low = max(q[0] for _, q in curves)
    high = min(q[-1] for _, q in curves)
    if low >= high:
        return float("nan")
    anchor, curve = (PchipInterpolator(q, np.log(r)).integrate(low, high) for r, q in curves)
    return float(100 * np.expm1((curve - anchor) / (high - low)))
