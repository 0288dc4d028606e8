"""The stopping tests: tolerances, and the decision whether a solver has converged."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from lrfjax.types import History


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Tolerances:
    """The tolerances of the stopping tests; 0 turns a test off.

    Attributes:
        objective: stop when the objective falls by no more than this share of itself, from one
            entry of the history to the next.
        change: stop when neither factor changes by more than this share of its norm, likewise.
        gradient: stop when the norm of the projected gradient is at most this share of its value at
            the start (Lin, 2007, section 5).
    """

    objective: Array
    change: Array
    gradient: Array


def has_converged(
    first: History, before: History, after: History, tolerances: Tolerances, is_comparable: Array
) -> Array:
    """Return True if a solver can stop at an entry of the history.

    It always stops at a fixed point, where no integer has changed.

    Args:
        first: entry 0.
        before: previous entry.
        after: entry to test. A test is skipped if this entry lacks its field.
        tolerances: tolerances of the tests.
        is_comparable: whether the sweeps between the two entries started from the factors of
            ``before``; otherwise the tolerances are not tested.
    """

    def test(tolerance: Array, value: Array, reference: Array | float) -> Array:
        return (tolerance > 0) & (value <= tolerance * reference)

    stalled = test(
        tolerances.objective, before.objective - after.objective, jnp.abs(before.objective)
    )
    if after.u_change is not None and after.v_change is not None:
        stalled |= test(tolerances.change, jnp.maximum(after.u_change, after.v_change), 1.0)
    if after.projected_gradient is not None and first.projected_gradient is not None:
        stalled |= test(tolerances.gradient, after.projected_gradient, first.projected_gradient)
    stalled &= is_comparable
    return stalled if after.num_changed is None else stalled | (after.num_changed == 0)
