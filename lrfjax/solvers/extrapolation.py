"""Extrapolated sweeps with restart: faster convergence of continuous factors.

After a sweep the factors are moved on by a share k / (k + 3) of their last change, Nesterov's
sequence for k = 1, 2, ..., and the next sweep sets off from there. A sweep that ends above the last
accepted one is dropped; the next one then sets off from that without extrapolation, and k is 1
again (O'Donoghue and Candes, Adaptive restart for accelerated gradient schemes, Foundations of
Computational Mathematics 15, 2015). So the accepted factors never rise, but for rounding.

Ang and Gillis (Accelerating nonnegative matrix factorization algorithms using extrapolation, Neural
Computation 31, 2019) extrapolate U before V is updated and adapt the share by four constants. With
both factors moved at the end of the sweep, what is judged are the factors that are returned; on
patches of photographs that took half the sweeps, and Nesterov's sequence as many as the best
constants found, or fewer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from lrfjax.solvers.problem import Models, State, project


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Extrapolation:
    """Where an accelerated solver stands.

    Attributes:
        accepted: the best feasible factors so far.
        ahead: the feasible factors that the next sweep sets off from.
        objective: of ``accepted``, in the unit of ``diagnostics.objective``.
        count: k, which sweep this is since the start or the last restart.
        was_dropped: whether the last sweep was dropped. The next one sets off from ``accepted``
            and can only gain; it is accepted whatever rounding says of it.
    """

    accepted: State
    ahead: State
    objective: Array
    count: Array
    was_dropped: Array


def begin(state: State, objective: Array) -> Extrapolation:
    """Return where to set off from, for a feasible start."""
    one = jnp.ones((), objective.dtype)
    return Extrapolation(state, state, objective, one, jnp.asarray(False))


def extrapolated_step(
    now: Extrapolation,
    sweep: Callable[[State], tuple[State, Array]],
    models: Models,
    rank: Array | int,
) -> Extrapolation:
    """Do one sweep, accept or drop it, and extrapolate.

    Args:
        now: where the solver stands.
        sweep: turns factors into better ones, and says what their objective is.
        models: of U and of V.
        rank: how many rows of the factors are live.
    """
    new, value = sweep(now.ahead)
    drop = (value > now.objective) & ~now.was_dropped
    share = now.count / (now.count + 3)

    def moved_on(after: Array, before: Array) -> Array:
        return after + share * (after - before)

    ahead = State(
        moved_on(new.ut, now.accepted.ut),
        moved_on(new.vt, now.accepted.vt),
        new.scale,
        new.offset,
    )
    ahead = project(ahead, models, rank)

    def choose(dropped: Array, kept: Array) -> Array:
        return jnp.where(drop, dropped, kept)

    return Extrapolation(
        accepted=jax.tree.map(choose, now.accepted, new),
        ahead=jax.tree.map(choose, now.accepted, ahead),
        objective=choose(now.objective, value),
        count=choose(jnp.ones_like(now.count), now.count + 1),
        was_dropped=drop,
    )
