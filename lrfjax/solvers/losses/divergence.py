"""Beta-divergences between non-negative numbers, for beta in [0, 2]."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.errors import InputError
from lrfjax.pytrees import register
from lrfjax.solvers.losses.loss import Loss
from lrfjax.solvers.sets.constraint import Constraint

# Below this fall the exact curvature would cancel, and a chord bounds it to a percent.
_SMALL_FALL = 0.1


@register
@dataclass(frozen=True)
class BetaDivergence(Loss):
    """The beta-divergence of x >= 0 from z >= 0 (Fevotte and Idier, Neural Computation 23, 2011).

    Half the squared error for beta = 2, the Kullback-Leibler divergence x log(x / z) - x + z for
    beta = 1, the Itakura-Saito divergence x / z - log(x / z) - 1 for beta = 0, and in general

        (x^beta + (beta - 1) z^beta - beta x z^(beta - 1)) / (beta (beta - 1)).

    z is U V^T plus eps^(3/2), for rounding eps and X of entries near one (see ``floored``), so that
    the loss is finite where U V^T is zero.

    The parabola. The slope is z^(beta - 1) - x z^(beta - 2). The first term is the derivative of
    a(z) = z^beta / beta, the second that of b(z) = -x z^(beta - 1) / (beta - 1). b is convex, and
    so is a for beta >= 1. For beta < 1, a is concave, and its tangent is above it. The second
    derivative of either convex part falls with z, so of all z' >= (1 - f) z the least one, (1 - f)
    z, needs the largest curvature: with t = (z' - z) / z, the function (c(1 + t) - c(1) - c'(1) t)
    / t^2 falls with t. Both parts are powers of z, so this curvature is c'' at z times a factor of
    f alone.

    Attributes:
        beta: in [0, 2]; static.

    Raises:
        InputError: beta out of range; negative entries of X, or zeros for beta = 0, for which no
            minimum exists; sets with negative numbers.

    Example:
        >>> import jax.numpy as jnp
        >>> print(BetaDivergence(1.0).value(jnp.array([1.0, 0.0]), jnp.array([1.0, 2.0])))
        [0. 2.]
    """

    beta: float = field(metadata={"static": True})

    is_positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", checks.real("beta", self.beta, 0.0, 2.0))

    @property
    def degree(self) -> float:  # type: ignore[override]
        """Beta: the divergence is homogeneous."""
        return self.beta

    @property
    def exponent(self) -> float:
        """The power of a multiplicative update: 1, or 1 / (2 - beta) for beta < 1."""
        return 1.0 if self.beta >= 1 else 1 / (2 - self.beta)

    def parts(self, x: Array, z: Array) -> tuple[Array, Array]:
        """Return p and q, both non-negative, whose difference p - q is the slope."""
        return _power(z, self.beta - 1), x * _power(z, self.beta - 2)

    def value(self, x: Array, z: Array) -> Array:
        """Return the divergence of every entry, accurate also where z is near x."""
        if self.beta in (0.0, 1.0):
            # log(z / x) from the smaller of the two cancels nowhere.
            least = jnp.minimum(x, z)
            gap = jnp.abs(z - x) / jnp.where(least > 0, least, 1)
            gap = jnp.minimum(gap, jnp.finfo(gap.dtype).max)  # x may be next to nothing
            log_ratio = jnp.sign(z - x) * jnp.log1p(gap)
            return (z - x) - x * log_ratio if self.beta else log_ratio - (z - x) / z
        is_near = jnp.abs(z - x) < 0.5 * x
        safe = jnp.where(is_near, x, 1)
        log_ratio = jnp.log1p(jnp.where(is_near, (z - x) / safe, 0))
        near = _expm1(self.beta, log_ratio) - _expm1(self.beta - 1, log_ratio)
        return jnp.where(is_near, _power(safe, self.beta) * near, self._far(x, z))

    def _far(self, x: Array, z: Array) -> Array:
        """Return the divergence from its definition, which cancels where z is near x."""
        beta, safe = self.beta, jnp.where(x == 0, 1, x)
        power = jnp.where(x == 0, 0, _power(safe, beta))
        terms = power + (beta - 1) * _power(z, beta) - beta * x * _power(z, beta - 1)
        return terms / (beta * (beta - 1))

    def slope(self, x: Array, z: Array) -> Array:
        """Return z^(beta - 1) - x z^(beta - 2)."""
        plus, minus = self.parts(x, z)
        return plus - minus

    def curvature(self, x: Array, z: Array, fall: Array | float) -> Array:
        """Return the curvature of the parabola that the docstring of the class derives."""
        curvature = (2 - self.beta) * self._excess(self.beta - 1, fall) * x
        if self.beta > 1:
            curvature = curvature + (self.beta - 1) * self._excess(self.beta, fall) * z
        return curvature * _power(z, self.beta - 3)

    @staticmethod
    def _excess(power: float, fall: Array | float) -> Array | float:
        """Return the curvature that bounds c(z) = z^power / power over that of c at z.

        It is 2 (c(1 - f) - c(1) + c'(1) f) / (c''(1) f^2). For small f a chord of c'' bounds it.
        """
        if power in (1.0, 2.0):  # c is a line or a parabola
            return 1.0
        numpy: Any = np if isinstance(fall, float) else jnp
        is_small = fall < _SMALL_FALL
        large = numpy.where(is_small, _SMALL_FALL, fall)
        # U V^T may become zero, but z does not.
        rest = numpy.maximum(1 - large, numpy.finfo(large.dtype).eps ** 2)
        exact = 2 * (_expm1(power, numpy.log(rest)) + large) / ((power - 1) * large * large)
        small = numpy.where(is_small, fall, 0)
        return numpy.where(is_small, (2 + (1 - small) ** (power - 2)) / 3, exact)

    def check(self, x: Any, constraints: tuple[Constraint, Constraint]) -> None:
        """Raise InputError if X has negative entries, or a set has negative numbers."""
        if checks.is_concrete(x):
            smallest = float(checks.at_hand(x).min())
            if smallest < 0 or (smallest == 0 and self.beta == 0):
                need = "positive" if self.beta == 0 else "non-negative"
                raise InputError(f"x must be {need} for {self!r}, got an entry of {smallest:g}")
        for constraint in constraints:
            leaves = jax.tree.leaves(constraint)
            if not checks.is_concrete(leaves):
                continue
            rows = max((np.size(leaf) for leaf in leaves), default=1)
            with jax.ensure_compile_time_eval():  # also while a caller's jit traces
                lowest = np.asarray(constraint.project(jnp.full((rows, 1), -math.inf)))
            if not np.all(lowest >= 0):
                raise InputError(f"{self!r} needs sets of non-negative numbers, got {constraint!r}")


@register
@dataclass(frozen=True)
class KullbackLeibler(BetaDivergence):
    """x log(x / z) - x + z, the loss of counts (Lee and Seung, NIPS 2000): beta = 1."""

    beta: float = field(default=1.0, init=False, metadata={"static": True})


@register
@dataclass(frozen=True)
class ItakuraSaito(BetaDivergence):
    """x / z - log(x / z) - 1, the loss of power spectra: beta = 0; X must be positive.

    See Fevotte, Bertin and Durrieu, Neural Computation 21, 2009.
    """

    beta: float = field(default=0.0, init=False, metadata={"static": True})


def _power(z: Array, exponent: float) -> Array:
    """Return z to a static power; small integers need no logarithm."""
    if exponent == 0:
        return jnp.ones_like(z)
    if exponent in (-3.0, -2.0, -1.0, 1.0, 2.0):
        return jax.lax.integer_pow(z, int(exponent))
    return z**exponent


def _expm1(power: float, log: Any) -> Any:
    """Return (exp(power * log) - 1) / power, and its limit ``log`` for power = 0."""
    if power == 0:
        return log
    numpy: Any = jnp if isinstance(log, Array) else np
    return numpy.expm1(power * log) / power
