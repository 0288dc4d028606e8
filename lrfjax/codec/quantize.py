"""Integer factors with ranges and a rational scale, the form that every codec writes.

X ~ scale * U V^T with integer U and V. Factors of IMF have this form with scale 1; factors of SVD
and NMF are quantized uniformly. The reconstruction is an integer product for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrfjax.errors import InputError, SolverError
from lrfjax.types import Result, Status

MAX_QUANTIZED_PRODUCT = 2**26
"""The largest magnitude in U V^T of quantized factors; it leaves mantissas at least four bits."""


@dataclass(frozen=True)
class Range:
    """The range of the entries of a factor: the integers from ``lower`` to ``lower + span``."""

    lower: int
    span: int

    @property
    def upper(self) -> int:
        """The largest integer in the range."""
        return self.lower + self.span

    @property
    def largest(self) -> int:
        """The largest magnitude in the range."""
        return max(abs(self.lower), abs(self.upper))


@dataclass(frozen=True)
class Scale:
    """The rational number mantissa / 2^shift."""

    mantissa: int = 1
    shift: int = 0

    def __float__(self) -> float:
        return self.mantissa / 2**self.shift


@dataclass(frozen=True)
class IntegerFactors:
    """Integer factors of X ~ scale * U V^T.

    Attributes:
        u: shape (M, R), int32, entries in ``range_u``.
        v: shape (N, R), int32, entries in ``range_v``.
        range_u: the range of U.
        range_v: the range of V.
        scale: scale of the product.
    """

    u: np.ndarray
    v: np.ndarray
    range_u: Range
    range_v: Range
    scale: Scale

    @property
    def largest_product(self) -> int:
        """The largest magnitude that an entry of U V^T can have, given the ranges."""
        return product_limit(self.u.shape[1], self.range_u, self.range_v)


def host_factors(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Return U and V of a successful solve as NumPy arrays.

    Raises:
        SolverError: if the solve failed.
    """
    if int(result.status) == Status.FAILED:
        raise SolverError("the factorization of the image failed: its relative error is not finite")
    return np.asarray(result.factors.u), np.asarray(result.factors.v)


def product_limit(rank: int, range_u: Range, range_v: Range) -> int:
    """Return the largest magnitude that an entry of U V^T can have."""
    return rank * range_u.largest * range_v.largest


def quantize(u: np.ndarray, v: np.ndarray, bits: int) -> IntegerFactors:
    """Quantize a pair of real factors uniformly, each to the range of its entries.

    Zero maps to zero. The product of the two steps is a rational number with a short mantissa, so
    the scaled product stays within int32.

    Args:
        u: shape (M, R), floating point.
        v: shape (N, R), floating point.
        bits: bits per entry.

    Raises:
        InputError: if the products exceed ``MAX_QUANTIZED_PRODUCT``.
    """
    span = 2**bits - 1
    low_u, high_u = _range(u)
    low_v, high_v = _range(v)
    step_u = (high_u - low_u) / span or 1.0
    step_v = (high_v - low_v) / span or 1.0
    range_u = Range(round(low_u / step_u), span)
    range_v = Range(round(low_v / step_v), span)
    limit = product_limit(u.shape[1], range_u, range_v)
    scale = scale_at_least(step_u * step_v, limit)
    step_u = float(scale) / step_v  # Slightly wider, so no entry leaves the range by more than 1.
    return IntegerFactors(
        np.clip(np.rint(u / step_u), range_u.lower, range_u.upper).astype(np.int32),
        np.clip(np.rint(v / step_v), range_v.lower, range_v.upper).astype(np.int32),
        range_u,
        range_v,
        scale,
    )


def scale_at_least(value: float, limit: int) -> Scale:
    """Return the smallest representable scale that is at least ``value``.

    A mantissa has at most 14 bits, and fewer if ``limit`` times the mantissa would exceed 2^30. A
    shift is at most 30. Scaled products therefore fit into int32, rounding included.

    Raises:
        InputError: if ``limit`` exceeds 2^28, which would leave fewer than two bits.

    Example:
        >>> scale_at_least(0.3, 2**24)
        Scale(mantissa=20, shift=6)
    """
    shift = _shift_of(value, limit)
    return Scale(max(int(np.ceil(value * 2**shift)), 1), shift)


def _shift_of(value: float, limit: int) -> int:
    bits = min(30 - max(limit, 1).bit_length(), 14)
    if bits < 2:
        raise InputError(f"rank and bits give products up to {limit}, more than 2^28")
    return min(max(bits - int(np.frexp(value)[1]), 0), 30)


def _range(x: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest entry, extended to contain zero."""
    return min(float(x.min()), 0.0), max(float(x.max()), 0.0)
