"""Local polynomial regression with tricube weights (LOESS)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lrfjax.checks import integer, real
from lrfjax.errors import InputError


def loess(x: Any, y: Any, at: Any, span: float = 0.4, degree: int = 2) -> np.ndarray:
    """Smooth a curve by local regression (Cleveland and Devlin, JASA 1988), once, not robustly.

    At each place a polynomial is fitted to the nearest share ``span`` of the points. A point at
    distance d weighs (1 - (d / h)^3)^3, where h is the distance of the furthest of them.

    Args:
        x: shape (n,), in any order. Points of equal ``x`` become one, of the mean ``y``.
        y: shape (n,).
        at: where to evaluate, any shape.
        span: share of the distinct points in each fit, in (0, 1]; at least ``degree + 2`` points
            are taken. Wide spans round off bends, narrow ones follow the noise.
        degree: of the polynomial, 0 to 3.

    Returns:
        float64 in the shape of ``at``; NaN outside the range of ``x``, and everywhere if there
        are fewer than ``degree + 2`` distinct points.

    Raises:
        InputError: if lengths differ, or ``span`` or ``degree`` is out of range.

    Example:
        >>> x = np.arange(10.0)
        >>> loess(x, x**2, [2.5, 4.0, 11.0]).round(6).tolist()
        [6.25, 16.0, nan]
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(f"x must have one y each, got shapes {x.shape} and {y.shape}")
    integer("degree", degree, 0, 3)
    if real("span", span, 0, 1) == 0:
        raise InputError(f"span must be above 0, got {span}")
    at = np.asarray(at, float)
    places, group = np.unique(x, return_inverse=True)
    if len(places) < degree + 2:
        return np.full(at.shape, np.nan)
    heights = np.bincount(group, weights=y) / np.bincount(group)
    size = max(math.ceil(span * len(places)), degree + 2)
    inside = (at >= places[0]) & (at <= places[-1])
    found = [
        _fit(places, heights, place, size, degree) if is_inside else np.nan
        for place, is_inside in zip(at.ravel(), inside.ravel(), strict=True)
    ]
    return np.reshape(found, at.shape)


def _fit(x: np.ndarray, y: np.ndarray, place: float, size: int, degree: int) -> float:
    distance = np.abs(x - place)
    nearest = np.sort(distance)
    # The furthest point weighs nothing, and so do those as far; enough must be left for a fit.
    bandwidth = max(nearest[size - 1], 1.001 * nearest[degree + 1])
    near = distance < bandwidth
    weight = (1 - (distance[near] / bandwidth) ** 3) ** 3
    offset = (x[near] - place) / bandwidth
    # polyfit weighs residuals before they are squared.
    return np.polynomial.polynomial.polyfit(offset, y[near], degree, w=np.sqrt(weight))[0]
