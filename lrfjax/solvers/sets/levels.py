"""A finite set of levels for every entry: binary, ternary, powers of two, any list of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax.errors import InputError, InputTypeError
from lrfjax.pytrees import register
from lrfjax.solvers.sets.boxes import Box
from lrfjax.solvers.sets.constraint import Constraint


@register
@dataclass(frozen=True, init=False)
class Levels:
    """Entries from a list of real numbers, such as {0, 1}, {-1, 0, 1} or powers of two.

    The cost of an entry is convex, so its minimiser over the levels is next to the unconstrained
    one, below or above. It is the nearer of the two as long as zero does not lie strictly between
    them. An L1 penalty therefore needs zero among the levels, or all of them on one side of it.

    Attributes:
        values: the levels, rising; static, so each list compiles once.

    Raises:
        InputError: fewer than two different levels, NaN, or infinity.
        InputTypeError: levels that are not numbers.

    Example:
        >>> Levels([1, 0, -1]).values
        (-1.0, 0.0, 1.0)
    """

    values: tuple[float, ...] = field(metadata={"static": True})

    is_cone: ClassVar[bool] = False
    is_discrete: ClassVar[bool] = True
    is_convex: ClassVar[bool] = False
    has_bounds: ClassVar[bool] = True

    def __init__(self, values: Iterable[Any]) -> None:
        try:
            levels = np.unique(np.asarray([float(value) for value in values]))
        except (TypeError, ValueError) as error:
            raise InputTypeError(f"values must be a list of numbers, got {values!r}") from error
        if len(levels) < 2 or not np.all(np.isfinite(levels)):
            raise InputError(f"values must be at least two finite levels, got {values!r}")
        object.__setattr__(self, "values", tuple(float(level) for level in levels))

    @property
    def skips_zero(self) -> bool:
        """Whether zero lies strictly between two levels."""
        return self.values[0] < 0 < self.values[-1] and 0.0 not in self.values

    def for_column(self, r: Array | int) -> Constraint:
        """Return itself."""
        return self

    def wider_side(self) -> float:
        """Return -1 if the levels reach further down than up, else 1."""
        return -1.0 if -self.values[0] > self.values[-1] else 1.0

    def project(self, x: Array) -> Array:
        """Return the nearest level; the lower one on a tie."""
        levels = jnp.asarray(self.values, x.dtype)
        middles = (levels[1:] + levels[:-1]) / 2
        return levels[jnp.searchsorted(middles, x)]

    def update(self, target: Array, old: Array, slack: Array, curvature: Array) -> Array:
        """Return the level nearest to ``target``, or ``old`` where that is as near."""
        nearest = self.project(target)
        is_tie = jnp.abs(target - old) <= jnp.abs(target - nearest) + 2 * slack
        return jnp.where((self.project(old) == old) & is_tie, old, nearest)

    def neighbours(self, x: Array) -> tuple[Array, Array]:
        """Return the levels below and above."""
        levels = jnp.asarray(self.values, x.dtype)
        index = jnp.searchsorted(levels, x)
        return levels[jnp.maximum(index - 1, 0)], levels[jnp.minimum(index + 1, len(levels) - 1)]

    def reach(self) -> float:
        """Return the largest magnitude of a level."""
        return max(-self.values[0], self.values[-1])

    def relaxed(self) -> Box:
        """Return the box from the lowest to the highest level."""
        return Box(np.asarray(self.values[0]), np.asarray(self.values[-1]))

    def at_bound(self, x: Array) -> Array:
        """Return where ``x`` is the lowest or the highest level."""
        return (x == self.values[0]) | (x == self.values[-1])

    def projected_gradient(self, x: Array, gradient: Array) -> Array:
        """Return zeros: a discrete set has no directions."""
        return jnp.zeros_like(x)
