"""From an image to a file: ``imf_encode``, ``svd_encode`` and ``nmf_encode``.

They share one pipeline and differ in the solver alone, so that at equal colour space, sampling and
patch size a comparison is between factorizations: image -> matrices -> integer factors -> bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.codec import container, deflate
from lrfjax.codec.layout import to_matrices
from lrfjax.codec.quantize import IntegerFactors, Range, Scale, product_limit, quantize
from lrfjax.codec.settings import make_layout, resolve_ranks
from lrfjax.errors import InputError, SolverError
from lrfjax.image.reading import check_image
from lrfjax.solvers.factorize import imf, nmf, svd
from lrfjax.types import Result, Status


def imf_encode(
    image: Any,
    rank: int | Sequence[int] | None = None,
    quality: float | Sequence[float] | None = None,
    *,
    color_space: str = "YCbCr",
    scale_factor: tuple[float, float] = (0.5, 0.5),
    patch: bool = True,
    patch_size: tuple[int, int] = (8, 8),
    bounds: tuple[int, int] = (-16, 15),
    num_iters: int = 10,
    init: str = "svd",
    key: Array | None = None,
    entropy: str = "deflate",
) -> bytes:
    """Compress an image by integer matrix factorization (arXiv 2408.12691, section 4).

    Exactly one of ``rank`` and ``quality`` is given.

    Args:
        image: shape (H, W) or (H, W, 3), uint8, NumPy or JAX, any size from 1 x 1.
        rank: of the factors, 1 to min(M, N) of the patch matrix. A scalar is the rank of luma, and
            chroma gets half of it, at least 1; a sequence has one rank for each matrix.
        quality: 0 to 100, the rank as a percentage of min(M, N), at least 1. A scalar is for luma,
            and chroma gets half of it; a sequence has one for each matrix.
        color_space: ``"YCbCr"`` or ``"RGB"`` (whose patches hold all three channels). Ignored for
            gray images.
        scale_factor: size of the chroma planes as a share of luma's, (vertical, horizontal), in
            (0, 1].
        patch: whether matrices are made of patches; otherwise each plane is a matrix.
        patch_size: (P, Q) in pixels, 1 to 1024.
        bounds: (lower, upper) of the entries of the factors, integers.
        num_iters: sweeps of the solver.
        init: start of the solver, ``"svd"`` or ``"random"``.
        key: a JAX PRNG key, for ``init="random"``.
        entropy: coder of the factors; ``"deflate"`` is the only one so far.

    Returns:
        The file, see ``lrfjax.codec.container``.

    Raises:
        InputError: an impossible value, image shape, or both or neither of rank and quality.
        InputTypeError: a wrong type or dtype.
        SolverError: if the solver failed on a matrix.

    Example:
        >>> import numpy as np
        >>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        >>> data = imf_encode(image, quality=5)
        >>> data[:4], len(data) < 200
        (b'LRFJ', True)
    """
    lower, upper = (int(b) for b in checks.integer_bounds("bounds", bounds))
    if upper - lower > deflate.MAX_SPAN:
        raise InputError(f"bounds must span at most {deflate.MAX_SPAN}, got {bounds}")
    limits = Range(lower, upper - lower)
    checks.integer("num_iters", num_iters, 0)
    checks.one_of("init", init, ("svd", "random"))

    def solve(x: Array, rank: int) -> IntegerFactors:
        if product_limit(rank, limits, limits) >= 2**31:
            raise InputError(f"bounds {bounds} are too wide for products in 32 bits")
        # The codec has no use for the history, so it is recorded at the ends only.
        result = imf(
            x,
            rank,
            bounds=(lower, upper),
            num_iters=num_iters,
            init=init,
            key=key,
            record_every=max(num_iters, 1),
        )
        u, v = _host_factors(result)
        return IntegerFactors(u.astype(np.int32), v.astype(np.int32), limits, limits, Scale())

    layout_settings = (color_space, scale_factor, patch, patch_size)
    return _encode(image, "imf", solve, rank, quality, layout_settings, entropy)


def svd_encode(
    image: Any,
    rank: int | Sequence[int] | None = None,
    quality: float | Sequence[float] | None = None,
    *,
    color_space: str = "YCbCr",
    scale_factor: tuple[float, float] = (0.5, 0.5),
    patch: bool = True,
    patch_size: tuple[int, int] = (8, 8),
    bits: int = 8,
    entropy: str = "deflate",
) -> bytes:
    """Compress an image by its truncated SVD with uniformly quantized factors.

    The comparison codec of arXiv 2408.12691, section 5: the singular values are split evenly
    between the factors, and each factor is quantized over its range. (The published curves use
    ``color_space="RGB"``.)

    Args:
        image: as for ``imf_encode``, like all arguments not named here.
        rank: see ``imf_encode``.
        quality: see ``imf_encode``.
        color_space: see ``imf_encode``.
        scale_factor: see ``imf_encode``.
        patch: see ``imf_encode``.
        patch_size: see ``imf_encode``.
        bits: of each quantized entry, 1 to 8.
        entropy: see ``imf_encode``.

    Returns:
        The file.

    Raises:
        InputError: see ``imf_encode``.
        InputTypeError: see ``imf_encode``.
        SolverError: see ``imf_encode``.
    """
    bits = checks.integer("bits", bits, 1, 8)

    def solve(x: Array, rank: int) -> IntegerFactors:
        _check_products(rank, bits)
        return quantize(*_host_factors(svd(x, rank)), bits)

    layout_settings = (color_space, scale_factor, patch, patch_size)
    return _encode(image, "svd", solve, rank, quality, layout_settings, entropy)


def nmf_encode(
    image: Any,
    rank: int | Sequence[int] | None = None,
    quality: float | Sequence[float] | None = None,
    *,
    color_space: str = "YCbCr",
    scale_factor: tuple[float, float] = (0.5, 0.5),
    patch: bool = True,
    patch_size: tuple[int, int] = (8, 8),
    num_iters: int = 30,
    bits: int = 8,
    entropy: str = "deflate",
) -> bytes:
    """Compress an image by non-negative matrix factorization with quantized factors.

    Each pair of columns is scaled so that both have the same largest entry, then each factor is
    quantized uniformly.

    Args:
        image: as for ``imf_encode``, like all arguments not named here.
        rank: see ``imf_encode``.
        quality: see ``imf_encode``.
        color_space: see ``imf_encode``.
        scale_factor: see ``imf_encode``.
        patch: see ``imf_encode``.
        patch_size: see ``imf_encode``.
        num_iters: sweeps of the solver.
        bits: of each quantized entry, 1 to 8.
        entropy: see ``imf_encode``.

    Returns:
        The file.

    Raises:
        InputError: see ``imf_encode``.
        InputTypeError: see ``imf_encode``.
        SolverError: see ``imf_encode``.
    """
    bits = checks.integer("bits", bits, 1, 8)
    checks.integer("num_iters", num_iters, 0)

    def solve(x: Array, rank: int) -> IntegerFactors:
        _check_products(rank, bits)
        # Rounding can leave chroma a hair below zero.
        result = nmf(jnp.maximum(x, 0), rank, num_iters=num_iters, record_every=max(num_iters, 1))
        u, v = _host_factors(result)
        peak_u, peak_v = u.max(axis=0), v.max(axis=0)
        is_live = (peak_u > 0) & (peak_v > 0)
        gauge = (
            np.sqrt(np.divide(peak_v, peak_u, out=np.ones_like(peak_u), where=is_live)) * is_live
        )
        inverse = np.divide(1, gauge, out=np.zeros_like(gauge), where=gauge > 0)
        return quantize(u * gauge, v * inverse, bits)

    layout_settings = (color_space, scale_factor, patch, patch_size)
    return _encode(image, "nmf", solve, rank, quality, layout_settings, entropy)


def _encode(
    image: Any,
    method: str,
    solve: Callable[[Array, int], IntegerFactors],
    rank: int | Sequence[int] | None,
    quality: float | Sequence[float] | None,
    layout_settings: tuple[str, tuple[float, float], bool, tuple[int, int]],
    entropy: str,
) -> bytes:
    """The pipeline that the codecs share, from image to file."""
    pixels = check_image(image)
    checks.one_of("entropy", entropy, container.ENTROPY_CODERS)
    layout = make_layout(pixels.shape, *layout_settings)
    ranks = resolve_ranks(layout, rank, quality)
    matrices = to_matrices(pixels, layout=layout)
    factors = [solve(x, r) for x, r in zip(matrices, ranks, strict=True)]
    streams = [
        stream
        for f in factors
        for part, limits in ((f.u, f.range_u), (f.v, f.range_v))
        for stream in deflate.encode_columns(part, limits)
    ]
    headers = tuple(
        container.MatrixHeader(r, f.range_u, f.range_v, f.scale)
        for r, f in zip(ranks, factors, strict=True)
    )
    return container.write(container.Header(method, entropy, layout, headers), b"".join(streams))


def _check_products(rank: int, bits: int) -> None:
    """Raise InputError, before the solve, if quantized products may not fit."""
    if product_limit(rank, Range(0, 2**bits - 1), Range(0, 2**bits - 1)) > 2**26:
        raise InputError(f"rank {rank} at bits={bits} gives products beyond 2^26")


def _host_factors(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of a successful solve as NumPy arrays."""
    if int(result.status) == Status.FAILED:
        raise SolverError("the factorization of the image failed: its relative error is not finite")
    return np.asarray(result.factors.u), np.asarray(result.factors.v)
