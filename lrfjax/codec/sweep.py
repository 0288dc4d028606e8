"""The classic codecs over many qualities and images of one shape, with one compilation.

A single call of an encoder pads its factors to the bucket of its rank. A sweep knows its largest
rank, so one program serves all qualities: it converts the images to matrices and solves them,
batched over the images, with traced ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax import checks
from lrfjax.codec import classic_encode, container
from lrfjax.codec.classic_settings import make_layout, resolve_ranks
from lrfjax.codec.layout import Layout, to_matrices
from lrfjax.codec.quantize import IntegerFactors, Scale, quantize
from lrfjax.errors import InputError, InputTypeError, SolverError
from lrfjax.image.reading import MAX_PIXELS, check_image
from lrfjax.solvers.execute.lapack_threads import one_lapack_thread
from lrfjax.solvers.execute.solve import rank_bucket
from lrfjax.solvers.factorize import factorize
from lrfjax.solvers.model import Model
from lrfjax.solvers.sets.boxes import IntegerBox
from lrfjax.solvers.truncated_svd import truncated_svd
from lrfjax.types import Status


def imf_sweep(
    images: Sequence[Any],
    qualities: Sequence[float],
    *,
    color_space: str = "YCbCr",
    scale_factor: tuple[float, float] = (0.5, 0.5),
    upsampling: str = "nearest",
    patch: bool = True,
    patch_size: tuple[int, int] = (8, 8),
    bounds: tuple[int, int] = (-16, 15),
    num_iters: int = 10,
    init: str = "svd",
    entropy: str = "deflate",
    dictionary: str = "learned",
    max_quality: float | None = None,
) -> Iterator[list[bytes]]:
    """Yield, for each quality, the files of images of one shape in the classic pipeline.

    The files are those of ``imf_encode`` with the same settings (by default ``PAPER_SETTINGS``),
    except that single entries of the factors may differ: batched floating-point sums have another
    order and may round differently.

    Args:
        images: images of one shape, (H, W) or (H, W, 3), uint8. The device solves them as a batch.
        qualities: rank of luma as a percentage of min(M, N), each from 0 to 100.
        color_space: ``"YCbCr"`` or ``"RGB"``; for this and the following see ``imf_encode``.
        scale_factor: size of the chroma planes relative to luma, (vertical, horizontal).
        upsampling: interpolation of the chroma planes, ``"nearest"`` or ``"linear"``.
        patch: whether rows of the matrices are patches.
        patch_size: (P, Q) in pixels.
        bounds: (lower, upper) bounds of the factor entries, integers.
        num_iters: number of solver sweeps.
        init: ``"svd"`` or ``"balanced"``.
        entropy: ``"deflate"`` or ``"context"``.
        dictionary: always ``"learned"``.
        max_quality: quality whose ranks factors are padded to, by default the largest of
            ``qualities``. Sweeps with the same value share their program.

    Raises:
        InputError: if a value is out of range, or there are no images or images of different
            shapes; on the call.
        InputTypeError: if an argument has a wrong type or dtype; on the call.
        SolverError: if the solver failed on a matrix; during iteration.

    Example:
        >>> import numpy as np
        >>> images = np.random.default_rng(0).integers(0, 256, (2, 16, 16), np.uint8)
        >>> [[len(file) > 20 for file in files] for files in imf_sweep(images, [10, 100])]
        [[True, True], [True, True]]
    """
    batch = _stack(images)
    settings = (color_space, scale_factor, patch, patch_size, upsampling, MAX_PIXELS)
    checked = _check_qualities(qualities)
    layout, ranks = _plan(batch.shape[1:], settings, checked)
    limits = classic_encode.range_of_bounds(bounds, entropy)
    classic_encode.check_range(max(map(max, ranks)), limits)
    classic_encode.check_coder(entropy, layout)
    checks.integer("num_iters", num_iters, 0)
    checks.one_of("init", init, ("svd", "balanced"))
    checks.one_of("dictionary", dictionary, ("learned",))
    largest = max(checked)
    if max_quality is not None:
        largest = checks.real("max_quality", max_quality, largest, 100.0)
    max_ranks = tuple(
        rank_bucket(rank, min(shape))
        for rank, shape in zip(
            resolve_ranks(layout, None, largest), layout.matrix_shapes, strict=True
        )
    )

    def files() -> Iterator[list[bytes]]:
        for rank in ranks:
            with one_lapack_thread():
                solved, has_failed = jax.device_get(
                    _solve(
                        batch,
                        np.array(rank, np.int32),
                        IntegerBox(*np.array([limits.lower, limits.upper], np.float32)),
                        layout=layout,
                        max_ranks=max_ranks,
                        num_iters=num_iters,
                        init=init,
                    )
                )
            if has_failed.any():
                raise SolverError("the factorization of an image failed: its error is not finite")
            factors = [
                [
                    IntegerFactors(u[:, :r], v[:, :r], limits, limits, Scale())
                    for u, v in zip(us, vs, strict=True)
                ]
                for (us, vs), r in zip(solved, rank, strict=True)
            ]
            yield [
                _write(classic_encode.code(list(each), layout, "imf", entropy))
                for each in zip(*factors, strict=True)
            ]

    return files()


def svd_sweep(
    images: Sequence[Any],
    qualities: Sequence[float],
    *,
    color_space: str = "RGB",
    scale_factor: tuple[float, float] = (0.5, 0.5),
    upsampling: str = "nearest",
    patch: bool = True,
    patch_size: tuple[int, int] = (8, 8),
    bits: int = 8,
    entropy: str = "deflate",
    max_quality: float | None = None,
) -> Iterator[list[bytes]]:
    """Yield, for each quality, the files of images of one shape by the classic SVD codec.

    The files are those of ``svd_encode`` with the same settings, by default those of the published
    curves. The images are decomposed once for all qualities.

    Args:
        images: see ``imf_sweep``.
        qualities: rank as a percentage of min(M, N), each from 0 to 100.
        color_space: ``"RGB"`` or ``"YCbCr"``.
        scale_factor: see ``imf_sweep``.
        upsampling: see ``imf_sweep``.
        patch: see ``imf_sweep``.
        patch_size: see ``imf_sweep``.
        bits: bits per quantized entry, 1 to 8.
        entropy: see ``imf_sweep``.
        max_quality: unused; present for the signature of ``imf_sweep``.

    Raises:
        InputError: see ``imf_sweep``.
        InputTypeError: see ``imf_sweep``.
    """
    batch = _stack(images)
    settings = (color_space, scale_factor, patch, patch_size, upsampling, MAX_PIXELS)
    layout, ranks = _plan(batch.shape[1:], settings, _check_qualities(qualities))
    classic_encode.check_coder(entropy, layout)
    classic_encode.check_products(max(map(max, ranks)), checks.integer("bits", bits, 1, 8))

    def files() -> Iterator[list[bytes]]:
        # One decomposition serves all qualities; they keep different numbers of columns.
        with one_lapack_thread():
            decomposed = jax.device_get(_decompose(batch, layout=layout))
        for rank in ranks:
            factors = [
                [quantize(u[:, :r], v[:, :r], bits) for u, v in zip(us, vs, strict=True)]
                for (us, vs), r in zip(decomposed, rank, strict=True)
            ]
            yield [
                _write(classic_encode.code(list(each), layout, "svd", entropy))
                for each in zip(*factors, strict=True)
            ]

    return files()


def _write(coded: classic_encode.Coded) -> bytes:
    header, body = coded
    return container.write(container.File(header, (body,)))


def _stack(images: Sequence[Any]) -> np.ndarray:
    """Return images of one shape as one array."""
    if not np.iterable(images):
        raise InputTypeError(f"images must be a sequence of arrays, got {images!r}")
    checked = [check_image(image, "images") for image in images]
    if not checked:
        raise InputError("images must hold at least one, got none")
    if shapes := {image.shape for image in checked} - {checked[0].shape}:
        raise InputError(f"images must have one shape, got {checked[0].shape} and {shapes.pop()}")
    return np.stack(checked)


def _check_qualities(qualities: Any) -> list[float]:
    if isinstance(qualities, str) or not np.iterable(qualities):
        raise InputTypeError(f"qualities must be a sequence of numbers, got {qualities!r}")
    checked = [checks.real("qualities", quality, 0.0, 100.0) for quality in qualities]
    if not checked:
        raise InputError("qualities must hold at least one, got none")
    return checked


def _plan(
    shape: tuple[int, ...], settings: classic_encode.LayoutSettings, qualities: Sequence[float]
) -> tuple[Layout, list[list[int]]]:
    """Return the layout, and the rank of each matrix for each quality."""
    layout = make_layout(shape, *settings)
    return layout, [resolve_ranks(layout, None, quality) for quality in qualities]


@partial(jax.jit, static_argnames=("layout", "max_ranks", "num_iters", "init"))
def _solve(
    images: Array,
    ranks: Array,
    box: IntegerBox,
    *,
    layout: Layout,
    max_ranks: tuple[int, ...],
    num_iters: int,
    init: str,
) -> tuple[list[tuple[Array, Array]], Array]:
    """Return U and V of each matrix, batched over the images, and which solves failed."""
    batches = jax.vmap(partial(to_matrices, layout=layout))(images)
    found, failed = [], []
    for k, x in enumerate(batches):
        result = factorize(
            x,
            ranks[k],
            model=Model(box, box),
            num_iters=num_iters,
            start=init,
            record_every=max(num_iters, 1),
            max_rank=max_ranks[k],
        )
        # int32 holds all bounds of the codecs, and transfers faster than wider integers.
        found.append((result.factors.u.astype(jnp.int32), result.factors.v.astype(jnp.int32)))
        failed.append(result.status == Status.FAILED)
    return found, jnp.stack(failed)


@partial(jax.jit, static_argnames="layout")
def _decompose(images: Array, *, layout: Layout) -> list[tuple[Array, Array]]:
    """Return U S^(1/2) and V S^(1/2) of each matrix, batched over the images."""
    factors = []
    for x in jax.vmap(partial(to_matrices, layout=layout))(images):
        u, s, v = truncated_svd(x)
        root = jnp.sqrt(s)[..., None, :]
        factors.append((u * root, v * root))
    return factors
