"""A smoothing of the borders between patches, in integers, for planes that are held as patches.

Quantization moves each patch on its own, which shows as steps at the borders. Where a step is
small beside the quantization step and both sides are smooth, it is spread over three pixels on
either side, 0.35, 0.15 and 0.05 of it. The two limits end in ramps, not at a threshold.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

_SHARES = (22, 10, 3)
"""How much of a step each of the three pixels takes, in 1/64."""

STRENGTH_UNIT = 16
"""A strength of this lets steps up to the quantization step be smoothed."""


def deblock(patches: Array, steps: Array, strength: Array) -> Array:
    """Smooth the borders between patches: first left to right, then top to bottom.

    Args:
        patches: shape (planes, P, Q, rows, columns), int32, at most 2^18 in magnitude: row and
            column of a pixel in its patch, P and Q at least 8, then of the patch.
        steps: shape (planes,), int32, the quantization steps in the unit of the pixels, from 1 to
            2^17.
        strength: scalar int32, 0 (nothing is changed) to 255.

    Returns:
        Same shape, int32.
    """
    limits = jnp.maximum(steps * strength // STRENGTH_UNIT, 1)[:, None, None, None]
    patches = jnp.moveaxis(_smooth(jnp.moveaxis(patches, 2, 1), limits), 1, 2)
    return jnp.swapaxes(_smooth(jnp.swapaxes(patches, -1, -2), limits), -1, -2)


def _smooth(x: Array, limit: Array) -> Array:
    """Smooth along axis 1 of the patches, which is also the last axis of the grid."""
    if x.shape[-1] == 1:
        return x
    p = [x[:, -1 - i, ..., :-1] for i in range(4)]
    q = [x[:, i, ..., 1:] for i in range(4)]
    jump = (4 * (q[0] - p[0]) - (p[0] - p[1]) - (q[1] - q[0])) >> 2
    rough = (
        jnp.abs(p[0] - 2 * p[1] + p[2])
        + jnp.abs(q[0] - 2 * q[1] + q[2])
        + ((jnp.abs(p[1] - p[3]) + jnp.abs(q[1] - q[3])) >> 1)
    )
    # Both weights fall from 32 to 0 over the second half of what they allow. Divisions are slow,
    # so there is one for each plane only.
    slope = (64 << 16) // limit
    by_jump = jnp.minimum((jnp.maximum(limit - jnp.abs(jump), 0) * slope) >> 16, 32)
    by_rough = jnp.minimum((jnp.maximum(2 * limit - 3 * rough, 0) * slope) >> 17, 32)
    moved = (((by_jump * by_rough + 16) >> 5) * jump + 16) >> 5
    parts = jnp.stack([(share * moved + 32) >> 6 for share in _SHARES], axis=1)
    before = [(0, 0)] * (x.ndim - 1)
    width = len(_SHARES)
    first = x[:, :width] - jnp.pad(parts, [*before, (1, 0)])
    last = x[:, -width:] + jnp.pad(parts[:, ::-1], [*before, (0, 1)])
    return jnp.concatenate([first, x[:, width:-width], last], axis=1)
