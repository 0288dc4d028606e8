r"""The byte format, version 1: a signature, then chunks.

::

    file      = "LRFJ" version:u8 chunk+
    chunk     = tag:u8 length:varint body:length crc:u32le
    tags      = "H" header, first and once; "F" factors, second and once

A varint is LEB128: seven bits a byte, lowest first, the top bit set on all bytes but the last. A
signed varint maps 0, -1, 1, -2, ... to 0, 1, 2, 3, ... The CRC-32 (that of zlib) of a chunk covers
tag, length and body, started from the CRC of all bytes before the chunk; so a chunk cannot be
moved, and a changed version is detected. The header body is::

    method:u8       0 IMF, 1 SVD, 2 NMF
    entropy:u8      0 deflate
    color_space:u8  0 gray, 1 RGB, 2 YCbCr
    flags:u8        bit 0: all factors share one range; bit 1: all scales are 1
    height:varint width:varint
    chroma_height:varint chroma_width:varint     only for YCbCr
    patch_height:varint patch_width:varint       0 0: a plane is its own matrix
    rank:varint                                  for each matrix
    span:varint                                  the same for all factors
    lower:svarint                                once, or for U and V of each matrix in turn
    mantissa:varint shift:u8                     for each matrix, unless flags bit 1

A matrix is X ~ (mantissa / 2^shift) U V^T, with entries of U and V from lower to lower + span. How
the matrices make an image is written in ``lrfjax.codec.layout``. The body of "F" holds, for each
matrix, the columns of U and then those of V, as ``lrfjax.codec.deflate`` writes them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from lrfjax.codec.layout import Layout
from lrfjax.codec.quantize import Range, Scale, product_limit
from lrfjax.errors import FormatError
from lrfjax.image.patches import padded_size
from lrfjax.image.reading import MAX_PIXELS

SIGNATURE = b"LRFJ"
FORMAT_VERSION = 1
METHODS = ("imf", "svd", "nmf")
ENTROPY_CODERS = ("deflate",)
COLOR_SPACES = ("gray", "RGB", "YCbCr")

_SHARED_RANGE, _UNIT_SCALES = 1, 2
_LARGEST_PRODUCT = 2**31 - 1


@dataclass(frozen=True)
class MatrixHeader:
    """What the decoder has to know of one matrix: its rank, the ranges of U and V, its scale."""

    rank: int
    range_u: Range
    range_v: Range
    scale: Scale


@dataclass(frozen=True)
class Header:
    """Everything in a file but the factors."""

    method: str
    entropy: str
    layout: Layout
    matrices: tuple[MatrixHeader, ...]


def write(header: Header, factors: bytes) -> bytes:
    """Return the file of a header and the coded factors."""
    data = SIGNATURE + bytes([FORMAT_VERSION])
    for tag, body in ((b"H", _write_header(header)), (b"F", factors)):
        chunk = tag + _varint(len(body)) + body
        data += chunk + zlib.crc32(chunk, zlib.crc32(data)).to_bytes(4, "little")
    return data


def read(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[Header, bytes]:
    """Return the header and the coded factors of a file: the inverse of ``write``.

    Args:
        data: the file.
        max_pixels: a header that claims more is refused.

    Raises:
        FormatError: if it is no such file, is of another version, damaged, cut off, or too large.
    """
    if data[:4] != SIGNATURE:
        raise FormatError(f"data is not an lrfjax file: it starts with {data[:4]!r}")
    reader = _Reader(data, 4)
    if (version := reader.byte("version")) != FORMAT_VERSION:
        raise FormatError(f"data has format version {version}, this decoder reads {FORMAT_VERSION}")
    header = _read_header(reader.chunk(b"H"), max_pixels)
    body = reader.chunk(b"F")
    if reader.position != len(data):
        raise FormatError(f"data goes on for {len(data) - reader.position} bytes after its end")
    return header, body


def _write_header(header: Header) -> bytes:
    layout, matrices = header.layout, header.matrices
    ranges = [limits for m in matrices for limits in (m.range_u, m.range_v)]
    is_shared = len(set(ranges)) == 1
    is_unit = all(m.scale == Scale() for m in matrices)
    out = bytes(
        [
            METHODS.index(header.method),
            ENTROPY_CODERS.index(header.entropy),
            COLOR_SPACES.index(layout.color_space),
            _SHARED_RANGE * is_shared + _UNIT_SCALES * is_unit,
        ]
    )
    numbers = [*layout.size]
    if layout.color_space == "YCbCr":
        numbers += layout.chroma_size
    numbers += layout.patch_size or (0, 0)
    numbers += [m.rank for m in matrices]
    assert len({limits.span for limits in ranges}) == 1, "the format has one span for all factors"
    numbers.append(ranges[0].span)
    numbers += [_zigzag(limits.lower) for limits in (ranges[:1] if is_shared else ranges)]
    out += b"".join(map(_varint, numbers))
    if not is_unit:
        out += b"".join(_varint(m.scale.mantissa) + bytes([m.scale.shift]) for m in matrices)
    return out


def _read_header(body: bytes, max_pixels: int) -> Header:
    reader = _Reader(body, 0)
    method = reader.choice("method", METHODS)
    entropy = reader.choice("entropy coder", ENTROPY_CODERS)
    color_space = reader.choice("color space", COLOR_SPACES)
    flags = reader.byte("flags")
    if flags & ~(_SHARED_RANGE | _UNIT_SCALES):
        raise FormatError(f"flags {flags:#x} are unknown")
    size = reader.varint("height", 1), reader.varint("width", 1)
    chroma = size
    if color_space == "YCbCr":
        chroma = (
            reader.varint("chroma height", 1, size[0]),
            reader.varint("chroma width", 1, size[1]),
        )
    patch = reader.varint("patch height", 0, 1024), reader.varint("patch width", 0, 1024)
    if (patch[0] == 0) != (patch[1] == 0):
        raise FormatError(f"patch size {patch} has one side of zero")
    height, width = padded_size(size, patch) if patch[0] else size
    if height * width > max_pixels:
        raise FormatError(f"image of {size} pixels exceeds the limit of {max_pixels}")
    layout = Layout(size, color_space, chroma, patch if patch[0] else None)

    shapes = layout.matrix_shapes
    ranks = [reader.varint("rank", 1, min(shape)) for shape in shapes]
    span = reader.varint("span", 0, 0xFFFF)
    lowers = [_unzigzag(reader.varint("lower bound", 0, 1 << 26))]
    if flags & _SHARED_RANGE:
        lowers *= 2 * len(shapes)
    else:
        rest = range(2 * len(shapes) - 1)
        lowers += [_unzigzag(reader.varint("lower bound", 0, 1 << 26)) for _ in rest]
    matrices = []
    for i, rank in enumerate(ranks):
        range_u, range_v = Range(lowers[2 * i], span), Range(lowers[2 * i + 1], span)
        scale = Scale()
        if not flags & _UNIT_SCALES:
            scale = Scale(reader.varint("mantissa", 1), reader.byte("shift"))
        largest = product_limit(rank, range_u, range_v) * scale.mantissa
        if largest + (1 << max(scale.shift - 1, 0)) > _LARGEST_PRODUCT:
            raise FormatError(f"products up to {largest} exceed 32 bits")
        matrices.append(MatrixHeader(rank, range_u, range_v, scale))
    if reader.position != len(body):
        raise FormatError("header chunk is longer than its contents")
    return Header(method, entropy, layout, tuple(matrices))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _unzigzag(value: int) -> int:
    return value // 2 if value % 2 == 0 else -(value + 1) // 2


class _Reader:
    """Reads numbers and chunks from bytes, and never past their end."""

    def __init__(self, data: bytes, position: int) -> None:
        self.data = data
        self.position = position

    def byte(self, name: str) -> int:
        if self.position >= len(self.data):
            raise FormatError(f"data ends before the {name}")
        self.position += 1
        return self.data[self.position - 1]

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        index = self.byte(name)
        if index >= len(choices):
            raise FormatError(f"{name} {index} is unknown")
        return choices[index]

    def varint(self, name: str, low: int = 0, high: int = 2**31 - 1) -> int:
        value = shift = 0
        while True:
            byte = self.byte(name)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 28:
                raise FormatError(f"{name} is longer than five bytes")
        if not low <= value <= high:
            raise FormatError(f"{name} must be between {low} and {high}, got {value}")
        return value

    def chunk(self, tag: bytes) -> bytes:
        start = self.position
        if bytes([self.byte("chunk tag")]) != tag:
            raise FormatError(f"data has no {tag.decode()} chunk at byte {start}")
        length = self.varint("chunk length")
        end = self.position + length
        if end + 4 > len(self.data):
            raise FormatError(f"data ends inside the {tag.decode()} chunk")
        crc = zlib.crc32(self.data[start:end], zlib.crc32(self.data[:start]))
        if crc != int.from_bytes(self.data[end : end + 4], "little"):
            raise FormatError(f"the {tag.decode()} chunk is damaged: its CRC does not match")
        body = self.data[self.position : end]
        self.position = end + 4
        return body
