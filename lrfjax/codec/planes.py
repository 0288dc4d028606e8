"""Rotated colour planes as patches, and the conversion of patches to pixels.

The planes of a colour image are rotated channels: an orthonormal 3 x 3 matrix, computed for each
image, decorrelates the differences between neighbouring pixels. Chroma stays at full resolution;
rate-distortion optimization of the factors drops its high frequencies.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from lrfjax.codec.buckets import chunks, join
from lrfjax.codec.dictionary.atoms import PATCH_SIZE
from lrfjax.codec.dictionary.dictionaries import TRANSFORM_BITS
from lrfjax.codec.entropy.trained import restoration_weights
from lrfjax.image.deblock import deblock
from lrfjax.image.restore import CLIPS, STRENGTH_UNIT, choose, extend, restore

A = TypeVar("A", np.ndarray, Array)

COLOR_BITS = 12
MID_GRAY = 128


@dataclass(frozen=True, eq=False)
class Rotation:
    """A change of colour coordinates.

    Attributes:
        inverse: shape (channels, planes), int32, 4096 times the plane-to-channel matrix.
    """

    inverse: np.ndarray

    @property
    def forward(self) -> np.ndarray:
        """The channel-to-plane matrix, float32: the inverse of ``inverse`` / 4096."""
        return np.linalg.inv(self.inverse / 2**COLOR_BITS).astype(np.float32)


def color_rotation(image: np.ndarray) -> Rotation:
    """Return the rotation that decorrelates the differences between neighbouring pixels.

    Args:
        image: shape (H, W, 3), uint8 or uint16.
    """
    covariance = np.zeros((3, 3))
    for axis in (0, 1):
        for part in _difference_parts(image, axis):
            covariance += part.T @ part
    # A small multiple of the identity fixes the axes for images of one colour.
    _, vectors = np.linalg.eigh(covariance + 1e-3 * np.eye(3))
    axes = vectors[:, ::-1] * np.where(vectors[:, ::-1].sum(axis=0) < 0, -1, 1)
    return Rotation(np.rint(axes * 2**COLOR_BITS).astype(np.int32))


def _difference_parts(image: np.ndarray, axis: int) -> Iterator[np.ndarray]:
    """Yield the differences along an axis, in row-major order, in parts of about 2^14.

    Short parts keep sums in float32 precise, and few of them are in memory at a time.

    Args:
        image: shape (H, W, 3).
        axis: 0 or 1.

    Yields:
        Shape (n, 3), float32. n is from 2^14 to below 2^15, or the number of all differences if
        that is smaller.
    """
    height, width = (n - (a == axis) for a, n in enumerate(image.shape[:2]))
    total = height * width
    count = max(total >> 14, 1)
    short, longer = divmod(total, count)
    ends = [short * i + min(i, longer) for i in range(count + 1)]
    for first in range(0, count, _PARTS_AT_A_TIME):
        bounds = ends[first : first + _PARTS_AT_A_TIME + 1]
        top, bottom = bounds[0] // max(width, 1), -(-bounds[-1] // max(width, 1))
        rows = image[top : bottom + (axis == 0)].astype(np.float32)
        differences = np.diff(rows, axis=axis).reshape(-1, 3)
        for start, end in itertools.pairwise(bounds):
            yield differences[start - top * width : end - top * width]


_PARTS_AT_A_TIME = 16
"""Parts of differences in memory: 2^18 differences, about the size of a cache."""


def rotation_of(image: np.ndarray, color_space: str) -> Rotation:
    """Return the rotation of a colour space for an image of shape (H, W, channels)."""
    one = 2**COLOR_BITS
    if image.shape[2] == 1:
        return Rotation(np.array([[one]], np.int32))
    if color_space == "RGB":
        return Rotation(one * np.eye(3, dtype=np.int32))
    if color_space == "YCbCr":
        inverse = [[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]]
        return Rotation(np.rint(one * np.array(inverse)).astype(np.int32))
    return color_rotation(image)


def plane_weights(rotation: Rotation) -> np.ndarray:
    """Return the factor of the quantization step of each plane.

    The factor is the inverse of the norm of the plane's column, by which noise in the plane reaches
    the pixels. It is 1 for rotations.
    """
    norms = np.linalg.norm(rotation.inverse / 2**COLOR_BITS, axis=0)
    return 1 / np.maximum(norms, 0.25)


def to_patches(
    image: np.ndarray, forward: np.ndarray, patch_size: tuple[int, int] = PATCH_SIZE
) -> np.ndarray:
    """Return the patches of the rotated planes of an image, in gray levels around mid-gray.

    Args:
        image: shape (H, W, channels), real, in gray levels from 0 to 255.
        forward: shape (planes, channels), the channel-to-plane matrix.
        patch_size: (P, Q).

    Returns:
        Shape (planes, P, Q, M), float32: plane, row and column in the patch, patches in row-major
        order. The image is mirrored beyond its right and lower edges.
    """
    p, q = patch_size
    height, width, channels = image.shape
    image = np.pad(image, ((0, -height % p), (0, -width % q), (0, 0)), mode="symmetric")
    grid = image.reshape(image.shape[0] // p, p, -1, q, channels)
    out = np.empty((len(forward), p, q, len(grid) * grid.shape[2]), np.float32)
    # One row of pixels of all patches at a time stays in the cache.
    for line in range(p):
        levels = grid[:, line].transpose(3, 2, 0, 1).astype(np.float32, order="C") - MID_GRAY
        levels = levels.reshape(channels, q, -1)
        for plane, row in zip(out[:, line], forward, strict=True):
            np.multiply(row[0], levels[0], out=plane)
            for weight, level in zip(row[1:], levels[1:], strict=True):
                plane += weight * level
    return out


FRACTION_BITS = {8: 4, 16: 8}
"""The fractional bits of the gray levels of planes, by the depth of the image."""

STEP_BITS = 4
"""The fractional bits of steps in gray levels."""

LARGEST_LEVEL = 512
"""Planes are clipped to this magnitude. Images stay far below it; hostile files may not."""


def scale_products(products: A, steps: A, depth: int) -> A:
    """Return planes in gray levels with ``FRACTION_BITS``, rounded; arrays of NumPy or JAX.

    Args:
        products: shape (planes, ...), int32, U V^T, where columns of V have norms of about 2^14.
        steps: shape (planes,), int32, in 1/16 gray levels, at most 2^14.
        depth: 8 or 16.

    Returns:
        Same shape, int32, clipped to 512 gray levels.
    """
    steps = steps.reshape(-1, *[1] * (products.ndim - 1))
    # Clipping before the product keeps it from overflowing and does not change the result.
    limit = (LARGEST_LEVEL << (2 * TRANSFORM_BITS + STEP_BITS)) // steps
    scaled = products.clip(-limit, limit) * steps
    shift = 2 * TRANSFORM_BITS + STEP_BITS - FRACTION_BITS[depth]
    return (scaled + (1 << (shift - 1))) >> shift


def to_pixels(
    patches: np.ndarray,
    steps: np.ndarray,
    strength: int,
    inverse: np.ndarray,
    *,
    restoration: int,
    size: tuple[int, int],
    first_row: int,
    depth: int,
) -> np.ndarray:
    """Return rows of an image from the patches of its planes, in integer arithmetic.

    Args:
        patches: shape (planes, P, Q, rows, columns), integers with ``FRACTION_BITS``.
        steps: shape (planes,), int32, in 1/16 gray levels.
        strength: strength of the deblocking filter.
        inverse: shape (channels, planes), int32, see ``Rotation``.
        restoration: strength of the restoration, 0 to 16. If it is not 0, P and Q are multiples
            of 8.
        size: (height, width) of the result.
        first_row: first row of the planes in the result.
        depth: bits per channel, 8 or 16.

    Returns:
        Shape (height, width, channels), uint8 or uint16.
    """
    steps = steps << (FRACTION_BITS[depth] - STEP_BITS)
    limit = LARGEST_LEVEL << FRACTION_BITS[depth]
    dtype = np.int16 if depth == 8 else np.int32
    planes, p, q, rows, columns = patches.shape
    cells = chunks(rows * columns)
    weights = [w * restoration // STRENGTH_UNIT for w in restoration_weights()[:planes]]
    chosen: list[list[Array]] = []
    done: list[list[ArrayLike]] = [[] for _ in cells]
    # JAX filters a plane while the host deblocks the next one.
    for k in range(planes):
        x = np.clip(deblock(patches[k : k + 1], steps[k : k + 1], strength), -limit, limit)
        x = x.astype(dtype)
        x = extend(x)[0] if restoration else x.reshape(p, q, -1)
        cuts = [cell.cut(x, 2) for cell in cells]
        if restoration and k == 0:
            chosen = [choose(cut, steps[0], weights) for cut in cuts]
        for number, cut in enumerate(cuts):
            done[number].append(
                restore(cut, steps[k], chosen[number][k], clips=CLIPS[k]) if restoration else cut
            )
    parts = [_channels(tuple(each), inverse, depth=depth) for each in done]
    levels = join(parts, rows * columns, 3).reshape(-1, p, q, rows, columns)
    image = np.empty((rows, p, columns, q, len(inverse)), np.uint8 if depth == 8 else np.uint16)
    for channel, values in enumerate(levels):
        image[..., channel] = values.transpose(2, 0, 3, 1)
    pixels = image.reshape(rows * p, columns * q, len(inverse))
    return pixels[first_row : first_row + size[0], : size[1]]


@partial(jax.jit, static_argnames="depth")
def _channels(planes: Sequence[ArrayLike], inverse: ArrayLike, *, depth: int) -> Array:
    """Return the pixels of each channel, shape (channels, ...), from planes of shape (...)."""
    bits = FRACTION_BITS[depth]
    limit = LARGEST_LEVEL << bits
    x = [jnp.clip(jnp.asarray(plane, jnp.int32), -limit, limit) for plane in planes]
    found = []
    for row in jnp.asarray(inverse):
        level = reduce(operator.add, (weight * plane for weight, plane in zip(row, x, strict=True)))
        level = ((level + (1 << (COLOR_BITS - 1))) >> COLOR_BITS) + (MID_GRAY << bits)
        if depth == 8:
            level = jnp.clip((level + (1 << (bits - 1))) >> bits, 0, 255).astype(jnp.uint8)
        else:
            # 255 gray levels are 65535, so one level is 257.
            level = 257 * jnp.clip(level, 0, 255 << bits)
            level = ((level + (1 << (bits - 1))) >> bits).astype(jnp.uint16)
        found.append(level)
    return jnp.stack(found)
