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
        change: stop when neither factor changes by more than this share of its norm, nor scale and
            offset by more than the same share, likewise.
        gradient: stop when the norm of the projected gradient is at most this share of its value at
            the start (Lin, 2007, section 5).
    """

    objective: Array
    change: Array
    gradient: Array


def has_converged(
    first: History,
    before: History,
    after: History,
    affine_change: Array,
    tolerances: Tolerances,
    is_comparable: Array,
) -> Array:
    """Return True if a solver can stop at an entry of the history.

    It always stops at a fixed point, where no integer has changed, nor the scale or the offset.

    Args:
        first: entry 0.
        before: previous entry.
        after: entry to test. A test is skipped if this entry lacks its field.
        affine_change: change of scale and offset between the two entries, see ``affine_change``.
        tolerances: tolerances of the tests.
        is_comparable: whether the sweeps between the two entries started from the factors of
            ``before``; otherwise the tolerances are not tested.
    """

    def test(tolerance: Array, value: Array, reference: Array | float) -> Array:
        limit = tolerance * reference
        return (tolerance > 0) & (value <= limit) & jnp.isfinite(limit)

    stalled = test(
        tolerances.objective, before.objective - after.objective, jnp.abs(before.objective)
    )
    if after.u_change is not None and after.v_change is not None:
        change = jnp.maximum(jnp.maximum(after.u_change, after.v_change), affine_change)
        stalled |= test(tolerances.change, change, 1.0)
    if after.projected_gradient is not None and first.projected_gradient is not None:
        stalled |= test(tolerances.gradient, after.projected_gradient, first.projected_gradient)
    stalled &= is_comparable
    if after.num_changed is None:
        return stalled
    return stalled | ((after.num_changed == 0) & (affine_change == 0))
