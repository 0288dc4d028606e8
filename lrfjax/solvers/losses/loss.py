"""The protocol of a loss: its value, its slope, and a bound of its curvature."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
from jax import Array

from lrfjax.solvers.sets.constraint import Constraint


class Loss:
    """A loss l(x, z), summed over the entries of X with their weights; z is an entry of U V^T.

    The base class of all losses; ``value``, ``slope`` and ``curvature`` have to be implemented. A
    loss is a frozen dataclass, registered with ``jax.tree_util.register_dataclass``.

    Column updates never see the loss itself but a parabola above it, which touches it at the
    present z: for all z' >= (1 - fall) z,

        l(x, z') <= l(x, z) + slope (z' - z) + curvature / 2 (z' - z)^2.

    A factor that lowers the sum of these parabolas lowers the loss (majorisation-minimisation). So
    the objective never rises, whatever the loss is.
    """

    degree: ClassVar[float | None] = None
    """p where l(c x, c z) = c^p l(x, z) for all c > 0, so that X may be rescaled; or None."""
    is_positive: ClassVar[bool] = False
    """Whether the loss is defined for z >= 0 only: U and V have to be non-negative, and ``slope``
    and ``curvature`` are needed for positive z only."""

    def value(self, x: Array, z: Array) -> Array:
        """Return the loss of every entry; ``x`` and ``z`` have the same shape."""
        raise NotImplementedError

    def slope(self, x: Array, z: Array) -> Array:
        """Return the derivative with respect to z, for every entry."""
        raise NotImplementedError

    def curvature(self, x: Array, z: Array, fall: Array | float) -> Array:
        """Return the curvature of a parabola above the loss, for every entry.

        ``fall``, in [0, 1), is the largest share by which z may fall: a number, or an array of the
        shape of z. Where z may have any sign, it has no meaning.
        """
        raise NotImplementedError

    def check(self, x: Any, constraints: tuple[Constraint, Constraint]) -> None:
        """Raise InputError if a concrete X, or a set, does not suit the loss."""


def floored(loss: Loss, z: Array, unit: Array) -> Array:
    """Return U V^T as a loss sees it: above zero if the loss needs that, else as it is.

    Args:
        loss: the loss.
        z: U V^T, any shape.
        unit: power of two near the largest entry of X.
    """
    return z + unit * float(jnp.finfo(z.dtype).eps) ** 1.5 if loss.is_positive else z
