"""What is minimised: a loss, and for each factor its set, its penalties and its frozen columns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
from jax import Array

from lrfjax.pytrees import register
from lrfjax.solvers.losses.loss import Loss
from lrfjax.solvers.losses.squared import SquaredError
from lrfjax.solvers.penalties.entropy import RatePenalty
from lrfjax.solvers.penalties.penalty import Penalty
from lrfjax.solvers.problem import State
from lrfjax.solvers.sets.boxes import Real
from lrfjax.solvers.sets.constraint import Constraint


@register
@dataclass(frozen=True)
class FactorModel:
    """The set, the penalties and the frozen columns of one factor.

    Attributes:
        constraint: set of the entries. Bounds may be arrays of shape (rank,), one for each column.
        penalties: what else the entries cost; a tuple, summed.
        frozen: booleans of shape (rank,), True for columns that keep the values of the start; None
            for none.
        is_fixed: whether the whole factor keeps the values of the start; static.
    """

    constraint: Constraint = field(default_factory=Real)
    penalties: tuple[Penalty, ...] = ()
    frozen: Array | None = None
    is_fixed: bool = field(default=False, metadata={"static": True})

    def penalty(self, factor: Array, rank: Array | int) -> Array:
        """Return the sum of the penalties of a transposed factor with ``rank`` live rows."""
        return self._over_columns(factor, rank, self.penalties, "value")

    def bits(self, factor: Array, rank: Array | int) -> Array:
        """Return the bits of a transposed factor of integers, those of all penalties that count."""
        return self._over_columns(factor, rank, self.rates, "bits")

    def _over_columns(
        self, factor: Array, rank: Array | int, penalties: tuple[Penalty, ...], name: str
    ) -> Array:
        total = jnp.zeros((), factor.dtype)
        columns = jnp.arange(factor.shape[0], dtype=jnp.int32)
        for penalty in penalties:
            values = jax.vmap(getattr(penalty, name))(factor, columns)
            total = total + jnp.sum(jnp.where(columns < rank, values, 0))
        return total

    @property
    def rates(self) -> tuple[RatePenalty, ...]:
        """The penalties that count bits."""
        return tuple(p for p in self.penalties if isinstance(p, RatePenalty))

    def bound(self, column: Array, r: Array) -> tuple[Array, Array]:
        """Return (l1, l2) of the parabolas above all penalties of column ``r``, see ``Penalty``."""
        l1 = l2 = jnp.zeros((), column.dtype)
        for penalty in self.penalties:
            more = penalty.bound(column, r)
            l1, l2 = l1 + more[0], l2 + more[1]
        return l1, l2

    def bounds(self, factor: Array) -> tuple[Array, Array]:
        """Return (l1, l2) for all columns of a transposed factor, in shapes that fit it."""
        if not self.penalties:
            zero = jnp.zeros((), factor.dtype)
            return zero, zero
        parts = jax.vmap(self.bound)(factor, jnp.arange(factor.shape[0], dtype=jnp.int32))
        l1, l2 = (part[:, None] if jnp.ndim(part) == 1 else part for part in parts)
        return l1, l2

    def project(self, factor: Array) -> Array:
        """Return the nearest feasible transposed factor; frozen rows stay as they are."""
        return self.kept(factor, self.constraint.project(factor))

    def kept(self, factor: Array, new: Array) -> Array:
        """Return ``new``, with the frozen rows of ``factor``."""
        if self.is_fixed or self.frozen is None:
            return factor if self.is_fixed else new
        return jnp.where(self.frozen[:, None], factor, new)

    def projected_gradient(self, factor: Array, gradient: Array) -> Array:
        """Return the projected gradient of the penalised objective, zero in frozen columns.

        Args:
            factor: transposed factor, feasible.
            gradient: gradient of the loss.
        """
        l1, l2 = self.bounds(factor)
        gradient = gradient + 2 * l2 * factor
        # At a zero entry the slopes to both sides differ by 4 l1; descent goes up, goes down, or is
        # impossible.
        at_zero = jnp.minimum(gradient + 2 * l1, 0) + jnp.maximum(gradient - 2 * l1, 0)
        slope = jnp.where(factor == 0, at_zero, gradient + 2 * l1 * jnp.sign(factor))
        return self.kept(jnp.zeros_like(factor), self.constraint.projected_gradient(factor, slope))


@register
@dataclass(frozen=True)
class Model:
    """What a solver minimises: the loss of X ~ scale * U V^T + offset, plus penalties.

    Attributes:
        u: set of U, or a ``FactorModel`` with penalties and frozen columns.
        v: the same for V.
        loss: squared error, or another ``Loss``.
        fit_scale: whether a scale is fitted after each sweep; static. Both sets need bounds, since
            factors without bounds absorb the scale; squared error only.
        fit_offset: whether an offset is fitted after each sweep; static; squared error only.

    Example:
        >>> import lrfjax
        >>> model = Model(u=lrfjax.IntegerBox(0, 7), v=lrfjax.NonNegative())
    """

    u: FactorModel | Constraint = field(default_factory=Real)
    v: FactorModel | Constraint = field(default_factory=Real)
    loss: Loss = field(default_factory=SquaredError)
    fit_scale: bool = field(default=False, metadata={"static": True})
    fit_offset: bool = field(default=False, metadata={"static": True})

    @property
    def sides(self) -> tuple[FactorModel, FactorModel]:
        """The models of U and of V."""
        u, v = self.u, self.v
        return (
            u if isinstance(u, FactorModel) else FactorModel(u),
            v if isinstance(v, FactorModel) else FactorModel(v),
        )

    @property
    def constraints(self) -> tuple[Constraint, Constraint]:
        """The sets of U and of V."""
        u, v = self.sides
        return u.constraint, v.constraint

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        """The penalties of U, then those of V."""
        u, v = self.sides
        return (*u.penalties, *v.penalties)

    @property
    def is_discrete(self) -> bool:
        """Whether a factor lies in a discrete set."""
        return any(c.is_discrete for c in self.constraints)

    @property
    def is_cone(self) -> bool:
        """Whether both sets are closed under positive scaling."""
        return all(c.is_cone for c in self.constraints)

    @property
    def is_squared(self) -> bool:
        """Whether the loss is the squared error."""
        return isinstance(self.loss, SquaredError)

    def penalty(self, state: State, rank: Array | int) -> Array:
        """Return all penalties of a state."""
        u, v = self.sides
        return u.penalty(state.ut, rank) + v.penalty(state.vt, rank)

    def project(self, state: State, rank: Array | int) -> State:
        """Return the feasible state nearest to ``state``, its rows from ``rank`` on zero."""
        live = jnp.arange(state.ut.shape[0], dtype=jnp.int32)[:, None] < rank
        ut, vt = (
            jnp.where(live, side.project(factor), 0)
            for side, factor in zip(self.sides, (state.ut, state.vt), strict=True)
        )
        return replace(state, ut=ut, vt=vt)
