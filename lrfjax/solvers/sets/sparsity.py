"""At most k non-zero entries in a column, each from another set."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from lrfjax import checks
from lrfjax.pytrees import register
from lrfjax.solvers.sets.boxes import Real
from lrfjax.solvers.sets.constraint import Constraint


@register
@dataclass(frozen=True)
class Sparse:
    """Columns with at most ``num_nonzeros`` entries other than zero.

    Without this limit every entry u has its own best value, and it saves d (t^2 - (u - t)^2)
    over zero, for the curvature d and the unconstrained minimiser t. A column of k entries is best
    if it keeps the k largest of these savings, so the update is still the exact minimiser (hard
    thresholding).

    Attributes:
        num_nonzeros: largest number of non-zero entries in a column, at least 1; static.
        base: set of the entries, which must contain zero.

    Example:
        >>> import numpy as np, lrfjax
        >>> x = np.abs(np.random.default_rng(0).normal(size=(9, 7)))
        >>> model = lrfjax.Model(u=Sparse(4, lrfjax.NonNegative()), v=lrfjax.NonNegative())
        >>> result = lrfjax.factorize(x, 2, model=model, num_iters=5)
        >>> print((np.asarray(result.factors.u) > 0).sum(axis=0) <= 4)
        [ True  True]
    """

    num_nonzeros: int = field(metadata={"static": True})
    base: Constraint = field(default_factory=Real)

    is_convex: ClassVar[bool] = False

    def __post_init__(self) -> None:
        checks.integer("num_nonzeros", self.num_nonzeros, 1)

    @property
    def is_cone(self) -> bool:
        """Whether the set is closed under positive scaling: that of the entries."""
        return self.base.is_cone

    @property
    def is_discrete(self) -> bool:
        """Whether the set of the entries is discrete."""
        return self.base.is_discrete

    @property
    def has_bounds(self) -> bool:
        """Whether the set of the entries has bounds."""
        return self.base.has_bounds

    def for_column(self, r: Array | int) -> Constraint:
        """Return the constraint of column ``r``."""
        return replace(self, base=self.base.for_column(r))

    def wider_side(self) -> Any:
        """Return that of the set of the entries."""
        return self.base.wider_side()

    def project(self, x: Array) -> Array:
        """Return the nearest point: what is largest after the projection of the entries."""
        entries = self.base.project(x)
        return self._largest(entries, entries * (2 * x - entries))

    def update(self, target: Array, old: Array, slack: Array, curvature: Array) -> Array:
        """Return the best column, with the entries that save most."""
        entries = self.base.update(target, old, slack, curvature)
        return self._largest(entries, curvature * entries * (2 * target - entries))

    def neighbours(self, x: Array) -> tuple[Array, Array]:
        """Return those of the set of the entries."""
        return self.base.neighbours(x)

    def reach(self) -> Array | float | None:
        """Return that of the set of the entries."""
        return self.base.reach()

    def relaxed(self) -> Constraint:
        """Return the same limit on the relaxed entries."""
        return replace(self, base=self.base.relaxed())

    def at_bound(self, x: Array) -> Array:
        """Return where an entry is at a bound of its set."""
        return self.base.at_bound(x)

    def projected_gradient(self, x: Array, gradient: Array) -> Array:
        """Return that of the entries; zeros stay zeros in a column that is full."""
        is_full = jnp.sum(x != 0, axis=-1, keepdims=True) >= self.num_nonzeros
        slope = self.base.projected_gradient(x, gradient)
        return jnp.where(is_full & (x == 0), 0, slope)

    def _largest(self, entries: Array, savings: Array) -> Array:
        """Return the entries with the largest savings along the last axis, the others zero."""
        count = min(self.num_nonzeros, entries.shape[-1])

        def keep(entries: Array, savings: Array) -> Array:
            _, places = lax.top_k(savings, count)
            return jnp.zeros_like(entries).at[places].set(entries[places])

        if entries.ndim == 1:
            return keep(entries, savings)
        return jax.vmap(keep)(entries, savings)
