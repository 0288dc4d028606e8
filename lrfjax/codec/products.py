"""The scaled product of integer factors, exact on every machine."""

from __future__ import annotations

import numpy as np

from lrfjax.codec.quantize import IntegerFactors


def scaled_product(factors: IntegerFactors) -> np.ndarray:
    """Return round(scale * U V^T), shape (M, N), int32; halves are rounded up.

    The product is computed in floating point. It is exact in any order of summation, because every
    partial sum is an integer that the mantissa holds. NumPy computes it on the host, where the
    entropy decoder leaves the factors, so no rank needs a compilation.
    """
    dtype = np.float32 if factors.largest_product <= 2**24 else np.float64
    product = np.matmul(factors.u.astype(dtype), factors.v.T.astype(dtype)).astype(np.int32)
    # Shifts of 31 and more give the same result: the products are below 2^30.
    shift = min(factors.scale.shift, 31)
    product *= np.int32(factors.scale.mantissa)
    product += np.int32((1 << shift) >> 1)
    return product >> np.int32(shift)
