"""The choice of a rank before solving: from a compression ratio, or from a relative error."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers.execute.lapack_threads import one_lapack_thread


def rank_for_ratio(shape: tuple[int, int], ratio: float) -> int:
    """Return the largest rank whose factors have at most M N / ratio entries, at least 1.

    The rank is floor(M N / (ratio (M + N))), at least 1 and at most min(M, N), since more columns
    add nothing (arXiv 2408.12691, section 3). The ratio counts entries; the ratio of bytes also
    depends on how entries are stored.

    Args:
        shape: shape (M, N) of the matrix.
        ratio: number of entries of X over that of U and V, positive. It is read as the shortest
            decimal number that represents it: 1.6 is eight fifths, and the floor is exact.

    Returns:
        The rank; 1 even if rank 1 misses the ratio.

    Raises:
        InputError: a ratio that is not positive and finite, an empty shape.
        InputTypeError: a wrong type.

    Example:
        >>> rank_for_ratio((6144, 64), ratio=4)
        15
    """
    rows, columns = _check_shape(shape)
    ratio = checks.real("ratio", ratio, -math.inf)
    if not 0 < ratio < math.inf:
        raise InputError(f"ratio must be positive and finite, got {ratio}")
    rank = math.floor(rows * columns / (Fraction(repr(ratio)) * (rows + columns)))
    return min(max(rank, 1), rows, columns)


def rank_for_error(x: Any, relative_error: float) -> int:
    """Return the smallest rank R, at least 1, with ||X - X_R||_F / ||X||_F within a bound.

    X_R is the truncated singular value decomposition, the best real factorization of rank R. For
    other constraints, the result is therefore a lower bound of the rank that they need. It is
    computed on the host in float64 from all singular values. Errors are trusted to max(M, N) units
    of rounding of float64, so a bound of 0 gives the numerical rank.

    Args:
        x: shape (M, N), real numbers, concrete.
        relative_error: bound of the relative error, at least 0.

    Returns:
        The rank, between 1 and min(M, N); 1 for a matrix of zeros.

    Raises:
        InputError: a negative bound, more or fewer than two axes, an empty matrix, NaN, infinity.
        InputTypeError: a wrong type, or a traced matrix.

    Example:
        >>> import numpy as np
        >>> [rank_for_error(np.diag([4.0, 3.0, 0.0]), error) for error in (0.7, 0.5, 0.0)]
        [1, 2, 2]
    """
    if not checks.is_concrete(x):
        raise InputTypeError(f"x must be concrete, since ranks are chosen on the host, got {x}")
    relative_error = checks.real("relative_error", relative_error, 0.0)
    host = _check_matrix(x)
    largest = np.max(np.abs(host))
    if largest == 0:
        return 1
    # After division by the largest entry, no square overflows or vanishes.
    with one_lapack_thread():
        singular = np.linalg.svd(host / largest, compute_uv=False)
    # tail[r] is the squared error of rank r, summed from the smallest singular value on. It ends
    # with an exact zero, so some rank always suffices.
    tail = np.append(np.cumsum(singular[::-1] ** 2)[::-1], 0.0)
    errors = np.sqrt(tail / tail[0])
    slack = max(host.shape) * np.finfo(np.float64).eps
    return max(int(np.argmax(errors <= relative_error + slack)), 1)


def _check_shape(shape: Any) -> tuple[int, int]:
    """Return a shape of two positive integers."""
    try:
        rows, columns = shape
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"shape must be a pair (M, N), got {shape!r}") from error
    return checks.integer("shape[0]", rows, 1), checks.integer("shape[1]", columns, 1)


def _check_matrix(x: Any) -> np.ndarray:
    """Return a matrix in float64; ``checks.matrix`` would round it to float32."""
    host = np.asarray(x)
    if not (jnp.issubdtype(host.dtype, jnp.integer) or jnp.issubdtype(host.dtype, jnp.floating)):
        raise InputTypeError(f"x must hold real numbers, got dtype {host.dtype}")
    if host.ndim != 2 or host.size == 0:
        raise InputError(f"x must have 2 axes (M, N), neither empty, got shape {host.shape}")
    host = host.astype(np.float64)
    checks.finite("x", host)
    return host
