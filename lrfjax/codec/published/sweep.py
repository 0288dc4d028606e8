"""The published codecs over many qualities and images of one shape, with one compilation.

A single call of an encoder pads its factors to the bucket of its rank. A sweep knows its largest
rank, so one program serves all qualities: it solves the matrices of the images, batched over the
images, with traced ranks.
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
from lrfjax.codec.codec import Rate
from lrfjax.codec.file import container
from lrfjax.codec.published.layout import Layout, to_matrices
from lrfjax.codec.published.ranks import resolve_ranks
from lrfjax.codec.published.stages import PaperCodec
from lrfjax.codec.quantize import IntegerFactors, Range, Scale, quantize
from lrfjax.errors import InputError, InputTypeError, SolverError
from lrfjax.image.reading import check_image
from lrfjax.solvers.execute.lapack_threads import one_lapack_thread
from lrfjax.solvers.execute.solve import rank_bucket
from lrfjax.solvers.factorize import factorize
from lrfjax.solvers.model import Model
from lrfjax.solvers.sets.boxes import IntegerBox
from lrfjax.solvers.truncated_svd import truncated_svd
from lrfjax.types import Status


def imf(
    codec: PaperCodec,
    images: Sequence[Any],
    qualities: Sequence[float],
    largest: float | None,
    *,
    limits: Range,
    num_iters: int,
    init: str,
) -> Iterator[list[bytes]]:
    """Yield the files of each quality; see ``PaperIMFCodec.sweep``.

    Args:
        codec: the codec.
        images: images of one shape.
        qualities: qualities of luma.
        largest: quality that is not below any of them, or None.
        limits: bounds of the factors.
        num_iters: number of solver sweeps.
        init: start of the solver.
    """
    batch = _stack(images)
    checked = _check_qualities(qualities)
    checks.one_of("init", init, ("svd", "balanced"))
    layout, ranks = codec.plan(batch.shape[1:], [Rate(quality=q) for q in checked])
    top = max(checked)
    if largest is not None:
        top = checks.real("largest", largest, top, 100.0)
    max_ranks = tuple(
        rank_bucket(rank, min(shape))
        for rank, shape in zip(
            resolve_ranks(layout, Rate(quality=top)), layout.matrix_shapes, strict=True
        )
    )

    def files() -> Iterator[list[bytes]]:
        matrices = _matrices(codec, batch, layout)
        for rank in ranks:
            with one_lapack_thread():
                solved, has_failed = jax.device_get(
                    _solve(
                        matrices,
                        np.array(rank, np.int32),
                        IntegerBox(*np.array([limits.lower, limits.upper], np.float32)),
                        max_ranks=max_ranks,
                        num_iters=num_iters,
                        init=init,
                    )
                )
            if has_failed.any():
                raise SolverError("the factorization of an image failed: its error is not finite")
            factors = [
                [
                    IntegerFactors(u[:m, :r], v[:, :r], limits, limits, Scale())
                    for u, v in zip(us, vs, strict=True)
                ]
                for (us, vs), r, (m, _) in zip(solved, rank, layout.matrix_shapes, strict=True)
            ]
            yield _files(codec, factors, layout)

    return files()


def svd(
    codec: PaperCodec, images: Sequence[Any], qualities: Sequence[float], *, bits: int
) -> Iterator[list[bytes]]:
    """Yield the files of each quality, entries of ``bits`` bits; see ``PaperSVDCodec.sweep``."""
    batch = _stack(images)
    rates = [Rate(quality=q) for q in _check_qualities(qualities)]
    layout, ranks = codec.plan(batch.shape[1:], rates)

    def files() -> Iterator[list[bytes]]:
        # One decomposition serves all qualities; they keep different numbers of columns.
        with one_lapack_thread():
            decomposed = jax.device_get(_decompose(_matrices(codec, batch, layout)))
        for rank in ranks:
            factors = [
                [quantize(u[:m, :r], v[:, :r], bits) for u, v in zip(us, vs, strict=True)]
                for (us, vs), r, (m, _) in zip(decomposed, rank, layout.matrix_shapes, strict=True)
            ]
            yield _files(codec, factors, layout)

    return files()


def _files(codec: PaperCodec, factors: list[list[IntegerFactors]], layout: Layout) -> list[bytes]:
    """Return the files of images from the factors of all images for each matrix."""
    return [
        container.write(container.File(*codec.code(list(each), layout)))
        for each in zip(*factors, strict=True)
    ]


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


def _matrices(codec: PaperCodec, images: np.ndarray, layout: Layout) -> list[np.ndarray]:
    """Return each matrix of the images as a batch, padded for the solver."""
    of_images = (to_matrices(image, layout) for image in images)
    return [codec.padded(np.stack(each)) for each in zip(*of_images, strict=True)]


@partial(jax.jit, static_argnames=("max_ranks", "num_iters", "init"))
def _solve(
    batches: list[Array],
    ranks: Array,
    box: IntegerBox,
    *,
    max_ranks: tuple[int, ...],
    num_iters: int,
    init: str,
) -> tuple[list[tuple[Array, Array]], Array]:
    """Return U and V of each matrix, batched over the images, and which solves failed."""
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


@jax.jit
def _decompose(batches: list[Array]) -> list[tuple[Array, Array]]:
    """Return U S^(1/2) and V S^(1/2) of each matrix, batched over the images."""
    factors = []
    for x in batches:
        u, s, v = truncated_svd(x)
        root = jnp.sqrt(s)[..., None, :]
        factors.append((u * root, v * root))
    return factors
