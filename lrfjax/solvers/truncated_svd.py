"""The truncated singular value decomposition, in closed form."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lrfjax import checks
from lrfjax.errors import InputError
from lrfjax.solvers.execute.front_door import front_door
from lrfjax.solvers.starts.gram_svd import fix_signs


@front_door
def truncated_svd(x: Any, rank: int | None = None) -> tuple[Array, Array, Array]:
    """Return the leading singular triplets, X ~ U diag(s) V^T, with reproducible signs.

    Computed by a backward-stable singular value decomposition (LAPACK on CPU), not from a Gram
    matrix: small singular values are as accurate as the dtype allows.

    Args:
        x: shape (..., M, N), floating point. Empty matrices are allowed here.
        rank: number of triplets, at most min(M, N); all by default. Static.

    Returns:
        The tuple (U, s, V). U of shape (..., M, rank) and V of shape (..., N, rank) have
        orthonormal columns; s of shape (..., rank) is non-negative and falling. The entry of
        largest magnitude in each column of V is positive. All three are NaN for a matrix with NaN
        or infinity.

    Raises:
        InputError: a rank out of range, or fewer than two axes.
        InputTypeError: a wrong type.

    Example:
        >>> import jax.numpy as jnp
        >>> u, s, v = truncated_svd(jnp.array([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]))
        >>> print(s)
        [4. 3.]
    """
    x = jnp.asarray(checks.real_array("x", x))
    if x.ndim < 2:
        raise InputError(f"x must have at least 2 axes (..., M, N), got shape {x.shape}")
    limit = min(x.shape[-2:])
    rank = limit if rank is None else checks.integer("rank", rank, 0, limit)
    u, s, v = _full_svd(x)
    return u[..., :rank], s[..., :rank], v[..., :rank]


@jax.jit
def _full_svd(x: Array) -> tuple[Array, Array, Array]:
    if 0 in x.shape:
        *batch, rows, columns = x.shape
        size = min(rows, columns)
        return (
            jnp.zeros((*batch, rows, size), x.dtype),
            jnp.zeros((*batch, size), x.dtype),
            jnp.zeros((*batch, columns, size), x.dtype),
        )
    # LAPACK may iterate forever over an infinity. Such a matrix has no singular values: NaN.
    is_finite = jnp.all(jnp.isfinite(x), axis=(-2, -1), keepdims=True)
    u, s, vt = jnp.linalg.svd(jnp.where(is_finite, x, 0), full_matrices=False)
    flat = vt.reshape(-1, *vt.shape[-2:])
    sign = jax.vmap(fix_signs)(flat).reshape(*vt.shape[:-1])[..., None, :]
    nothing = jnp.where(is_finite, 0, jnp.nan).astype(x.dtype)
    return (
        u * sign + nothing,
        s + nothing[..., 0],
        jnp.swapaxes(vt, -1, -2) * sign + nothing,
    )
