"""Real numbers, non-negative numbers, boxes, and integers in a box.

The minimiser of a column's subproblem over one of these sets is the unconstrained minimiser,
projected entry by entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax.pytrees import register
from lrfjax.solvers.sets.constraint import Constraint


@register
@dataclass(frozen=True)
class Real:
    """All real numbers, for the unconstrained factorization."""

    is_cone: ClassVar[bool] = True
    is_discrete: ClassVar[bool] = False
    is_convex: ClassVar[bool] = True
    has_bounds: ClassVar[bool] = False

    def for_column(self, r: Array | int) -> Constraint:
        """Return itself."""
        return self

    def wider_side(self) -> float:
        """Return 1."""
        return 1.0

    def project(self, x: Array) -> Array:
        """Return ``x``."""
        return x

    def update(self, target: Array, old: Array, slack: Array, curvature: Array) -> Array:
        """Return ``target``."""
        return target

    def neighbours(self, x: Array) -> tuple[Array, Array]:
        """Return ``x`` twice."""
        return x, x

    def reach(self) -> None:
        """Return None."""

    def relaxed(self) -> Constraint:
        """Return itself."""
        return self

    def at_bound(self, x: Array) -> Array:
        """Return False everywhere."""
        return jnp.zeros_like(x, dtype=bool)

    def projected_gradient(self, x: Array, gradient: Array) -> Array:
        """Return ``gradient``."""
        return gradient


@register
@dataclass(frozen=True)
class NonNegative:
    """Non-negative real numbers, with the column update of HALS (Cichocki and Phan, 2009)."""

    is_cone: ClassVar[bool] = True
    is_discrete: ClassVar[bool] = False
    is_convex: ClassVar[bool] = True
    has_bounds: ClassVar[bool] = True

    def for_column(self, r: Array | int) -> Constraint:
        """Return itself."""
        return self

    def wider_side(self) -> float:
        """Return 1."""
        return 1.0

    def project(self, x: Array) -> Array:
        """Return max(x, 0)."""
        return jnp.maximum(x, 0)

    def update(self, target: Array, old: Array, slack: Array, curvature: Array) -> Array:
        """Return max(target, 0)."""
        return self.project(target)

    def neighbours(self, x: Array) -> tuple[Array, Array]:
        """Return ``x`` twice."""
        return x, x

    def reach(self) -> None:
        """Return None."""

    def relaxed(self) -> Constraint:
        """Return itself."""
        return self

    def at_bound(self, x: Array) -> Array:
        """Return where ``x`` is zero."""
        return x == 0

    def projected_gradient(self, x: Array, gradient: Array) -> Array:
        """Return the gradient, without its positive part where ``x`` is 0 (Lin, 2007, eq. 8)."""
        return jnp.where(x > 0, gradient, jnp.minimum(gradient, 0))


def _over_rows(bound: Any) -> Any:
    """Return a bound in a shape that broadcasts against a transposed factor, (R, L)."""
    return bound if np.ndim(bound) == 0 else bound[:, None]


@register
@dataclass(frozen=True)
class Box:
    """Real numbers from ``lower`` to ``upper``, both included.

    Attributes:
        lower: lower bound, a scalar or one for each column, shape (R,); dtype of the factors.
        upper: upper bound, likewise.
    """

    lower: Array | np.ndarray | float
    upper: Array | np.ndarray | float

    is_cone: ClassVar[bool] = False
    is_discrete: ClassVar[bool] = False
    is_convex: ClassVar[bool] = True
    has_bounds: ClassVar[bool] = True

    def for_column(self, r: Array | int) -> Box:
        """Return the box of column ``r``."""
        bounds: tuple[Any, Any] = (self.lower, self.upper)
        lower, upper = (b if np.ndim(b) == 0 else b[r] for b in bounds)
        return type(self)(lower, upper)

    def wider_side(self) -> Array:
        """Return -1 if the box reaches further down than up, else 1; one sign for each bound."""
        return jnp.where(-self.lower > self.upper, -1.0, 1.0).astype(jnp.result_type(self.lower))

    def neighbours(self, x: Array) -> tuple[Array, Array]:
        """Return ``x`` twice."""
        return x, x

    def reach(self) -> Array:
        """Return the largest magnitude in the box, over all columns."""
        return jnp.max(jnp.maximum(jnp.abs(self.lower), jnp.abs(self.upper)))

    def project(self, x: Array) -> Array:
        """Return ``x`` clamped to the box."""
        return jnp.clip(x, _over_rows(self.lower), _over_rows(self.upper))

    def update(self, target: Array, old: Array, slack: Array, curvature: Array) -> Array:
        """Return ``target`` clamped to the box."""
        return self.project(target)

    def relaxed(self) -> Box:
        """Return the box of real numbers."""
        return Box(self.lower, self.upper)

    def at_bound(self, x: Array) -> Array:
        """Return where ``x`` equals ``lower`` or ``upper``."""
        return (x == _over_rows(self.lower)) | (x == _over_rows(self.upper))

    def projected_gradient(self, x: Array, gradient: Array) -> Array:
        """Return the gradient, with zeros where a descent step would leave the box."""
        is_stuck = ((x <= _over_rows(self.lower)) & (gradient > 0)) | (
            (x >= _over_rows(self.upper)) & (gradient < 0)
        )
        return jnp.where(is_stuck, 0, gradient)


@register
@dataclass(frozen=True)
class IntegerBox(Box):
    """Integers from ``lower`` to ``upper``, both included (arXiv 2408.12691, section 3).

    Attributes:
        lower: smallest integer, a scalar or one for each column, shape (R,); dtype of the factors.
        upper: largest integer, likewise.
    """

    is_discrete: ClassVar[bool] = True
    is_convex: ClassVar[bool] = False

    def project(self, x: Array) -> Array:
        """Return ``x`` rounded (halves to even), then clamped."""
        return super().project(jnp.round(x))

    def update(self, target: Array, old: Array, slack: Array, curvature: Array) -> Array:
        """Return the integer in the box nearest to ``target``, or ``old`` on a tie."""
        nearest = self.project(target)
        is_feasible = self.project(old) == old
        return jnp.where(is_feasible & (jnp.abs(target - old) <= 0.5 + slack), old, nearest)

    def neighbours(self, x: Array) -> tuple[Array, Array]:
        """Return x - 1 and x + 1, clamped."""
        return self.project(x - 1), self.project(x + 1)

    def projected_gradient(self, x: Array, gradient: Array) -> Array:
        """Return zeros: a discrete set has no directions."""
        return jnp.zeros_like(x)
