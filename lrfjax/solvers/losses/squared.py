"""The squared error, the loss of the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from lrfjax.pytrees import register
from lrfjax.solvers.losses.loss import Loss


@register
@dataclass(frozen=True)
class SquaredError(Loss):
    """(x - z)^2. The parabola is the loss itself, so every column update is exact.

    Without weights, the updates need only X V and V^T V, and U V^T is never formed (arXiv
    2408.12691, section 3).
    """

    degree: ClassVar[float | None] = 2.0

    def value(self, x: Array, z: Array) -> Array:
        """Return (x - z)^2."""
        return (x - z) ** 2

    def slope(self, x: Array, z: Array) -> Array:
        """Return 2 (z - x)."""
        return 2 * (z - x)

    def curvature(self, x: Array, z: Array, fall: Array | float) -> Array:
        """Return 2."""
        return jnp.full_like(z, 2.0)
