"""The protocol of a set that the columns of a factor may lie in."""

from __future__ import annotations

from typing import Protocol

from jax import Array


class Constraint(Protocol):
    """The interface of a set. Every array argument and result has the shape of the factor."""

    @property
    def is_cone(self) -> bool:
        """Whether the set is closed under positive scaling, so that X may be rescaled inside."""

    @property
    def is_discrete(self) -> bool:
        """Whether the set is discrete, so that changes are counted and gradients are not."""

    @property
    def is_convex(self) -> bool:
        """Whether the set is an interval for every entry, whatever the others are."""

    @property
    def has_bounds(self) -> bool:
        """Whether entries can lie at a bound."""

    def for_column(self, r: Array | int) -> Constraint:
        """Return the constraint of column ``r``: itself, unless its bounds are arrays."""

    def wider_side(self) -> Array | float:
        """Return the sign, 1 or -1, of the side with more room; 1 if both sides are equal."""

    def project(self, x: Array) -> Array:
        """Return the nearest point of the set."""

    def update(self, target: Array, old: Array, slack: Array, curvature: Array) -> Array:
        """Return the new column for the unconstrained minimiser ``target``.

        ``slack`` bounds the rounding error of ``target``. A discrete set keeps ``old`` where its
        two nearest points are closer to a tie than that. A rounding error thus never replaces an
        entry by a worse one, and ties do not make entries wander. Entry u of the column costs
        ``curvature`` times (u - target)^2, on the side of zero where its target is; ``curvature``
        is a scalar or has the shape of the column.
        """

    def neighbours(self, x: Array) -> tuple[Array, Array]:
        """Return the values next to feasible entries, below and above; ``x`` where there is none.

        For discrete sets alone; others return ``x`` twice.
        """

    def reach(self) -> Array | float | None:
        """Return the largest magnitude in the set, over all columns; None without bounds."""

    def relaxed(self) -> Constraint:
        """Return a continuous set that contains this one: itself unless it is discrete."""

    def at_bound(self, x: Array) -> Array:
        """Return booleans, True where an entry of a feasible factor lies at a bound."""

    def projected_gradient(self, x: Array, gradient: Array) -> Array:
        """Return the part of the gradient along which a feasible factor can still move."""
