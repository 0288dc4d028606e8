"""The codec whose V is a DCT dictionary that encoder and decoder know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrfjax import checks
from lrfjax.codec.dictionary import encode as dictionary_encode
from lrfjax.codec.dictionary.atoms import ATOMS, PATCH_SIZE, SIDE
from lrfjax.codec.file.tiled_headers import MAX_TILE_PATCHES
from lrfjax.codec.file_codec import DialCodec, Encoder, Extras
from lrfjax.codec.published.layout import check_padding
from lrfjax.errors import InputError

COLOR_SPACES = ("rotated", "YCbCr", "RGB")


@dataclass(frozen=True)
class DCTCodec(DialCodec):
    """X ~ s U V^T for patches of 16 x 16 pixels, where V is one of four DCT dictionaries.

    Only U is solved for, by rate-distortion optimization with the entropy coder's own contexts; so
    this is no matrix factorization. V costs neither bits nor time: on photographs the files are
    within a per cent of those of ``IMFCodec``, in a fraction of the time.

    Images of more than about a megapixel are coded in tiles on several threads. The bytes do not
    depend on the number of threads. They depend on the size of the tiles
    (``tiles.PATCHES_PER_TILE``), which follows from the shape of the image.

    Attributes:
        color_space: ``"rotated"``, for axes that decorrelate the colours of the image,
            ``"YCbCr"`` or ``"RGB"``; ignored for gray images, which have one plane.
        effort: search effort from 1 (fast) to 3 (slow). More effort saves bits; decoding time does
            not change.
    """

    color_space: str = "rotated"
    effort: int = 2

    name: ClassVar[str] = "dct"
    label: ClassVar[str] = "DCT dictionary"
    method: ClassVar[str] = "dct"
    levels: ClassVar[tuple[float, ...]] = (0, 4, 8, 13, 18, 24, 30, 36, 42, 48, 54, 60)

    def __post_init__(self) -> None:
        checks.one_of("color_space", self.color_space, COLOR_SPACES)
        checks.integer("effort", self.effort, 1, 3)

    def encoder(self, image: np.ndarray, rank: int | None, extras: Extras) -> Encoder:
        """See ``DialCodec``; ranks go up to 256."""
        check_tiled(image, extras.max_pixels)
        if rank is not None:
            rank = checks.integer("rank", rank, 1, len(ATOMS))
        return dictionary_encode.ImageEncoder(
            image, self.color_space, int(self.effort), rank, extras.progress
        )


def check_tiled(image: np.ndarray, max_pixels: int) -> None:
    """Raise InputError for an image that tiles of 16 x 16 patches cannot hold."""
    if image.shape[1] > (limit := SIDE * MAX_TILE_PATCHES):
        raise InputError(f"image must be at most {limit} pixels wide, got {image.shape}")
    check_padding((image.shape[0], image.shape[1]), PATCH_SIZE, max_pixels)
