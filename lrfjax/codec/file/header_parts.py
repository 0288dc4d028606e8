"""What the headers of all files share: limits, the size of the image, and the finish."""

from __future__ import annotations

from dataclasses import dataclass

from lrfjax.codec.file.chunks import Reader, signed_varint, varint
from lrfjax.codec.planes import COLOR_BITS
from lrfjax.codec.published.layout import padding_fits
from lrfjax.errors import FormatError
from lrfjax.image.patches import padded_size
from lrfjax.image.restore import STRENGTH_UNIT

METHODS = ("imf", "svd", "nmf")
MAX_STEP = 1 << 14

_LARGEST_ROW = 3 << COLOR_BITS

IntMatrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Finish:
    """The parameters that turn rotated planes into pixels.

    Attributes:
        depth: bits per channel, 8 or 16.
        inverse: 4096 times the plane-to-channel matrix, one row per channel; 1 x 1 or 3 x 3.
        steps: quantization steps of the planes, in 1/16 gray levels, 1 to 16384.
        deblocking: strength of the deblocking filter, 0 to 255.
        restoration: strength of the restoration, 0 to 16.
    """

    depth: int
    inverse: IntMatrix
    steps: tuple[int, ...]
    deblocking: int
    restoration: int


def write_finish(finish: Finish) -> bytes:
    """Return the bytes of a finish."""
    out = bytes([len(finish.steps), finish.depth, finish.deblocking, finish.restoration])
    out += b"".join(map(varint, finish.steps))
    if len(finish.steps) == 3:
        out += b"".join(signed_varint(x) for row in finish.inverse for x in row)
    return out


def read_finish(reader: Reader) -> Finish:
    """Return a finish; raise FormatError if the next numbers are none."""
    planes = reader.byte("number of planes")
    if planes not in (1, 3):
        raise FormatError(f"number of planes must be 1 or 3, got {planes}")
    depth = reader.byte("depth")
    if depth not in (8, 16):
        raise FormatError(f"depth must be 8 or 16, got {depth}")
    deblocking = reader.byte("strength of deblocking")
    restoration = reader.byte("strength of restoration", STRENGTH_UNIT)
    steps = tuple(reader.varint("step", 1, MAX_STEP) for _ in range(planes))
    inverse = _read_rotation(reader) if planes == 3 else ((1 << COLOR_BITS,),)
    return Finish(depth, inverse, steps, deblocking, restoration)


def _read_rotation(reader: Reader) -> IntMatrix:
    rows = tuple(
        tuple(reader.signed_varint("colour", _LARGEST_ROW) for _ in range(3)) for _ in range(3)
    )
    if any(sum(map(abs, row)) > _LARGEST_ROW for row in rows):
        raise FormatError(f"the colours {rows} are beyond {_LARGEST_ROW}")
    return rows


def read_size(reader: Reader, max_pixels: int) -> tuple[int, int]:
    """Return (H, W); raise FormatError if that is more than ``max_pixels``."""
    size = reader.varint("height", 1), reader.varint("width", 1)
    if size[0] * size[1] > max_pixels:
        raise FormatError(f"image of {size} pixels exceeds the limit of {max_pixels} (max_pixels)")
    return size


def check_padding_fits(size: tuple[int, int], patch: tuple[int, int], max_pixels: int) -> None:
    """Raise FormatError if an image cannot be padded to whole patches; see ``padding_fits``."""
    if not padding_fits(size, patch, max_pixels):
        padded = padded_size(size, patch)
        raise FormatError(
            f"image of {size} pixels, padded to {padded}, exceeds the limit of {max_pixels} "
            "(max_pixels)"
        )
