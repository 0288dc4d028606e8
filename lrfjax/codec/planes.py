"""Rotated colour planes as patches, and the conversion of patches to pixels.

The planes of a colour image are rotated channels: an orthonormal 3 x 3 matrix, computed for each
image, decorrelates the differences between neighbouring pixels. Chroma stays at full resolution;
rate-distortion optimization of the factors drops its high frequencies.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax.codec.atoms import PATCH_SIZE
from lrfjax.codec.dictionaries import TRANSFORM_BITS
from lrfjax.image.deblock import deblock

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


@partial(jax.jit, static_argnames="patch_size")
def to_patches(image: Array, forward: Array, patch_size: tuple[int, int] = PATCH_SIZE) -> Array:
    """Return the patches of the rotated planes of an image, in gray levels around mid-gray.

    Args:
        image: shape (H, W, channels), real, in gray levels from 0 to 255.
        forward: shape (planes, channels), the channel-to-plane matrix.
        patch_size: (P, Q).

    Returns:
        Shape (planes, P, Q, M), float32: plane, row and column in the patch, patches in row-major
        order. The image is mirrored beyond its right and lower edges.
    """
    pixels = image.astype(jnp.float32) - MID_GRAY
    planes = jnp.einsum("kc,ijc->kij", forward, pixels, precision=lax.Precision.HIGHEST)
    _, height, width = planes.shape
    p, q = patch_size
    planes = jnp.pad(planes, ((0, 0), (0, -height % p), (0, -width % q)), mode="symmetric")
    rows, columns = planes.shape[1] // p, planes.shape[2] // q
    grid = planes.reshape(-1, rows, p, columns, q)
    return grid.transpose(0, 2, 4, 1, 3).reshape(-1, p, q, rows * columns)


FRACTION_BITS = {8: 4, 16: 8}
"""The fractional bits of the gray levels of planes, by the depth of the image."""

STEP_BITS = 4
"""The fractional bits of steps in gray levels."""

LARGEST_LEVEL = 512
"""Planes are clipped to this magnitude. Images stay far below it; hostile files may not."""


def scale_products(products: Array, steps: Array, depth: int) -> Array:
    """Return planes in gray levels with ``FRACTION_BITS``, rounded.

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
    scaled = jnp.clip(products, -limit, limit) * steps
    shift = 2 * TRANSFORM_BITS + STEP_BITS - FRACTION_BITS[depth]
    return (scaled + (1 << (shift - 1))) >> shift


@partial(jax.jit, static_argnames=("size", "depth"))
def to_pixels(
    patches: Array,
    steps: Array,
    strength: Array,
    inverse: Array,
    *,
    size: tuple[int, int],
    first_row: int,
    depth: int,
) -> Array:
    """Return rows of an image from the patches of its planes, in integer arithmetic.

    Args:
        patches: shape (planes, P, Q, rows, columns), integers with ``FRACTION_BITS``.
        steps: shape (planes,), int32, in 1/16 gray levels.
        strength: strength of the deblocking filter, scalar int32.
        inverse: shape (channels, planes), int32, see ``Rotation``.
        size: (height, width) of the result.
        first_row: first row of the planes in the result.
        depth: bits per channel, 8 or 16.

    Returns:
        Shape (height, width, channels), uint8 or uint16.
    """
    bits = FRACTION_BITS[depth]
    x = deblock(patches.astype(jnp.int32), steps << (bits - STEP_BITS), strength)
    limit = LARGEST_LEVEL << bits
    x = jnp.clip(x, -limit, limit)
    planes, p, q, rows, columns = x.shape
    channels = []
    for row in inverse:
        total = sum(row[k] * x[k] for k in range(planes))
        level = ((total + (1 << (COLOR_BITS - 1))) >> COLOR_BITS) + (MID_GRAY << bits)
        if depth == 8:
            channels.append(jnp.clip((level + (1 << (bits - 1))) >> bits, 0, 255))
        else:
            # 255 gray levels are 65535, so one level is 257.
            limited = jnp.clip(level, 0, 255 << bits)
            channels.append((limited * 257 + (1 << (bits - 1))) >> bits)
    # Transpose last, when the arrays are smallest.
    image = jnp.stack(channels).astype(jnp.uint8 if depth == 8 else jnp.uint16)
    image = image.transpose(3, 1, 4, 2, 0).reshape(rows * p, columns * q, len(channels))
    return lax.dynamic_slice_in_dim(image, first_row, size[0])[:, : size[1]]
