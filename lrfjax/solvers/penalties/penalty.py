"""The protocol of a penalty, and the two classic ones: sums of magnitudes and of squares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import jax.numpy as jnp
from jax import Array

from lrfjax import checks
from lrfjax.errors import InputError
from lrfjax.pytrees import register
from lrfjax.solvers.sets.constraint import Constraint
from lrfjax.solvers.sets.levels import Levels
from lrfjax.solvers.sets.sparsity import Sparse

Bound = tuple[Array | float, Array | float]
"""The pair (l1, l2) in 2 l1 |u| + l2 u^2."""


@dataclass(frozen=True)
class Penalty:
    """``weight`` times a function of one factor, added to the objective; the base class of all.

    A penalty is a frozen dataclass, registered with ``jax.tree_util.register_dataclass``. It has to
    implement ``value`` and ``bound``, for ``weight`` times the function. A column update sees

        2 l1 |u| + l2 u^2 + a constant,

    which may depend on the present column and on the entry; it must not be below the penalty
    anywhere, and equal to it at the present column. The objective then never rises.

    Attributes:
        weight: at least 0; it may be traced.
    """

    weight: Array | float

    degree: ClassVar[int | None] = None
    """p where the function of c U is c^p times that of U, so that X may be rescaled; or None."""
    grows_with_data: ClassVar[bool] = False
    """Whether the weight is multiplied by the length of the other dimension of X. The effect of the
    penalty then does not depend on the size of X."""

    def value(self, column: Array, r: Array) -> Array:
        """Return the penalty of column ``r``, shape (L,)."""
        raise NotImplementedError

    def bound(self, column: Array, r: Array) -> Bound:
        """Return (l1, l2) for the present column ``r``: scalars, or of shape (L,)."""
        raise NotImplementedError

    def scaled(self, by: Any) -> Self:
        """Return the penalty times a number."""
        return replace(self, weight=self.weight * by)

    def fitted_to(self, constraint: Constraint) -> Self:
        """Return the penalty for a factor in a set; raise InputError if it does not suit it."""
        return self


@register
@dataclass(frozen=True)
class L1(Penalty):
    """2 weight |U|_1 times the length of the other dimension. For integers: a dead zone.

    The length is a factor as in the published code, so that the effect of a weight does not depend
    on the size of X.
    """

    degree: ClassVar[int | None] = 1
    grows_with_data: ClassVar[bool] = True

    def value(self, column: Array, r: Array) -> Array:
        """Return 2 weight times the sum of the magnitudes."""
        return 2 * self.weight * jnp.sum(jnp.abs(column))

    def bound(self, column: Array, r: Array) -> Bound:
        """Return (weight, 0)."""
        return self.weight, 0.0

    def fitted_to(self, constraint: Constraint) -> Self:
        """Return itself; raise InputError for levels on both sides of zero without it."""
        levels = constraint.base if isinstance(constraint, Sparse) else constraint
        if isinstance(levels, Levels) and levels.skips_zero:
            raise InputError(
                f"l1 must be 0 for levels on both sides of zero without it, got {self.weight}"
            )
        return self


@register
@dataclass(frozen=True)
class L2(Penalty):
    """weight ||U||_F^2 times the length of the other dimension, like ``L1``."""

    degree: ClassVar[int | None] = 2
    grows_with_data: ClassVar[bool] = True

    def value(self, column: Array, r: Array) -> Array:
        """Return weight times the sum of the squares."""
        return self.weight * jnp.sum(column * column)

    def bound(self, column: Array, r: Array) -> Bound:
        """Return (0, weight)."""
        return 0.0, self.weight


def is_off(penalty: Penalty) -> bool:
    """Return True if the weight of a penalty is known to be zero."""
    return checks.is_concrete(penalty.weight) and not penalty.weight > 0
