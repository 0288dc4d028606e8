"""Starting points: the singular value decomposition and its balanced gauge, NNDSVD, random draws.

Inside the solvers a factor is stored transposed: each column of U or V is a contiguous row. It is
padded with zero rows to a static number of rows, the rank bucket. Starts return this layout.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from lrfjax.solvers.constraints import Constraint
from lrfjax.solvers.gram_svd import leading_singular_pairs
from lrfjax.solvers.numerics import safe_sqrt

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
# Singular values below this many units of rounding of the largest one are noise.
_NOISE_UNITS = 64.0


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
