"""The SVD codec that the paper compares with (arXiv 2408.12691, section 5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrfjax import checks
from lrfjax.codec.published import sweep
from lrfjax.codec.published.stages import PaperCodec
from lrfjax.codec.quantize import (
    MAX_QUANTIZED_PRODUCT,
    IntegerFactors,
    Range,
    host_factors,
    product_limit,
    quantize,
)
from lrfjax.errors import InputError
from lrfjax.solvers import presets


@dataclass(frozen=True)
class PaperSVDCodec(PaperCodec):
    """The SVD codec that arXiv 2408.12691, section 5, compares with; the settings of its curves.

    The singular values are split evenly between the factors, and each factor is quantized
    uniformly over its range.

    Attributes:
        color_space: see ``PaperIMFCodec``; for this and the following.
        scale_factor: for YCbCr.
        patch: whether rows of the matrices are patches.
        patch_size: (P, Q) in pixels.
        upsampling: for YCbCr.
        entropy: ``"deflate"`` or ``"context"``.
        bits: bits per quantized entry, 1 to 8.
    """

    color_space: str = "RGB"
    bits: int = 8

    name: ClassVar[str] = "svd-paper"
    label: ClassVar[str] = "SVD, paper"
    method: ClassVar[str] = "svd"
    levels: ClassVar[tuple[float, ...]] = tuple(np.linspace(0, 5, 30).round(6).tolist())
    is_continuous: ClassVar[bool] = False
    shares_work: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer("bits", self.bits, 1, 8)

    def check_rank(self, rank: int) -> None:
        """Raise InputError, before the solve, if quantized products may be too large."""
        limits = Range(0, 2**self.bits - 1)
        if product_limit(rank, limits, limits) > MAX_QUANTIZED_PRODUCT:
            raise InputError(f"rank {rank} at bits={self.bits} gives products beyond 2^26")

    def factorize(self, x: np.ndarray, rank: int) -> IntegerFactors:
        """Return the quantized factors of a matrix."""
        u, v = host_factors(presets.svd(self.padded(x), rank))
        return quantize(u[: len(x)], v, self.bits)

    def sweep(
        self, images: Sequence[np.ndarray], levels: Sequence[float], largest: float | None = None
    ) -> Iterator[list[bytes]]:
        """Yield the files of images of one shape for each quality; see ``PaperIMFCodec.sweep``.

        The images are decomposed once for all qualities, whatever ``largest`` is.
        """
        return sweep.svd(self, images, levels, bits=self.bits)
