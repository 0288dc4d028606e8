"""Restoration: a trained filter of the planes after deblocking, in integers.

The filter moves each sample towards or away from its twelve neighbours within two pixels. It takes
their differences, clips them to several limits in proportion to the quantization step, and adds
them with weights. The weights depend on the plane and on the class of the block of 8 x 8 samples:
how active the first plane is there against its quantization step, and along which direction. This
is the adaptive loop filter of VVC with weights that both sides know, and with several limits
instead of one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

BLOCK = 8
"""The side of a block of one class."""

OFFSETS = ((0, 1), (1, 0), (0, 2), (1, 1), (1, -1), (2, 0))
"""Neighbours (down, right). Each stands for itself and the one on the opposite side."""

CLIPS = ((20, 60, 180, 540), (20, 110), (20, 110))
"""The limits of differences for each plane, in 1/256 quantization steps."""

ACTIVITIES = (41, 82, 143, 225, 348, 512, 750, 1100, 1600)
"""The limits between classes of activity: mean magnitude of both second differences in a block, in
1/1024 quantization steps."""

RATIOS = (3, 5)
"""The limits, in halves, between classes of the ratio of second differences across and along."""

NUM_DIRECTIONS = 1 + 4 * len(RATIOS)
NUM_CLASSES = (len(ACTIVITIES) + 1) * NUM_DIRECTIONS

WEIGHT_BITS = 10
STRENGTH_UNIT = 16
"""Strength at which the weights are those that were trained."""

_REACH = 2


def extend(planes: np.ndarray) -> np.ndarray:
    """Add two samples on each side of each patch: those of its neighbours.

    Beyond an edge of the plane, the added samples equal the nearest one of the patch.

    Args:
        planes: patches of planes, shape (planes, P, Q, rows, columns), integers.

    Returns:
        Shape (planes, P + 4, Q + 4, rows * columns), same dtype.
    """
    count, p, q, rows, columns = planes.shape
    r = _REACH
    extended = np.empty((count, p + 2 * r, q + 2 * r, rows, columns), planes.dtype)
    for out, plane in zip(extended, planes, strict=True):
        out[r:-r, r:-r] = plane
        inner = out[:, r:-r]
        inner[:r, :, 1:], inner[:r, :, 0] = plane[-r:, :, :-1], plane[0, :, 0]
        inner[-r:, :, :-1], inner[-r:, :, -1] = plane[:r, :, 1:], plane[-1, :, -1]
        out[:, :r, :, 1:], out[:, :r, :, 0] = inner[:, -r:, :, :-1], inner[:, :1, :, 0]
        out[:, -r:, :, :-1], out[:, -r:, :, -1] = inner[:, :r, :, 1:], inner[:, -1:, :, -1]
    return extended.reshape(count, p + 2 * r, q + 2 * r, -1)


def neighbors(beyond: Array) -> Callable[[int, int], Array]:
    """Return a function from an offset to the samples there, int32.

    Their shape is (P / 8, 8, Q / 8, 8, M).
    """
    p, q, count = beyond.shape
    p, q = p - 2 * _REACH, q - 2 * _REACH

    def at(down: int, right: int) -> Array:
        top, left = _REACH + down, _REACH + right
        part = beyond[top : top + p, left : left + q].astype(jnp.int32)
        return part.reshape(p // BLOCK, BLOCK, q // BLOCK, BLOCK, count)

    return at


def second_differences(beyond: Array) -> list[Array]:
    """Return the magnitudes of second differences, summed over the rows of each block.

    Returns:
        Vertical, horizontal, falling and rising, each of shape (P / 8, Q / 8, 8, M), int32.
    """
    at = neighbors(beyond)
    twice = 2 * at(0, 0)
    found = []
    for down, right in ((1, 0), (0, 1), (1, 1), (1, -1)):
        size = jnp.abs(twice - at(down, right) - at(-down, -right))
        # XLA reduces along outer axes slowly, so the sum is written out.
        found.append(reduce(operator.add, (size[:, i] for i in range(BLOCK))))
    return found


@jax.jit
def choose(beyond: ArrayLike, step: ArrayLike, weights: Sequence[ArrayLike]) -> list[Array]:
    """Return the weights of all blocks for each plane, by the first plane.

    This is a program of its own: in one with ``restore``, XLA would compute the classes again for
    each sample.

    Args:
        beyond: the first plane, see ``restore``.
        step: its quantization step, see ``restore``.
        weights: for each plane shape (offsets * limits, NUM_CLASSES), int32, in 1/2^WEIGHT_BITS.
            The sum of |weight| * 2 * limit over a class is below 2^31 for the largest step. No
            limit counts for more than 2^18, the largest difference.

    Returns:
        For each plane shape (offsets * limits, P / 8, 1, Q / 8, 1, M).
    """
    classes = classes_of(second_differences(jnp.asarray(beyond)), jnp.asarray(step))
    return [
        jnp.take(jnp.asarray(of_plane), classes, axis=1)[:, :, None, :, None]
        for of_plane in weights
    ]


def classes_of(differences: list[Array], step: Array) -> Array:
    """Return the class of each block, shape (P / 8, Q / 8, M), int32.

    Args:
        differences: see ``second_differences``.
        step: quantization step in the unit of the samples, scalar int32.
    """
    vertical, horizontal, falling, rising = (
        reduce(operator.add, (x[:, :, i] for i in range(BLOCK))) for x in differences
    )
    limits = np.array(ACTIVITIES, np.int32) * step >> 4
    activity = sum((vertical + horizontal >= limit).astype(jnp.int32) for limit in limits)
    is_diagonal = jnp.abs(falling - rising) > jnp.abs(vertical - horizontal)
    first = jnp.where(is_diagonal, falling, vertical)
    other = jnp.where(is_diagonal, rising, horizontal)
    high, low = jnp.maximum(first, other), jnp.minimum(first, other)
    strength = sum((2 * high > ratio * low).astype(jnp.int32) for ratio in RATIOS)
    direction = 4 * strength - 3 + jnp.where(is_diagonal, 2, 0) + jnp.where(first < other, 1, 0)
    return NUM_DIRECTIONS * activity + jnp.where(strength > 0, direction, 0)


@partial(jax.jit, static_argnames="clips")
def restore(beyond: ArrayLike, step: ArrayLike, chosen: Array, *, clips: tuple[int, ...]) -> Array:
    """Filter patches of a plane; see the module.

    Args:
        beyond: shape (P + 4, Q + 4, M), int16 or int32, at most 2^17 in magnitude; see ``extend``.
            P and Q are multiples of 8.
        step: quantization step in the unit of the samples, scalar int32, from 1 to 2^18.
        chosen: weights of the blocks, see ``choose``.
        clips: limits of the plane, see ``CLIPS``.

    Returns:
        Shape (P, Q, M), int32.
    """
    beyond, step = jnp.asarray(beyond), jnp.asarray(step)
    p, q, count = beyond.shape
    total = reduce(
        operator.add,
        (w * x for w, x in zip(chosen, clipped_differences(beyond, step, clips), strict=True)),
    )
    moved = (total + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS
    found = neighbors(beyond)(0, 0) + moved
    return found.reshape(p - 2 * _REACH, q - 2 * _REACH, count)


def clipped_differences(beyond: Array, step: Array, clips: tuple[int, ...]) -> list[Array]:
    """Return what the weights multiply: arrays of shape (P / 8, 8, Q / 8, 8, M)."""
    at = neighbors(beyond)
    x = at(0, 0)
    limits = [jnp.maximum(clip * step >> 8, 1) for clip in clips]
    found = []
    for down, right in OFFSETS:
        a, b = at(down, right) - x, at(-down, -right) - x
        for limit in limits:
            found.append(jnp.clip(a, -limit, limit) + jnp.clip(b, -limit, limit))
    return found
