"""Decoding of files to images, in exact integer arithmetic.

Floating point appears only where every result is an exact integer. The same file therefore gives
the same pixels on every backend, at any precision setting, jitted or not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrfjax.codec import container, learned_decode, tiles
from lrfjax.codec.alpha import decode_alpha
from lrfjax.codec.container import DictionaryHeader, Header, LearnedHeader
from lrfjax.codec.dictionary_decode import decode_tiles
from lrfjax.codec.entropy import deflate
from lrfjax.codec.layout import from_matrices
from lrfjax.codec.parallel import Progress, no_progress
from lrfjax.codec.products import scaled_product
from lrfjax.codec.quantize import IntegerFactors
from lrfjax.errors import FormatError
from lrfjax.image.reading import MAX_PIXELS


def decode(
    data: bytes, *, max_pixels: int = MAX_PIXELS, progress: Progress = no_progress
) -> np.ndarray:
    """Decode a file of any lrfjax codec.

    Args:
        data: the file.
        max_pixels: largest number of pixels; larger images are refused before anything is
            allocated. Padding to whole patches may add an eighth of it and a megapixel.
        progress: callback for files in tiles. It receives the number of decoded tiles (of about a
            megapixel) and the number of all tiles, once before the first and after each.

    Returns:
        The image, shape (H, W), (H, W, 3), or (H, W, 4) with alpha last; uint8, or uint16 if the
        encoded image was uint16.

    Raises:
        FormatError: if the data is not an lrfjax file, is damaged, cut off or too large.
        InputTypeError: if the data is not bytes.
    """
    return decode_file(data, None, max_pixels, progress)


@dataclass(frozen=True)
class Metadata:
    """The metadata of a file.

    Attributes:
        icc_profile: ICC profile as given to the encoder, or None.
        exif: EXIF block as given to the encoder, or None.
    """

    icc_profile: bytes | None
    exif: bytes | None


def read_metadata(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Metadata:
    """Return the ICC profile and the EXIF block of a file, without decoding the image.

    Args:
        data: the file.
        max_pixels: see ``decode``.

    Raises:
        FormatError: see ``decode``.
        InputTypeError: see ``decode``.
    """
    file = container.read(data, max_pixels)
    return Metadata(file.icc_profile, file.exif)


@dataclass(frozen=True)
class Contents:
    """The header and the integer factors of a file.

    Attributes:
        header: header of the factors.
        factors: factors of each matrix. With a dictionary, one element per plane and tile, tile by
            tile, whose V of shape (256, R) is that of the first dictionary.
        kinds: dictionary of each row of U, one array per tile; empty for a learned V.
        sizes: number of bytes of the header, the factors, the framing, and of alpha, ICC profile
            and EXIF block where present.
    """

    header: Header
    factors: list[IntegerFactors]
    kinds: list[np.ndarray]
    sizes: dict[str, int]


def read_factors(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Contents:
    """Return the integer factors of a file of any lrfjax codec.

    Args:
        data: the file.
        max_pixels: see ``decode``.

    Raises:
        FormatError: see ``decode``.
        InputTypeError: see ``decode``.
    """
    file = container.read(data, max_pixels)
    if isinstance(file.header, LearnedHeader):
        return Contents(file.header, _learned_factors(file.header, file.bodies[0]), [], file.sizes)
    factors, kinds = [], []
    for body, grid in zip(file.bodies, file.header.grids, strict=True):
        u, kind = tiles.read_tile(body, grid, file.header.finish.steps)
        factors += tiles.integer_factors(u, file.header.finish.steps)
        kinds.append(kind)
    return Contents(file.header, factors, kinds, file.sizes)


def decode_file(
    data: bytes, method: str | None, max_pixels: int, progress: Progress = no_progress
) -> np.ndarray:
    """Decode a file of a method, such as ``"imf"``, or of any method for None; see ``decode``."""
    file = container.read(data, max_pixels)
    header = file.header
    if method is not None and header.method != method:
        raise FormatError(f"data is a file of {header.method}_encode, not of {method}_encode")
    size = header.size if isinstance(header, DictionaryHeader) else header.layout.size
    # Alpha first: it is refused, if it is broken, before the pixels take their time.
    alpha = None if file.alpha is None else decode_alpha(file.alpha, size)
    if isinstance(header, DictionaryHeader):
        pixels = decode_tiles(header, file.bodies, progress)
    else:
        pixels = render_learned(header, _learned_factors(header, file.bodies[0]))
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return pixels if alpha is None else np.dstack([pixels, alpha])


def _learned_factors(header: LearnedHeader, body: bytes) -> list[IntegerFactors]:
    if header.entropy == "context":
        return learned_decode.read_factors(body, header)
    factors, position = [], 0
    for (rows, columns), m in zip(header.layout.matrix_shapes, header.matrices, strict=True):
        u, ends = deflate.decode_columns(body, position, (rows, m.rank), m.range_u)
        v, ends = deflate.decode_columns(body, ends[-1], (columns, m.rank), m.range_v)
        position = ends[-1]
        factors.append(IntegerFactors(u, v, m.range_u, m.range_v, m.scale))
    deflate.check_end(body, position)
    return factors


def render_learned(header: LearnedHeader, factors: list[IntegerFactors]) -> np.ndarray:
    """Return the image of factors with a learned V."""
    if header.finish is not None:
        return learned_decode.render(header, factors)
    return from_matrices([scaled_product(f) for f in factors], header.layout)
