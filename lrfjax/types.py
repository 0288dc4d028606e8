"""The data types that all layers share: ``Factors``, ``History``, ``Result`` and ``Status``.

Every solver returns a ``Result``. The first three are frozen dataclasses registered with JAX, so
they pass through ``jit``, ``vmap`` and ``tree.map`` like any other pytree.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import jax
from jax import Array, export


class Status(enum.IntEnum):
    """The reason why a solver stopped; ``Result.status`` stores one int32 for each problem."""

    ITERATION_LIMIT = 0
    """The solver ran all ``num_iters`` sweeps."""
    CONVERGED = 1
    """A sweep changed nothing, or a tolerance was met."""
    FAILED = 2
    """The relative error became NaN or infinite; do not use the factors."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Factors:
    """A pair of factors, X ~ scale * U V^T + offset.

    Attributes:
        u: left factor, shape (..., M, R), floating point.
        v: right factor, shape (..., N, R), floating point.
        scale: multiplier of the product, shape (...); None means 1.
        offset: constant added to every entry, shape (...); None means 0.
    """

    u: Array
    v: Array
    scale: Array | None = None
    offset: Array | None = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class History:
    """The convergence history of a solver.

    Entry k describes the factors after ``sweeps[k]`` sweeps, entry 0 the feasible start. If the
    solver stops before ``num_iters``, the last values are repeated. A field is None if it has no
    meaning for the constraints, or if ``record`` does not name it.

    Attributes:
        sweeps: number of sweeps done, int32, shape (..., num_iters / record_every + 1):
            0, 1, 2, ... unless ``record_every`` is above 1.
        objective: ||X - U V^T||_F^2, weighted and penalised if requested (see ``factorize``), same
            shape. Infinite or zero where the square leaves the range of the dtype; the relative
            error is not affected.
        relative_error: ||X - U V^T||_F / ||X||_F, same shape; 0 if X and the residual are zero.
            With weights both norms are weighted: the square root of sum w x^2.
        bound_share: share of the entries of U and V that lie at a bound of their constraint (for
            NMF: zeros), in [0, 1], same shape. None for unconstrained factors.
        num_changed: number of entries of U and V that changed since the previous entry, int32,
            same shape; 0 in entry 0. None unless a factor is constrained to integers. The first
            sweep starts from the factors before rounding (see ``imf``), so its count includes
            the entries that rounding changed.
        projected_gradient: Frobenius norm of the projected gradient of the objective with respect
            to the free entries of both factors (Lin, 2007), same shape; 0 at a stationary point.
            At zero entries under an L1 penalty it is the subgradient of least norm. None for
            integers.
        u_change: ||U - U'||_F / ||U||_F, where U' is the U of the previous entry (before rounding,
            as for ``num_changed``), same shape; 0 in entry 0, and if U and U' are zero.
        v_change: the same for V.
        factors: factors of every entry, with the entry axis after the batch axes: U has shape
            (..., num_iters / record_every + 1, M, R). None unless ``record`` names it.
    """

    sweeps: Array
    objective: Array
    relative_error: Array
    bound_share: Array | None = None
    num_changed: Array | None = None
    projected_gradient: Array | None = None
    u_change: Array | None = None
    v_change: Array | None = None
    factors: Factors | None = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Result:
    """The result of every solver.

    Attributes:
        factors: U of shape (..., M, R) and V of shape (..., N, R).
        history: convergence history.
        num_iters: number of sweeps done, int32, shape (...).
        status: a ``Status``, int32, shape (...).
        restarts: histories of all starts, shape (..., num_restarts, entries), if there are several
            starts; ``factors`` and ``history`` are those of the best one. Otherwise None.
    """

    factors: Factors
    history: History
    num_iters: Array
    status: Array
    restarts: History | None = None


# jax.export stores the structure of results by these names. No type has static fields.
for _kind in (Factors, History, Result):
    export.register_pytree_node_serialization(
        _kind,
        serialized_name=f"lrfjax.{_kind.__name__}",
        serialize_auxdata=lambda static: b"",
        deserialize_auxdata=lambda data: (),
    )
