"""A start from random draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import jax
import jax.numpy as jnp
from jax import Array

from lrfjax import checks
from lrfjax.pytrees import register
from lrfjax.solvers.model import Model
from lrfjax.solvers.numerics import safe_sqrt
from lrfjax.solvers.sets.constraint import Constraint
from lrfjax.solvers.starts.start import Start


@register
@dataclass(frozen=True)
class RandomStart(Start):
    """Normal draws, scaled so that the entries of U V^T are about as large as those of X.

    A draw on the wrong side of the constraint is reflected, so non-negative factors start from
    half-normal draws. The draws of column r depend on ``key`` and r alone, not on the rank.

    Attributes:
        key: a JAX PRNG key or an integer seed; all problems of a batch use the same draws.
    """

    key: Any = 0

    def __call__(self, x: Array, size: int, rank: Array | int, model: Model) -> tuple[Array, Array]:
        """Return the start."""
        spread = safe_sqrt(jnp.mean(x * x) / jnp.asarray(rank).astype(x.dtype))
        deviation = safe_sqrt(spread)

        def draw(key: Array, length: int, constraint: Constraint) -> Array:
            columns = jax.vmap(
                lambda r: jax.random.normal(jax.random.fold_in(key, r), (length,), x.dtype)
            )(jnp.arange(size))
            plus = columns * deviation
            gap = jnp.abs(constraint.project(plus) - plus)
            return jnp.where(gap <= jnp.abs(constraint.project(-plus) + plus), plus, -plus)

        key_u, key_v = jax.random.split(self.key)
        u_set, v_set = model.constraints
        return draw(key_u, x.shape[0], u_set), draw(key_v, x.shape[1], v_set)

    def variants(self, count: int, model: Model) -> Self:
        """Return starts from different draws."""
        key = checks.prng_key("key", self.key)
        return replace(self, key=jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(count)))
