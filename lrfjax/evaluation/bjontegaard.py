"""The distance between two rate-distortion curves: Bjontegaard's delta rate and delta PSNR.

G. Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001, fits a
polynomial of degree 3 through four points. Piecewise cubics follow more points more closely: PCHIP
(JCTVC-B055) never overshoots, Akima's may.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

from lrfjax.checks import one_of
from lrfjax.evaluation.rate_distortion import check_curve, rising_part

BD_METHODS = ("pchip", "cubic", "akima")
_MIN_POINTS = {"pchip": 2, "cubic": 4, "akima": 2}


def bd_rate(
    anchor_rates: Any,
    anchor_qualities: Any,
    rates: Any,
    qualities: Any,
    method: str = "pchip",
) -> float:
    """Return the Bjontegaard delta rate of a curve against an anchor, in percent.

    Log-rate over quality, interpolated, averaged over the interval of qualities that both curves
    cover. Points that a cheaper one of the same curve equals are left out.

    Args:
        anchor_rates: shape (n,), in bpp, positive.
        anchor_qualities: shape (n,), in dB for PSNR.
        rates: shape (m,), of the curve.
        qualities: shape (m,), of the curve.
        method: ``"pchip"`` and ``"akima"`` are piecewise cubic and pass through every point;
            ``"cubic"`` is the one polynomial of degree 3 of VCEG-M33, through four points, and
            nearest to more of them in least squares.

    Returns:
        The mean difference in rate at equal quality; negative where the curve needs less. NaN
        where the curves share no interval, or one has too few points: 2, or 4 for ``"cubic"``.

    Raises:
        InputError: if lengths differ, a rate is not positive or a quality not finite, or the
            method is unknown.

    Example:
        >>> round(bd_rate([0.1, 0.2, 0.4], [30, 33, 36], [0.05, 0.1, 0.2], [30, 33, 36]), 6)
        -50.0
    """
    one_of("method", method, BD_METHODS)
    anchor = _log_rates("anchor_rates", anchor_rates, anchor_qualities)[::-1]
    curve = _log_rates("rates", rates, qualities)[::-1]
    return float(100 * np.expm1(_mean_difference(anchor, curve, method)))


def bd_psnr(
    anchor_rates: Any,
    anchor_qualities: Any,
    rates: Any,
    qualities: Any,
    method: str = "pchip",
) -> float:
    """Return the Bjontegaard delta PSNR of a curve against an anchor, in the unit of the quality.

    Quality over log-rate, interpolated, averaged over the interval of log-rates that both curves
    cover. Points that a cheaper one of the same curve equals are left out.

    Args:
        anchor_rates: shape (n,), in bpp, positive.
        anchor_qualities: shape (n,), in dB for PSNR.
        rates: shape (m,), of the curve.
        qualities: shape (m,), of the curve.
        method: as for ``bd_rate``.

    Returns:
        The mean difference in quality at equal rate; positive where the curve is better. NaN
        where the curves share no interval, or one has too few points: 2, or 4 for ``"cubic"``.

    Raises:
        InputError: if lengths differ, a rate is not positive or a quality not finite, or the
            method is unknown.

    Example:
        >>> round(bd_psnr([0.1, 0.2, 0.4], [30, 33, 36], [0.05, 0.1, 0.2], [30, 33, 36]), 6)
        3.0
    """
    one_of("method", method, BD_METHODS)
    anchor = _log_rates("anchor_rates", anchor_rates, anchor_qualities)
    curve = _log_rates("rates", rates, qualities)
    return float(_mean_difference(anchor, curve, method))


def _log_rates(name: str, rates: Any, qualities: Any) -> tuple[np.ndarray, np.ndarray]:
    rates, qualities = rising_part(*check_curve(name, rates, qualities))
    return np.log(rates), qualities


def _mean_difference(
    anchor: tuple[np.ndarray, np.ndarray], curve: tuple[np.ndarray, np.ndarray], method: str
) -> float:
    """Return the mean of curve minus anchor, each as (x, y), over the x that both cover."""
    if min(len(anchor[0]), len(curve[0])) < _MIN_POINTS[method]:
        return float("nan")
    low, high = max(anchor[0][0], curve[0][0]), min(anchor[0][-1], curve[0][-1])
    if low >= high:
        return float("nan")
    of_anchor, of_curve = (_integral(x, y, low, high, method) for x, y in (anchor, curve))
    return (of_curve - of_anchor) / (high - low)


def _integral(x: np.ndarray, y: np.ndarray, low: float, high: float, method: str) -> float:
    if method == "cubic":
        # Fitted over x scaled to [-1, 1]: powers of raw decibels are poorly conditioned.
        primitive = np.polynomial.Polynomial.fit(x, y, 3).integ()
        return primitive(high) - primitive(low)
    # Akima's slopes need a third point; PCHIP through two is the straight line.
    interpolator = Akima1DInterpolator if method == "akima" and len(x) > 2 else PchipInterpolator
    return interpolator(x, y).integrate(low, high)
