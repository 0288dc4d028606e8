"""The stages that both published codecs share: colours, sampling, patches, entropy coding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrfjax import checks
from lrfjax.codec.buckets import bucket, pad_to
from lrfjax.codec.codec import Rate
from lrfjax.codec.file import learned_header
from lrfjax.codec.file_codec import Coded, Extras, FileCodec
from lrfjax.codec.published import body as learned_body
from lrfjax.codec.published.layout import Layout, check_padding, to_matrices
from lrfjax.codec.published.ranks import resolve_ranks
from lrfjax.codec.quantize import (
    IntegerFactors,
)
from lrfjax.errors import InputError, InputTypeError
from lrfjax.image import resample
from lrfjax.image.reading import MAX_PIXELS


@dataclass(frozen=True)
class PaperCodec(FileCodec):
    """A published codec: image -> matrices -> integer factors -> bytes. The rank sets the rate.

    Attributes:
        color_space: see ``PaperIMFCodec``; for this and the following.
        scale_factor: for YCbCr.
        patch: whether rows of the matrices are patches.
        patch_size: (P, Q) in pixels.
        upsampling: for YCbCr.
        entropy: ``"deflate"`` or ``"context"``.
    """

    color_space: str = "YCbCr"
    scale_factor: tuple[float, float] = (0.5, 0.5)
    patch: bool = True
    patch_size: tuple[int, int] = (8, 8)
    upsampling: str = "nearest"
    entropy: str = "deflate"

    rates: ClassVar[tuple[str, ...]] = ("quality", "rank")

    def __post_init__(self) -> None:
        is_rgb = checks.one_of("color_space", self.color_space, ("YCbCr", "RGB")) == "RGB"
        checks.one_of("upsampling", self.upsampling, learned_header.UPSAMPLINGS)
        checks.one_of("entropy", self.entropy, learned_header.ENTROPY_CODERS)
        if not isinstance(self.patch, (bool, np.bool_)):
            raise InputTypeError(f"patch must be True or False, got {self.patch!r}")
        sides = checks.integer_pair("patch_size", self.patch_size, 1, learned_header.MAX_PATCH_SIDE)
        if not self.patch and sides != PaperCodec.patch_size:
            raise InputError(f"patch_size belongs to patch=True, got {sides} and patch=False")
        pair = self.scale_factor
        if isinstance(pair, str) or not isinstance(pair, (Sequence, np.ndarray)) or len(pair) != 2:
            raise InputTypeError(f"scale_factor must be a pair, got {pair!r}")
        first, second = (checks.real("scale_factor", f, 0.0, 1.0) for f in pair)
        if 0.0 in (first, second):
            raise InputError(f"scale_factor must be above 0, got {pair}")
        if is_rgb and (first, second) not in (PaperCodec.scale_factor, (1.0, 1.0)):
            raise InputError(f"scale_factor is for YCbCr, got {pair} and color_space='RGB'")
        if is_rgb and self.upsampling != PaperCodec.upsampling:
            raise InputError(f"upsampling is for YCbCr, got {self.upsampling!r} for RGB")
        # Codecs are compared and hashed, also when pairs are lists or arrays.
        object.__setattr__(self, "patch_size", sides)
        object.__setattr__(self, "scale_factor", (first, second))

    def layout(self, shape: tuple[int, ...], max_pixels: int = MAX_PIXELS) -> Layout:
        """Return the layout of an image of a given shape.

        Gray images have no chroma. ``max_pixels`` limits the padding to whole patches.
        """
        size = (shape[0], shape[1])
        space = "gray" if len(shape) == 2 else self.color_space
        has_chroma = space == "YCbCr"
        scaled = [resample.scaled_size(n, f) for n, f in zip(size, self.scale_factor, strict=True)]
        patches = None
        if self.patch:
            patches = self.patch_size
            check_padding(size, patches, max_pixels)
        return Layout(
            size,
            space,
            (scaled[0], scaled[1]) if has_chroma else size,
            patches,
            self.upsampling if has_chroma else "nearest",
        )

    def check_rank(self, rank: int) -> None:
        """Raise InputError, before the solve, if products of the factors may be too large."""
        raise NotImplementedError

    def factorize(self, x: np.ndarray, rank: int) -> IntegerFactors:
        """Return the integer factors of a matrix."""
        raise NotImplementedError

    @property
    def can_pad(self) -> bool:
        """Whether rows of zeros below a matrix get zeros in U and leave the rest as it is.

        Without patches columns would have to be padded as well, which costs too much time.
        """
        return bool(self.patch)

    def padded(self, x: np.ndarray) -> np.ndarray:
        """Return matrices, shape (..., M, N), with rows of zeros up to a bucket.

        The solver then compiles for few numbers of rows. If that would change the result, the
        matrices stay as they are.
        """
        return pad_to(x, x.ndim - 2, bucket(x.shape[-2])) if self.can_pad else x

    def plan(
        self, shape: tuple[int, ...], rates: Sequence[Rate], max_pixels: int = MAX_PIXELS
    ) -> tuple[Layout, list[list[int]]]:
        """Return the layout, and the rank of each matrix for each rate, after all checks."""
        layout = self.layout(shape, max_pixels)
        learned_body.check_coder(self.entropy, layout)
        ranks = [resolve_ranks(layout, rate) for rate in rates]
        self.check_rank(max(map(max, ranks)))
        return layout, ranks

    def encode_opaque(
        self, image: np.ndarray, rate: Rate, extras: Extras, write: Callable[[Coded], bytes]
    ) -> bytes:
        """Return the file of an image without alpha, of 8 bits."""
        if image.dtype != np.uint8:
            raise InputError(f"image must be uint8 for {self.name}, got {image.dtype}")
        layout, (ranks,) = self.plan(image.shape, [rate], extras.max_pixels)
        matrices = to_matrices(image, layout)
        return write(
            self.code([self.factorize(x, r) for x, r in zip(matrices, ranks, strict=True)], layout)
        )

    def code(self, factors: list[IntegerFactors], layout: Layout) -> Coded:
        """Return the header and the coded factors."""
        header, body = learned_body.code(factors, layout, self.method, self.entropy)
        return header, (body,)
