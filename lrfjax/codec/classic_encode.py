"""Encoders of the classic pipeline (arXiv 2408.12691): the rank sets the quality.

Image -> matrices -> bounded integer factors -> bytes. The codecs differ only in the solver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.codec import container
from lrfjax.codec.classic_settings import make_layout, resolve_ranks
from lrfjax.codec.entropy import deflate
from lrfjax.codec.entropy.ans import SymbolEncoder
from lrfjax.codec.entropy.factor_coder import EncodingSource, walk
from lrfjax.codec.entropy.magnitudes import MAX_ENTRY
from lrfjax.codec.layout import Layout, to_matrices
from lrfjax.codec.quantize import (
    MAX_QUANTIZED_PRODUCT,
    IntegerFactors,
    Range,
    Scale,
    host_factors,
    product_limit,
    quantize,
)
from lrfjax.errors import InputError
from lrfjax.solvers import presets
from lrfjax.solvers.execute.fit_check import without_fit_warnings

LayoutSettings = tuple[str, tuple[float, float], bool, tuple[int, int], str, int]
Coded = tuple[container.LearnedHeader, bytes]


def imf(
    pixels: np.ndarray,
    rank: int | Sequence[int] | None,
    quality: float | Sequence[float] | None,
    layout_settings: LayoutSettings,
    entropy: str,
    *,
    bounds: tuple[int, int],
    num_iters: int,
    init: str,
    key: Array | None,
) -> Coded:
    """Return the header and the coded factors; for the arguments see ``imf_encode``."""
    limits = range_of_bounds(bounds, entropy)
    checks.one_of("init", init, ("svd", "balanced", "random"))

    def solve(x: Array, rank: int) -> IntegerFactors:
        check_range(rank, limits)
        # The codec does not use the history, so it is recorded at the ends only.
        with without_fit_warnings():
            result = presets.imf(
                x,
                rank,
                bounds=(limits.lower, limits.upper),
                num_iters=num_iters,
                init=init,
                key=key,
                record_every=max(num_iters, 1),
            )
        u, v = host_factors(result)
        return IntegerFactors(u.astype(np.int32), v.astype(np.int32), limits, limits, Scale())

    return _encode(pixels, "imf", solve, rank, quality, layout_settings, entropy)


def svd(
    pixels: np.ndarray,
    rank: int | Sequence[int] | None,
    quality: float | Sequence[float] | None,
    layout_settings: LayoutSettings,
    entropy: str,
    *,
    bits: int,
) -> Coded:
    """Return the header and the coded factors; for the arguments see ``svd_encode``."""

    def solve(x: Array, rank: int) -> IntegerFactors:
        check_products(rank, bits)
        return quantize(*host_factors(presets.svd(x, rank)), bits)

    return _encode(pixels, "svd", solve, rank, quality, layout_settings, entropy)


def nmf(
    pixels: np.ndarray,
    rank: int | Sequence[int] | None,
    quality: float | Sequence[float] | None,
    layout_settings: LayoutSettings,
    entropy: str,
    *,
    bits: int,
    num_iters: int,
) -> Coded:
    """Return the header and the coded factors; for the arguments see ``nmf_encode``."""

    def solve(x: Array, rank: int) -> IntegerFactors:
        check_products(rank, bits)
        # Rounding can leave chroma a hair below zero.
        lifted = jnp.maximum(x, 0)
        result = presets.nmf(lifted, rank, num_iters=num_iters, record_every=max(num_iters, 1))
        u, v = host_factors(result)
        peak_u, peak_v = u.max(axis=0), v.max(axis=0)
        is_live = (peak_u > 0) & (peak_v > 0)
        gauge = (
            np.sqrt(np.divide(peak_v, peak_u, out=np.ones_like(peak_u), where=is_live)) * is_live
        )
        inverse = np.divide(1, gauge, out=np.zeros_like(gauge), where=gauge > 0)
        return quantize(u * gauge, v * inverse, bits)

    return _encode(pixels, "nmf", solve, rank, quality, layout_settings, entropy)


def _encode(
    pixels: np.ndarray,
    method: str,
    solve: Callable[[Array, int], IntegerFactors],
    rank: int | Sequence[int] | None,
    quality: float | Sequence[float] | None,
    layout_settings: LayoutSettings,
    entropy: str,
) -> Coded:
    """Return the header and the coded factors: the pipeline that the codecs share."""
    layout = make_layout(pixels.shape, *layout_settings)
    check_coder(entropy, layout)
    ranks = resolve_ranks(layout, rank, quality)
    matrices = to_matrices(pixels, layout=layout)
    factors = [solve(x, r) for x, r in zip(matrices, ranks, strict=True)]
    return code(factors, layout, method, entropy)


def code(factors: list[IntegerFactors], layout: Layout, method: str, entropy: str) -> Coded:
    """Return the header and the coded factors of an image."""
    headers = tuple(
        container.MatrixHeader(f.u.shape[1], f.range_u, f.range_v, f.scale) for f in factors
    )
    body = _deflate(factors) if entropy == "deflate" else _code_with_contexts(factors, layout)
    return container.LearnedHeader(method, entropy, layout, headers), body


def range_of_bounds(bounds: tuple[int, int], entropy: str) -> Range:
    """Return the bounds as a range; raise InputError if the entropy coder cannot code it."""
    lower, upper = (int(b) for b in checks.integer_bounds("bounds", bounds))
    if upper - lower > deflate.MAX_SPAN:
        raise InputError(f"bounds must span at most {deflate.MAX_SPAN}, got {bounds}")
    limits = Range(lower, upper - lower)
    if entropy == "context" and limits.largest > MAX_ENTRY:
        raise InputError(f"bounds must be within {MAX_ENTRY} for contexts, got {bounds}")
    return limits


def check_range(rank: int, limits: Range) -> None:
    """Raise InputError, before the solve, if products of bounded factors may exceed 32 bits."""
    if product_limit(rank, limits, limits) >= 2**31:
        bounds = limits.lower, limits.upper
        raise InputError(f"bounds {bounds} are too wide for products in 32 bits")


def check_coder(entropy: str, layout: Layout) -> None:
    """Raise InputError, before any solve, if the coder is unknown or the factors are too long."""
    checks.one_of("entropy", entropy, container.ENTROPY_CODERS)
    if entropy == "context" and max(map(max, layout.matrix_shapes)) > container.MAX_CELLS:
        shapes = layout.matrix_shapes
        raise InputError(f"entropy='context' codes {container.MAX_CELLS} rows, not {shapes}")


def _deflate(factors: list[IntegerFactors]) -> bytes:
    streams = [
        stream
        for f in factors
        for part, limits in ((f.u, f.range_u), (f.v, f.range_v))
        for stream in deflate.encode_columns(part, limits)
    ]
    return b"".join(streams)


def _code_with_contexts(factors: list[IntegerFactors], layout: Layout) -> bytes:
    out = SymbolEncoder()
    for f, grids in zip(factors, layout.factor_grids, strict=True):
        parts = ((f.u, f.range_u), (f.v, f.range_v))
        for kind, (part, limits) in enumerate(parts):
            source = EncodingSource(part, grids[kind], out, has_signs=limits.lower < 0)
            walk(source, part.shape[1], grids[kind], kind)
    return out.finish()


def check_products(rank: int, bits: int) -> None:
    """Raise InputError, before the solve, if quantized products may be too large."""
    limits = Range(0, 2**bits - 1)
    if product_limit(rank, limits, limits) > MAX_QUANTIZED_PRODUCT:
        raise InputError(f"rank {rank} at bits={bits} gives products beyond 2^26")
