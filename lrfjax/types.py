"""The pytrees that flow between all layers: ``Factors``, ``History``, ``Result``, ``Status``.

Everything a solver returns is one of these. They are frozen dataclasses registered with JAX, so
they pass through ``jit``, ``vmap`` and ``tree.map`` like any other pytree.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import jax
from jax import Array


class Status(enum.IntEnum):
    """How a solver ended. ``Result.status`` holds it as an int32 array, one for each problem."""

    ITERATION_LIMIT = 0
    """All ``num_iters`` sweeps were done."""
    CONVERGED = 1
    """Nothing changed in a sweep, or a tolerance was met."""
    FAILED = 2
    """The relative error became NaN or infinite; the factors are not to be used."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Factors:
    """A pair of factors, X ~ scale * U V^T + offset.

    Attributes:
        u: shape (..., M, R), floating point.
        v: shape (..., N, R), floating point.
        scale: shape (...), of the product; None stands for 1.
        offset: shape (...), added to every entry; None stands for 0.
    """

    u: Array
    v: Array
    scale: Array | None = None
    offset: Array | None = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class History:
    """What was recorded after each sweep; entry k describes the factors after k sweeps.

    Entry 0 is the feasible start. After a stop before ``num_iters`` the last values are repeated.
    Fields that make no sense for a constraint, or were not asked for with ``record``, are None.

    Attributes:
        sweeps: shape (..., num_iters / record_every + 1), int32, how many sweeps were done:
            0, 1, 2, ... unless ``record_every`` says otherwise.
        objective: same shape, ||X - U V^T||_F^2, weighted and penalised where that is asked for
            (see ``factorize``). Infinite or zero where the square leaves the range of the dtype;
            the relative error does not suffer from that.
        relative_error: same shape, ||X - U V^T||_F / ||X||_F; 0 where X and the residual are zero.
            With weights both norms are weighted: the square root of sum w x^2.
        bound_share: same shape, the share of the entries of U and V that lie at a bound of their
            constraint (for NMF: that are zero), in [0, 1]. None for unconstrained factors.
        num_changed: same shape, int32, how many entries of U and V differ from those that the
            sweep set off from; 0 in entry 0. None unless a factor is constrained to integers.
            The first sweep sets off from the start before rounding (see ``imf``), so its count
            holds the entries that rounding moved.
        projected_gradient: same shape, the Frobenius norm of the projected gradient of the
            objective with respect to what is free in both factors (Lin, 2007); 0 at a stationary
            point. At zeros of an L1 term it is the subgradient of least norm. None for integers.
        u_change: same shape, ||U - U'||_F / ||U||_F with the U' that the sweeps since the entry
            before set off from, as for ``num_changed``; 0 in entry 0 and where both are zero.
        v_change: the same of V.
        factors: the factors themselves, with the axis of the entries behind the batch axes:
            (..., num_iters / record_every + 1, M, R). None unless asked for.
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
    """What every solver returns.

    Attributes:
        factors: U of shape (..., M, R) and V of shape (..., N, R).
        history: what was recorded after each sweep.
        num_iters: shape (...), int32, how many sweeps were done.
        status: shape (...), int32, a ``Status``.
        restarts: with several starts, the histories of all of them, shape (..., num_restarts,
            entries); the factors and the history are those of the best. Otherwise None.
    """

    factors: Factors
    history: History
    num_iters: Array
    status: Array
    restarts: History | None = None
