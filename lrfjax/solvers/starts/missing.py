"""A matrix without gaps, from which a start is made."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


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
