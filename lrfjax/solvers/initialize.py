"""Starting points: the singular value decomposition and its balanced gauge, NNDSVD, random draws.

Inside the solvers a factor is stored transposed: each column of U or V is a contiguous row. It is
padded with zero rows to a static number of rows, the rank bucket. Starts return this layout.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from lrfjax.solvers.constraints import Constraint
from lrfjax.solvers.numerics import contract, safe_sqrt

# The (lean, share) of each start, chosen greedily on the luma planes of twelve photographs.
_SCALED_STARTS = (
    (0.75, 0.18),
    (0.6, 0.35),
    (0.75, 0.08),
    (0.75, 0.35),
    (0.6, 0.25),
    (0.75, 0.25),
    (0.45, 0.35),
    (0.9, 0.08),
)
_UNSCALED_STARTS = tuple((lean, 1.0) for lean in (0.85, 0.9, 0.7, 1.0, 0.8, 1.2, 0.6, 0.75))
# The first direction comes from about this many rows, by this many squarings of a Gram matrix.
_SAMPLE_SIZE = 512
_SQUARINGS = 2
# A threshold for squared singular values, in units of rounding of the second largest one. Above it,
# a scaled Gram matrix gives the directions to a percent.
_GRAM_UNITS = 2000.0

# Singular values below this many units of rounding of the largest one are noise.
_NOISE_UNITS = 64.0


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


def fill_missing(x: Array, weights: Array) -> Array:
    """Return a matrix without gaps, from which a start is made.

    A missing entry becomes the mean of its row plus the mean of its column minus the overall mean,
    clipped to the range of the known entries. An entry of less than the largest weight is drawn
    towards this value in proportion, as in the expectation step of a weighted factorization
    (Srebro and Jaakkola, Weighted low-rank approximations, ICML 2003).

    Args:
        x: shape (M, N), zero where the weight is zero.
        weights: shape (M, N), non-negative.
    """

    def mean(axis: int | None, otherwise: Array | float) -> Array:
        weight = jnp.sum(weights, axis=axis, keepdims=axis is not None)
        total = jnp.sum(weights * x, axis=axis, keepdims=axis is not None)
        return jnp.where(weight > 0, total / jnp.where(weight > 0, weight, 1), otherwise)

    overall = mean(None, 0.0)
    fill = mean(1, overall) + mean(0, overall) - overall
    low = jnp.min(x, where=weights > 0, initial=jnp.inf)
    high = jnp.max(x, where=weights > 0, initial=-jnp.inf)
    fill = jnp.where(low <= high, jnp.clip(fill, low, high), 0)
    largest = jnp.max(weights)
    share = weights / jnp.where(largest > 0, largest, 1)
    return share * x + (1 - share) * fill


def svd_start(x: Array, size: int, side: Array | float) -> tuple[Array, Array]:
    """Return the paper's start, U S^(1/2) and V S^(1/2) of the truncated SVD, not rounded.

    See arXiv 2408.12691, section 3. The SVD leaves the signs free, but they matter under bounds of
    different magnitude: the largest entry of each right singular vector gets the sign of the side
    with more room.

    Args:
        x: shape (M, N).
        size: number of columns, at most min(M, N).
        side: sign of the side with more room, 1 or -1; a scalar, or one for each column.

    Returns:
        U^T of shape (size, M) and V^T of shape (size, N).
    """
    ut, singular, vt = leading_singular_pairs(x, size)
    root = (side * safe_sqrt(singular))[:, None]
    return ut * root, vt * root


def balanced_start(
    x: Array, size: int, side: Array | float, lean: Array | float = 1.0
) -> tuple[Array, Array]:
    """Return the paper's start in the gauge in which rounding costs least.

    U diag(g) and V diag(1 / g) have the same product before rounding. Rounding U adds about
    M |v_r|^2 / 12 to the squared error, rounding V about N |u_r|^2 / 12. For fixed |u_r| |v_r| the
    sum is least if M |v_r|^2 = N |u_r|^2, that is, if the entries of both columns have the same
    root mean square. From U S^(1/2) and V S^(1/2), this is g = (M / N)^(1/4) for every column.

    Args:
        x: shape (M, N).
        size: number of columns, at most min(M, N).
        side: see ``svd_start``.
        lean: multiplier of g; a value below 1 gives V the larger entries.

    Returns:
        U^T of shape (size, M) and V^T of shape (size, N), not rounded.
    """
    ut, vt = svd_start(x, size, side)
    gauge = lean * (x.shape[0] / x.shape[1]) ** 0.25
    return ut * gauge, vt / gauge


def fitting_scale(ut: Array, vt: Array, reach: Array | float, share: Array | float) -> Array:
    """Return a scale s so that U / s^(1/2) and V / s^(1/2) use the range of their constraint.

    At ``share`` = 1 the largest entry of both factors just fits. A smaller share clips the few
    largest entries and gives all others finer steps.

    Args:
        ut: shape (R, M).
        vt: shape (R, N).
        reach: largest magnitude that the constraint admits, positive.
        share: scale relative to the one at which nothing is clipped, in (0, 1].

    Returns:
        A positive scalar.
    """
    largest = jnp.maximum(jnp.max(jnp.abs(ut)), jnp.max(jnp.abs(vt)))
    scale = share * (largest / reach) ** 2
    return jnp.where(scale > 0, scale, 1).astype(ut.dtype)


def restart_settings(index: int, with_scale: bool) -> tuple[float, float]:
    """Return the (lean, share) of a start, for ``balanced_start`` and ``fitting_scale``.

    Start 0 is the best single one over luma planes of photographs at ranks 4 to 32. Each later
    start in the table is the one that adds most to those before it. Beyond the table, the starts
    spread evenly over its logarithmic range.

    Args:
        index: index of the start, from 0.
        with_scale: whether the scale is fitted; otherwise share is 1 and has no meaning.
    """
    table = _SCALED_STARTS if with_scale else _UNSCALED_STARTS
    if index < len(table):
        return table[index]
    golden = (5**0.5 - 1) / 2
    place, other = (index * golden) % 1.0, (index * golden * golden) % 1.0
    lean = 0.45 * 3.0**place
    return lean, 0.06 * 7.0**other if with_scale else 1.0


def nndsvd_start(x: Array, size: int) -> tuple[Array, Array]:
    """Return the NNDSVD start of Boutsidis and Gallopoulos (Pattern Recognition 41, 2008).

    Each singular pair contributes its positive or its negative parts, whichever have the larger
    product of norms. The first pair of a non-negative matrix is non-negative as a whole.

    Args:
        x: shape (M, N), non-negative.
        size: number of columns, at most min(M, N).

    Returns:
        U^T of shape (size, M) and V^T of shape (size, N), non-negative.
    """
    ut, singular, vt = leading_singular_pairs(x, size)

    def norm(a: Array) -> Array:
        return safe_sqrt(jnp.sum(a * a, axis=1, keepdims=True))

    parts = [(jnp.maximum(s * ut, 0), jnp.maximum(s * vt, 0)) for s in (1.0, -1.0)]
    weights = [norm(u) * norm(v) for u, v in parts]
    positive = weights[0] >= weights[1]
    u = jnp.where(positive, parts[0][0], parts[1][0])
    v = jnp.where(positive, parts[0][1], parts[1][1])
    # Both parts are scaled to unit norm; the pair then gets the weight s * |u| * |v|.
    norm_u, norm_v = norm(u), norm(v)
    tiny = jnp.finfo(x.dtype).tiny
    root = safe_sqrt(singular[:, None] * norm_u * norm_v)
    return u / jnp.maximum(norm_u, tiny) * root, v / jnp.maximum(norm_v, tiny) * root


def fill_empty_columns(ut: Array, vt: Array, live: Array) -> tuple[Array, Array]:
    """Give the columns beyond the rank of X the direction of one of the others.

    Without bounds they have nothing to add. With bounds they do: they continue a column that is
    clamped, and correct what the rounding of it leaves. Both lie in the row space of X, which the
    empty columns of an SVD are orthogonal to, so column updates would never fill them. U is zero
    there and V has entries of at most 1, so the product is that of the other columns.

    Args:
        ut: shape (R, M), from a start with falling singular values.
        vt: shape (R, N).
        live: booleans of shape (R, 1), True for columns in use.
    """
    strength = jnp.sqrt(jnp.sum(ut * ut, axis=1)) * jnp.sqrt(jnp.sum(vt * vt, axis=1))
    is_full = strength > _NOISE_UNITS * jnp.finfo(ut.dtype).eps * jnp.max(strength)
    index = jnp.arange(ut.shape[0])
    source = vt[index % jnp.maximum(jnp.sum(is_full), 1)]
    largest = jnp.max(jnp.abs(source), axis=1, keepdims=True)
    copy = source / jnp.where(largest > 0, largest, 1)
    is_empty = live & ~is_full[:, None]
    return jnp.where(is_empty, 0, ut), jnp.where(is_empty, copy, vt)


def random_start(
    key: Array, x: Array, size: int, rank: Array | int, constraints: tuple[Constraint, Constraint]
) -> tuple[Array, Array]:
    """Return normal draws, scaled so that the entries of U V^T are about as large as those of X.

    A draw on the wrong side of the constraint is reflected, so non-negative factors start from
    half-normal draws. The draws of column r depend on ``key`` and r alone, not on the rank.

    Args:
        key: a JAX PRNG key.
        x: shape (M, N).
        size: number of columns to return.
        rank: number of columns in use, which enters the scale.
        constraints: constraints of U and of V.

    Returns:
        U^T of shape (size, M) and V^T of shape (size, N), not yet rounded or clamped.
    """
    spread = safe_sqrt(jnp.mean(x * x) / jnp.asarray(rank).astype(x.dtype))
    deviation = safe_sqrt(spread)

    def draw(key: Array, length: int, constraint: Constraint) -> Array:
        columns = jax.vmap(
            lambda r: jax.random.normal(jax.random.fold_in(key, r), (length,), x.dtype)
        )(jnp.arange(size))
        plus = columns * deviation
        gap = jnp.abs(constraint.project(plus) - plus)
        return jnp.where(gap <= jnp.abs(constraint.project(-plus) + plus), plus, -plus)

    key_u, key_v = jax.random.split(key)
    return draw(key_u, x.shape[0], constraints[0]), draw(key_v, x.shape[1], constraints[1])
