"""Decoding of files to images, in exact integer arithmetic.

Floating point appears only where every result is an exact integer. The same file therefore gives
the same pixels on every backend, at any precision setting, jitted or not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrfjax.codec.dictionary import decode as dictionary_decode
from lrfjax.codec.dictionary import tiles
from lrfjax.codec.file import container
from lrfjax.codec.file.alpha import decode_alpha
from lrfjax.codec.file.container import Header
from lrfjax.codec.file.learned_header import LearnedHeader
from lrfjax.codec.file.tiled_headers import BasisHeader
from lrfjax.codec.learned import decode as learned_decode
from lrfjax.codec.learned.basis import Basis
from lrfjax.codec.parallel import Progress, no_progress
from lrfjax.codec.products import scaled_product
from lrfjax.codec.published import body as learned_body
from lrfjax.codec.published.layout import from_matrices
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
        factors: factors of each matrix. Files in tiles have one element per plane and tile, tile
            by tile, whose V is that of the first dictionary: of shape (256, R), or, where V is in
            the file, (256, (p + 1) R) for plane p, whose U has the columns of all planes up to it.
        kinds: dictionary of each row of U, one array per tile; empty for the published codecs.
        sizes: number of bytes of the header, the factors, the framing, and of alpha, ICC profile
            and EXIF block where present.
        basis: V in the coordinates of the atoms, where it is in a file of tiles, otherwise None.
            It gives V for rows of U with any dictionary.
    """

    header: Header
    factors: list[IntegerFactors]
    kinds: list[np.ndarray]
    sizes: dict[str, int]
    basis: Basis | None = None


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
        return Contents(file.header, learned_body.read(file.bodies[0], file.header), [], file.sizes)
    header, bodies, basis = file.header, file.bodies, None
    if isinstance(header, BasisHeader):
        basis, bodies = learned_decode.basis_of(header, bodies[0]), bodies[1:]
    factors, kinds, steps = [], [], header.finish.steps
    for body, grid in zip(bodies, header.grids, strict=True):
        u, kind = tiles.read_tile(body, grid, steps, header.has_signs)
        if basis is None:
            factors += tiles.integer_factors(u, steps)
        else:
            factors += learned_decode.integer_factors(u, basis, steps)
        kinds.append(kind)
    return Contents(header, factors, kinds, file.sizes, basis)


def decode_file(
    data: bytes, method: str | None, max_pixels: int, progress: Progress = no_progress
) -> np.ndarray:
    """Decode a file of a method, such as ``"imf"``, or of any method for None; see ``decode``."""
    file = container.read(data, max_pixels)
    header = file.header
    if method is not None and header.method != method:
        raise FormatError(f"data is a file of {header.method}_encode, not of {method}_encode")
    size = header.layout.size if isinstance(header, LearnedHeader) else header.size
    # Alpha first: it is refused, if it is broken, before the pixels take their time.
    alpha = None if file.alpha is None else decode_alpha(file.alpha, size)
    if isinstance(header, LearnedHeader):
        pixels = render_learned(header, learned_body.read(file.bodies[0], header))
    elif isinstance(header, BasisHeader):
        pixels = learned_decode.decode_tiles(header, file.bodies, progress)
    else:
        pixels = dictionary_decode.decode_tiles(header, file.bodies, progress)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return pixels if alpha is None else np.dstack([pixels, alpha])


def render_learned(header: LearnedHeader, factors: list[IntegerFactors]) -> np.ndarray:
    """Return the image of the factors of a published codec."""
    return from_matrices([scaled_product(f) for f in factors], header.layout)
