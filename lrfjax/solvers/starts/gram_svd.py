"""The leading singular triplets of a long matrix, from decompositions of small ones."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.numerics import contract, safe_sqrt

# The first direction comes from about this many rows, by this many squarings of a Gram matrix.
_SAMPLE_SIZE = 512
_SQUARINGS = 2
# A threshold for squared singular values, in units of rounding of the second largest one. Above it,
# a scaled Gram matrix gives the directions to a percent.
_GRAM_UNITS = 2000.0


def fix_signs(vt: Array) -> Array:
    """Return the sign of the entry of largest magnitude in each row; 1 for a zero row.

    Args:
        vt: shape (R, N).

    Returns:
        Signs, 1 or -1, shape (R, 1). Multiplied by them, the largest entries become positive.
    """
    largest = jnp.take_along_axis(vt, jnp.argmax(jnp.abs(vt), axis=1)[:, None], axis=1)
    return jnp.where(largest < 0, -1.0, 1.0).astype(vt.dtype)


def leading_singular_pairs(x: Array, size: int) -> tuple[Array, Array, Array]:
    """Return the leading singular triplets of a long matrix, from decompositions of small ones.

    A Gram matrix loses singular values below sqrt(eps) of the largest one. In a matrix of pixels
    the largest one is far above all others, because of the mean. X is therefore first reflected,
    Y = X H, so that approximately this direction becomes a column of its own. The columns of Y,
    scaled to unit length, have a Gram matrix that resolves the other directions. Its Cholesky
    factor gives a triangular R with Y^T Y = R^T R, and the SVD of R gives that of Y. If the last
    singular value wanted is still too small for this, Y is rotated by the result and the procedure
    runs once more. The columns are then nearly orthogonal, the scaled Gram matrix is well
    conditioned, and the singular values are as accurate as those of a direct SVD, to a multiple of
    eps of the largest.

    Args:
        x: shape (M, N), floating point.
        size: number of triplets, at most min(M, N).

    Returns:
        Left singular vectors of shape (size, M), singular values of shape (size,), falling, and
        right singular vectors of shape (size, N). The entry of largest magnitude in each right
        singular vector is positive. Vectors of zero singular values are zero on the longer side.
    """
    # The long axis is last: summing over a contiguous axis takes less than half the time.
    wide = x.T if x.shape[0] >= x.shape[1] else x
    mirror = _mirror(_leading_direction(wide))
    reflected = wide - 2 * mirror[:, None] * _apply(mirror, wide)[None, :]
    singular, rotation = _svd_of_scaled_gram(reflected)

    def once_more() -> tuple[Array, Array]:
        values, correction = _svd_of_scaled_gram(contract(rotation, reflected, 1, 0))
        return values, contract(correction, rotation, 1, 0)

    wanted, others = singular[size - 1], singular[min(1, singular.shape[0] - 1)]
    eps = jnp.finfo(x.dtype).eps
    is_accurate = wanted * wanted > _GRAM_UNITS * eps * others * others
    singular, rotation = lax.cond(is_accurate, lambda: (singular, rotation), once_more)
    singular, rotation = singular[:size], rotation[:size]

    short = rotation - 2 * _apply(mirror, rotation.T)[:, None] * mirror[None, :]
    floor = eps * singular[:1]
    inverse = jnp.where(singular > floor, 1 / jnp.where(singular > floor, singular, 1), 0)
    long = contract(rotation, reflected, 1, 0) * inverse[:, None]
    ut, vt = (long, short) if x.shape[0] >= x.shape[1] else (short, long)
    sign = fix_signs(vt)
    return ut * sign, singular, vt * sign


def _apply(vector: Array, matrix: Array) -> Array:
    return jnp.matmul(vector, matrix, precision=lax.Precision.HIGHEST)


def _leading_direction(wide: Array) -> Array:
    """Return roughly the first left singular vector of a sample of columns, not normalised."""
    sample = wide[:, :: max(wide.shape[1] // _SAMPLE_SIZE, 1)]
    gram = contract(sample, sample, 1, 1)
    trace = jnp.sum(jnp.diagonal(gram))
    power = gram / jnp.where(trace > 0, trace, 1)
    for _ in range(_SQUARINGS):
        power = contract(power, power, 1, 0)
    return power[jnp.argmax(jnp.diagonal(power))]


def _mirror(direction: Array) -> Array:
    """Return the unit vector w whose reflection I - 2 w w^T maps a direction to the first axis.

    See Golub and Van Loan, Matrix Computations, section 5.1. For a zero direction w is zero.
    """
    length = safe_sqrt(jnp.sum(direction * direction))
    first = jnp.arange(direction.shape[0]) == 0
    mirror = direction + jnp.where(first, jnp.where(direction < 0, -length, length), 0)
    length = safe_sqrt(jnp.sum(mirror * mirror))
    return mirror / jnp.where(length > 0, length, 1)


def _svd_of_scaled_gram(wide: Array) -> tuple[Array, Array]:
    """Return the singular values of a matrix, falling, and the left singular vectors as rows."""
    gram = contract(wide, wide, 1, 1)
    length = safe_sqrt(jnp.diagonal(gram))
    # Rows of pure rounding noise count as zero; the squares of their lengths may underflow.
    eps = float(jnp.finfo(wide.dtype).eps)
    length = jnp.where(length > eps * jnp.max(length), length, 0)
    inverse_length = jnp.where(length > 0, 1 / jnp.where(length > 0, length, 1), 0)
    scaled = gram * inverse_length[:, None] * inverse_length[None, :]
    identity = jnp.eye(length.shape[0], dtype=wide.dtype)

    def damped(damping: float) -> Array:
        return jnp.linalg.cholesky(identity + (1 - damping) * scaled * (1 - identity))

    # Columns may be parallel. Damping the off-diagonal entries keeps the matrix positive definite;
    # where the sums of the Gram matrix are too long for the least damping, more of it does.
    triangular = damped(4 * length.shape[0] * eps)
    is_definite = jnp.all(jnp.isfinite(triangular))
    triangular = lax.cond(is_definite, lambda: triangular, lambda: damped(eps**0.5)).T * length
    _, singular, rotation = jnp.linalg.svd(triangular, full_matrices=False)
    return singular, rotation
