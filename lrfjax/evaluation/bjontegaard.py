"""The distance between two rate-distortion curves: Bjontegaard's delta rate and delta PSNR.

G. Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001, fits a
polynomial of degree 3 through four points. Here the curves are interpolated by PCHIP, as in
JCTVC-B055: piecewise cubics that pass through every point and never overshoot.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from lrfjax.evaluation.rate_distortion import check_curve, rising_part


def bd_rate(anchor_rates: Any, anchor_qualities: Any, rates: Any, qualities: Any) -> float:
    """Return the Bjontegaard delta rate of a curve against an anchor, in percent.

    The log-rate is interpolated over the quality by PCHIP (JCTVC-B055) and averaged over the
    interval of qualities that both curves cover. A point is left out if a cheaper point of the
    same curve has at least its quality.

    Args:
        anchor_rates: shape (n,), in bpp, positive.
        anchor_qualities: shape (n,), in dB for PSNR.
        rates: rates of the curve, shape (m,), in bpp, positive.
        qualities: qualities of the curve, shape (m,).

    Returns:
        The mean difference in rate at equal quality; negative if the curve needs less. NaN if the
        curves share no interval or one has fewer than 2 points.

    Raises:
        InputError: if lengths differ, a rate is not positive or a quality is not finite.

    Example:
        >>> round(bd_rate([0.1, 0.2, 0.4], [30, 33, 36], [0.05, 0.1, 0.2], [30, 33, 36]), 6)
        -50.0
    """
    anchor = _log_rates("anchor_rates", anchor_rates, anchor_qualities)[::-1]
    curve = _log_rates("rates", rates, qualities)[::-1]
    return float(100 * np.expm1(_mean_difference(anchor, curve)))


def bd_psnr(anchor_rates: Any, anchor_qualities: Any, rates: Any, qualities: Any) -> float:
    """Return the Bjontegaard delta PSNR of a curve against an anchor, in the unit of the quality.

    The quality is interpolated over the log-rate by PCHIP (JCTVC-B055) and averaged over the
    interval of log-rates that both curves cover. A point is left out if a cheaper point of the
    same curve has at least its quality.

    Args:
        anchor_rates: shape (n,), in bpp, positive.
        anchor_qualities: shape (n,), in dB for PSNR.
        rates: rates of the curve, shape (m,), in bpp, positive.
        qualities: qualities of the curve, shape (m,).

    Returns:
        The mean difference in quality at equal rate; positive if the curve is better. NaN if the
        curves share no interval or one has fewer than 2 points.

    Raises:
        InputError: if lengths differ, a rate is not positive or a quality is not finite.

    Example:
        >>> round(bd_psnr([0.1, 0.2, 0.4], [30, 33, 36], [0.05, 0.1, 0.2], [30, 33, 36]), 6)
        3.0
    """
    anchor = _log_rates("anchor_rates", anchor_rates, anchor_qualities)
    curve = _log_rates("rates", rates, qualities)
    return float(_mean_difference(anchor, curve))


def _log_rates(name: str, rates: Any, qualities: Any) -> tuple[np.ndarray, np.ndarray]:
    rates, qualities = rising_part(*check_curve(name, rates, qualities))
    return np.log(rates), qualities


def _mean_difference(
    anchor: tuple[np.ndarray, np.ndarray], curve: tuple[np.ndarray, np.ndarray]
) -> float:
    """Return the mean of curve minus anchor, each as (x, y), over the x that both cover."""
    if min(len(anchor[0]), len(curve[0])) < 2:
        return float("nan")
    low, high = max(anchor[0][0], curve[0][0]), min(anchor[0][-1], curve[0][-1])
    if low >= high:
        return float("nan")
    of_anchor, of_curve = (PchipInterpolator(*c).integrate(low, high) for c in (anchor, curve))
    return (of_curve - of_anchor) / (high - low)
