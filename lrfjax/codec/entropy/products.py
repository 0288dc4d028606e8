"""Products of small matrices of integers, in float32."""

from __future__ import annotations

import numpy as np

_ONE_THREAD = 1 << 18


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ``a @ b``, computed in parts that BLAS runs on one thread.

    The products are too small to gain from more threads, and idle BLAS threads slow down the
    threads of other tiles.
    """
    rows = max(_ONE_THREAD // max(b.size, 1), 1)
    if rows >= len(a):
        return a @ b
    out = np.empty((len(a), b.shape[1]), np.float32)
    for first in range(0, len(a), rows):
        np.matmul(a[first : first + rows], b, out=out[first : first + rows])
    return out
