"""The product of integer factors, scaled, exact on every machine."""

from __future__ import annotations

import numpy as np

from lrfjax.codec.quantize import IntegerFactors


def scaled_product(factors: IntegerFactors) -> np.ndarray:
    """Return round(scale * U V^T), shape (M, N), int32; halves are rounded up.

    The sums are taken in floating point where every one of them, in any order, is an integer that
    the mantissa holds: as exact as integers, and as fast as the machine's matrix product. Factors
    come out of the entropy decoder on the host and have any rank; there, nothing compiles for it.
    """
    dtype = np.float32 if factors.largest_product <= 2**24 else np.float64
    product = np.matmul(factors.u.astype(dtype), factors.v.T.astype(dtype)).astype(np.int32)
    # Shifts of 31 and more leave the sign, and the products are far below 2^30 there.
    shift = min(factors.scale.shift, 31)
    product *= np.int32(factors.scale.mantissa)
    product += np.int32((1 << shift) >> 1)
    return product >> np.int32(shift)
