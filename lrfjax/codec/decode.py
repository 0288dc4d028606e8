"""From a file to an image, for all factorization codecs: integers from bytes to pixels.

Nothing here is computed in floats whose rounding could matter, so the same file gives the same
pixels on every backend, at any precision setting, jitted or not.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax.codec import container, deflate
from lrfjax.codec.layout import Layout, from_matrices
from lrfjax.codec.quantize import IntegerFactors
from lrfjax.errors import FormatError, InputTypeError
from lrfjax.image.reading import MAX_PIXELS
from lrfjax.solvers.bucketed import rank_bucket


def imf_decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a file of ``imf_encode``.

    Args:
        data: the file.
        max_pixels: larger images are refused before anything is allocated.

    Returns:
        The image, shape (H, W) or (H, W, 3), uint8.

    Raises:
        FormatError: if it is no such file, damaged, cut off or too large.
        InputTypeError: if it is not bytes.
    """
    return _decode(data, "imf", max_pixels)


def svd_decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a file of ``svd_encode``; see ``imf_decode``."""
    return _decode(data, "svd", max_pixels)


def nmf_decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a file of ``nmf_encode``; see ``imf_decode``."""
    return _decode(data, "nmf", max_pixels)


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a file of any of the three codecs; see ``imf_decode``."""
    return _decode(data, None, max_pixels)


def read_factors(
    data: bytes, *, max_pixels: int = MAX_PIXELS
) -> tuple[container.Header, list[IntegerFactors], list[list[int]]]:
    """Return what a file holds, before it is made into an image.

    Args:
        data: the file.
        max_pixels: see ``imf_decode``.

    Returns:
        The header; the integer factors of each matrix; and for each matrix the bytes that each
        column took, those of U before those of V.

    Raises:
        FormatError: see ``imf_decode``.
        InputTypeError: see ``imf_decode``.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InputTypeError(f"data must be bytes, got {type(data).__name__}")
    header, body = container.read(bytes(data), max_pixels)
    factors, sizes = [], []
    position = 0
    for (rows, columns), matrix in zip(header.layout.matrix_shapes, header.matrices, strict=True):
        u, ends_u = deflate.decode_columns(body, position, (rows, matrix.rank), matrix.range_u)
        v, ends_v = deflate.decode_columns(body, ends_u[-1], (columns, matrix.rank), matrix.range_v)
        sizes.append(np.diff([position, *ends_u, *ends_v]).tolist())
        position = ends_v[-1]
        factors.append(IntegerFactors(u, v, matrix.range_u, matrix.range_v, matrix.scale))
    if position != len(body):
        raise FormatError(f"the F chunk goes on for {len(body) - position} bytes after the factors")
    return header, factors, sizes


def _decode(data: bytes, method: str | None, max_pixels: int) -> np.ndarray:
    header, factors, _ = read_factors(data, max_pixels=max_pixels)
    if method is not None and header.method != method:
        raise FormatError(f"data is a file of {header.method}_encode, not of {method}_encode")
    return np.array(reconstruct_image(header.layout, factors))


def reconstruct_image(layout: Layout, factors: list[IntegerFactors]) -> Array:
    """Return the image of integer factors, in integer arithmetic from the first product on.

    Args:
        layout: the geometry.
        factors: one pair for each of ``layout.matrix_shapes``.

    Returns:
        Shape (H, W) or (H, W, 3), uint8.
    """
    # Ranks are padded to their bucket with zero columns, which compiles once a bucket.
    padded = [(_pad_columns(f.u, f.v.shape[0]), _pad_columns(f.v, f.u.shape[0])) for f in factors]
    scales = [(np.int32(f.scale.mantissa), np.int32(f.scale.shift)) for f in factors]
    is_small = all(f.largest_product <= 2**24 for f in factors)
    return _reconstruct(padded, scales, layout=layout, is_small=is_small)


def _pad_columns(part: np.ndarray, other_length: int) -> np.ndarray:
    length, rank = part.shape
    width = rank_bucket(rank, min(length, other_length))
    return np.pad(part.astype(np.int32), ((0, 0), (0, width - rank)))


@partial(jax.jit, static_argnames=("layout", "is_small"))
def _reconstruct(
    factors: list[tuple[Array, Array]],
    scales: list[tuple[Array, Array]],
    *,
    layout: Layout,
    is_small: bool,
) -> Array:
    matrices = []
    for (u, v), (mantissa, shift) in zip(factors, scales, strict=True):
        if is_small:
            # Sums of products within 2^24 are exact in float32 in any order, and much faster.
            product = jnp.matmul(
                u.astype(jnp.float32),
                v.T.astype(jnp.float32),
                precision=lax.Precision.HIGHEST,
            ).astype(jnp.int32)
        else:
            product = jnp.matmul(u, v.T, preferred_element_type=jnp.int32)
        half = jnp.where(shift > 0, jnp.left_shift(1, jnp.maximum(shift - 1, 0)), 0)
        # Shifts of 31 and more leave the sign, and the products are far below 2^30 there.
        matrices.append((product * mantissa + half) >> jnp.minimum(shift, 31))
    return from_matrices(matrices, layout)
