"""Factors as integers in a range with one rational scale: what every codec writes.

X ~ scale * U V^T with integer U and V. IMF has such factors to begin with, at scale 1; SVD and NMF
get them by uniform quantization. The reconstruction is an integer product for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrfjax.errors import InputError


@dataclass(frozen=True)
class Range:
    """The integers from ``lower`` to ``lower + span``, the range of the entries of a factor."""

    lower: int
    span: int

    @property
    def largest(self) -> int:
        """The largest magnitude in the range."""
        return max(abs(self.lower), abs(self.lower + self.span))


@dataclass(frozen=True)
class Scale:
    """The rational number mantissa / 2^shift."""

    mantissa: int = 1
    shift: int = 0

    def __float__(self) -> float:
        return self.mantissa / 2**self.shift


@dataclass(frozen=True)
class IntegerFactors:
    """X ~ scale * U V^T.

    Attributes:
        u: shape (M, R), int32, entries in ``range_u``.
        v: shape (N, R), int32, entries in ``range_v``.
        range_u: the range of U.
        range_v: the range of V.
        scale: of the product.
    """

    u: np.ndarray
    v: np.ndarray
    range_u: Range
    range_v: Range
    scale: Scale

    @property
    def largest_product(self) -> int:
        """No entry of U V^T exceeds this in magnitude, whatever the entries of the factors."""
        return product_limit(self.u.shape[1], self.range_u, self.range_v)


def product_limit(rank: int, range_u: Range, range_v: Range) -> int:
    """Return the largest magnitude that an entry of U V^T can have."""
    return rank * range_u.largest * range_v.largest


def quantize(u: np.ndarray, v: np.ndarray, bits: int) -> IntegerFactors:
    """Quantize a pair of real factors uniformly, each to the range of its entries.

    Zero maps to zero. The steps are chosen so that their product is a multiple of a power of two
    with few bits, which keeps the scaled product within int32.

    Args:
        u: shape (M, R), floating point.
        v: shape (N, R), floating point.
        bits: of each entry.

    Raises:
        InputError: if the rank is too large for products of that many bits.
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
    step_u = float(scale) / step_v  # a little wider, so nothing leaves the range by more than 1
    return IntegerFactors(
        np.clip(np.rint(u / step_u), range_u.lower, range_u.lower + span).astype(np.int32),
        np.clip(np.rint(v / step_v), range_v.lower, range_v.lower + span).astype(np.int32),
        range_u,
        range_v,
        scale,
    )


def scale_at_least(value: float, limit: int) -> Scale:
    """Return the smallest representable scale that is not below ``value``.

    Mantissas have at most 14 bits, and as many fewer as leave ``limit`` times the mantissa within
    2^30; shifts are at most 30. So a scaled product never leaves int32, rounding included.

    Raises:
        InputError: if ``limit`` exceeds 2^26, which would leave fewer than four bits.

    Example:
        >>> scale_at_least(0.3, 2**24)
        Scale(mantissa=20, shift=6)
    """
    if limit > 2**26:
        raise InputError(f"rank and bits give products up to {limit}, more than 2^26")
    bits = min(30 - max(limit, 1).bit_length(), 14)
    shift = min(max(bits - int(np.frexp(value)[1]), 0), 30)
    return Scale(max(int(np.ceil(value * 2**shift)), 1), shift)


def _range(x: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest entry, widened to contain zero."""
    return min(float(x.min()), 0.0), max(float(x.max()), 0.0)
