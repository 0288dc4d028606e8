"""Factors as integers in a box with one rational scale: what every codec writes.

X ~ scale * U V^T with integer U and V. IMF has such factors to begin with, at scale 1; SVD and NMF
get them by uniform quantization. The reconstruction is an integer product for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrfjax.errors import InputError


@dataclass(frozen=True)
class Box:
    """The integers from ``lower`` to ``lower + span``."""

    lower: int
    span: int

    @property
    def largest(self) -> int:
        """The largest magnitude in the box."""
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
        u: shape (M, R), int32, entries in ``box_u``.
        v: shape (N, R), int32, entries in ``box_v``.
        box_u: the range of U.
        box_v: the range of V.
        scale: of the product.
    """

    u: np.ndarray
    v: np.ndarray
    box_u: Box
    box_v: Box
    scale: Scale

    @property
    def largest_product(self) -> int:
        """No entry of U V^T exceeds this in magnitude, whatever the entries of the factors."""
        return product_limit(self.u.shape[1], self.box_u, self.box_v)


def product_limit(rank: int, box_u: Box, box_v: Box) -> int:
    """Return the largest magnitude that an entry of U V^T can have."""
    return rank * box_u.largest * box_v.largest


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
    box_u = Box(round(low_u / step_u), span)
    box_v = Box(round(low_v / step_v), span)
    limit = product_limit(u.shape[1], box_u, box_v)
    scale = scale_at_least(step_u * step_v, limit)
    step_u = float(scale) / step_v  # a little wider, so nothing leaves the box by more than 1
    return IntegerFactors(
        np.clip(np.rint(u / step_u), box_u.lower, box_u.lower + span).astype(np.int32),
        np.clip(np.rint(v / step_v), box_v.lower, box_v.lower + span).astype(np.int32),
        box_u,
        box_v,
        scale,
    )


def scale_at_least(value: float, limit: int) -> Scale:
    """Return the smallest representable scale that is not below ``value``.

    Its mantissa has as many bits as leave ``limit`` times it within 2^30.

    Raises:
        InputError: if ``limit`` leaves no bits at all.

    Example:
        >>> scale_at_least(0.3, 2**24)
        Scale(mantissa=20, shift=6)
    """
    if limit > 2**26:
        raise InputError(f"rank and bits give products up to {limit}, more than 2^26")
    bits = max(30 - max(limit, 1).bit_length(), 4)
    shift = min(max(bits - int(np.frexp(value)[1]), 0), 255)
    return Scale(max(int(np.ceil(value * 2**shift)), 1), shift)


def _range(x: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest entry, widened to contain zero."""
    return min(float(x.min()), 0.0), max(float(x.max()), 0.0)
