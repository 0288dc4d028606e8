"""Block coordinate descent over the columns of U and V, the method of the paper.

One sweep forms A = X V and B = V^T V. For r = 0, 1, ... it then replaces column u_r by the
minimiser of its subproblem: (A_r - sum_{s != r} B_sr u_s) / B_rr, projected on the constraint. The
sum uses the columns already updated. The sweep ends with the same for V, from X^T and the new U
(arXiv 2408.12691, algorithm 1; Cichocki and Phan, 2009, for NMF). Each update minimises over its
column exactly, so the objective never rises. For other losses, and with weights, it minimises a
majoriser, see ``majorised``.

Factors are stored transposed, (R, M) and (R, N), so that a column is contiguous. They are padded
with zero rows to a static R, and the loop runs over the ``rank`` live rows. The rank may therefore
be traced, and one compilation serves all ranks of a bucket.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import jax.numpy as jnp
from jax import Array, lax

from lrfjax import checks
from lrfjax.errors import InputError, InputTypeError
from lrfjax.pytrees import register
from lrfjax.solvers.methods.affine import fit_affine
from lrfjax.solvers.methods.column_kernel import update_by_kernel
from lrfjax.solvers.methods.columns import Subproblem, update_by_products
from lrfjax.solvers.methods.joint_moves import move_pairs
from lrfjax.solvers.methods.majorised import update_by_parabolas, update_by_prediction
from lrfjax.solvers.methods.method import Method
from lrfjax.solvers.model import Model
from lrfjax.solvers.numerics import contract
from lrfjax.solvers.problem import Problem, Products, State
from lrfjax.solvers.sets.boxes import IntegerBox


@register
@dataclass(frozen=True)
class BCD(Method):
    """Block coordinate descent: every column in turn, U before V (arXiv 2408.12691, section 3).

    Attributes:
        num_passes: passes over the columns of one factor before the other factor's turn, one number
            or a pair for U and V; static. A pass costs little beside the products with X (Gillis
            and Glineur, 2012).
        joint_moves: whether to also move the entries of integer factors in pairs, once in every
            sweep; static. This lowers the objective further, for R times the work; see
            ``joint_moves``. Squared error without weights only.

    Example:
        >>> import numpy as np, lrfjax
        >>> x = np.outer([1.0, 2.0, 3.0], [4.0, 0.0, 1.0])
        >>> result = lrfjax.factorize(x, 1, method=BCD(num_passes=(2, 1)))
    """

    num_passes: int | tuple[int, int] = field(default=1, metadata={"static": True})
    joint_moves: bool = field(default=False, metadata={"static": True})

    def __post_init__(self) -> None:
        pair = self.num_passes if isinstance(self.num_passes, tuple) else (self.num_passes,) * 2
        if len(pair) != 2:
            raise InputTypeError(f"num_passes must be an integer or a pair, got {pair!r}")
        passes = tuple(checks.integer("num_passes", count, 1) for count in pair)
        object.__setattr__(self, "num_passes", passes)

    def check(self, model: Model, is_weighted: bool) -> None:
        """Raise InputError if joint moves are asked for and impossible."""
        if not self.joint_moves:
            return
        if not any(isinstance(c, IntegerBox) for c in model.constraints):
            raise InputError("joint_moves=True needs an integer factor, got none")
        if any(side.rates for side in model.sides):
            raise InputError("joint_moves=True does not support a rate, got one")
        if is_weighted:
            raise InputError("joint_moves=True does not support weights, got weights")
        if not model.is_squared:
            raise InputError(f"joint_moves=True needs the squared error, got {model.loss!r}")

    def init(self, problem: Problem, model: Model, start: State, rank: Array | int) -> State:
        """Return the start; projected, unless integers begin with the start as given.

        The paper's first sweep over U uses the real-valued V of the start.
        """
        return start if model.is_discrete else model.project(start, rank)

    def step(self, problem: Problem, model: Model, memory: State, rank: Array | int) -> State:
        """Return the factors after one more sweep."""
        return self.sweep(problem, model, memory, rank)[0]

    def sweep(
        self, problem: Problem, model: Model, state: State, rank: Array | int
    ) -> tuple[State, Products | None]:
        """Update all live columns of U, then of V, then the scale and the offset.

        Returns the new state, and the products that the update of V used; None where there are
        none.
        """
        u_model, v_model = model.sides
        products = None
        for side in (0, 1):
            if (u_model, v_model)[side].is_fixed:
                continue
            if problem.weights is None and model.is_squared:
                state, products = self._by_products(problem, model, state, rank, side)
            else:
                state = self._by_entries(problem, model, state, rank, side)
        if v_model.is_fixed:
            products = None
        if state.scale is not None or state.offset is not None:
            scale, offset = fit_affine(problem, state, products)
            state = replace(state, scale=scale, offset=offset)
        return state, products

    def _by_products(
        self, problem: Problem, model: Model, state: State, rank: Array | int, side: int
    ) -> tuple[State, Products]:
        """Update one factor from X times its partner and the partner's Gram matrix."""
        factor, partner = (state.ut, state.vt) if side == 0 else (state.vt, state.ut)
        if side == 0:
            products = contract(partner * problem.unit, problem.xt, 1, 0)
        else:
            products = contract(partner, problem.x, 1, 0)
        gram = contract(partner, partner, 1, 1)
        kept = Products(products, gram)
        if state.offset is not None:
            products = products - state.offset * jnp.sum(partner, axis=1)[:, None]
        if state.scale is not None:
            products = products / state.scale
        sub = self._subproblem(problem, model, state, rank, side, partner.shape[1])
        num_passes = self._passes[side]
        update = partial(update_by_products, num_passes=num_passes)
        if problem.execution.kernel == "pallas":
            kernel = partial(update_by_kernel, num_passes=num_passes)
            # Arrays may lie on the CPU of a machine with a GPU.
            update = partial(lax.platform_dependent, cuda=kernel, default=update)
        factor = update(products, gram, factor, sub)
        if self.joint_moves and isinstance(sub.model.constraint, IntegerBox):
            factor = move_pairs(products, gram, factor, sub)
        return _with_factor(state, side, factor), kept

    def _by_entries(
        self, problem: Problem, model: Model, state: State, rank: Array | int, side: int
    ) -> State:
        """Update one factor under weights, or for another loss."""
        factor, partner = (state.ut, state.vt) if side == 0 else (state.vt, state.ut)
        # The last axis of the target is that of the factor.
        target = problem.xt * problem.unit if side == 0 else problem.x
        target = target if state.offset is None else target - state.offset
        target = target if state.scale is None else target / state.scale
        weights, unit = None, None
        length: Array | float = partner.shape[1]
        if problem.weights is not None:
            of = problem.weights
            weights = of.of_rows if side == 0 else of.of_columns
            unit = of.row_unit if side == 0 else of.column_unit
            length = jnp.sum(weights, axis=0)
        sub = self._subproblem(problem, model, state, rank, side, length)
        sub = sub if unit is None else sub.in_unit(unit)
        is_convex = sub.model.constraint.is_convex and not sub.model.rates
        update = update_by_parabolas if is_convex else update_by_prediction
        factor = update(
            target, weights, partner, factor, sub, model.loss, problem.unit, self._passes[side]
        )
        return _with_factor(state, side, factor)

    def _subproblem(
        self, problem: Problem, model: Model, state: State, rank: Array | int, side: int,
        length: Array | float,
    ) -> Subproblem:  # fmt: skip
        """Return what the column updates of one factor need besides the data.

        The updates fit (X - offset) / scale, so the whole objective is divided by scale^2, the
        penalties included.
        """
        weight: Array | float = 1.0
        norm = problem.row_norm if side == 0 else problem.column_norm
        if state.offset is not None:
            norm = norm + jnp.abs(state.offset) * length**0.5
        if state.scale is not None:
            norm = norm / jnp.abs(state.scale)
            weight = jnp.minimum(1 / (state.scale * state.scale), jnp.finfo(norm.dtype).max)
        is_static = problem.execution.static_bounds
        num_columns = state.ut.shape[0] if is_static else rank
        return Subproblem(model.sides[side], rank, num_columns, norm, weight)

    @property
    def _passes(self) -> tuple[int, int]:
        assert isinstance(self.num_passes, tuple)
        return self.num_passes


def _with_factor(state: State, side: int, factor: Array) -> State:
    return replace(state, ut=factor) if side == 0 else replace(state, vt=factor)
