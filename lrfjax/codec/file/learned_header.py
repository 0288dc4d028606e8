"""The header of files of the published codecs, which hold both factors as they are."""

from __future__ import annotations

from dataclasses import dataclass

from lrfjax.codec.file.chunks import Reader, signed_varint, varint
from lrfjax.codec.file.header_parts import METHODS, check_padding_fits, read_size
from lrfjax.codec.published.layout import Layout
from lrfjax.codec.quantize import Range, Scale, product_limit
from lrfjax.errors import FormatError

ENTROPY_CODERS = ("deflate", "context")
COLOR_SPACES = ("gray", "RGB", "YCbCr")
UPSAMPLINGS = ("nearest", "linear")
MAX_RANK = 1 << 12
MAX_CELLS = 1 << 21
"""The most rows of a factor coded with contexts, which take more memory than its pixels."""
MAX_PATCH_SIDE = 1 << 10

_SHARED_RANGE, _UNIT_SCALES = 1, 2
_LARGEST_PRODUCT = 2**31 - 1


@dataclass(frozen=True)
class MatrixHeader:
    """The header of one matrix and its factors.

    Attributes:
        rank: number of columns of each factor.
        range_u: range of the entries of U.
        range_v: range of the entries of V.
        scale: scale of the product U V^T.
    """

    rank: int
    range_u: Range
    range_v: Range
    scale: Scale


@dataclass(frozen=True)
class LearnedHeader:
    """The header of a file of the published codecs, which holds both factors.

    Attributes:
        method: one of ``METHODS``.
        entropy: one of ``ENTROPY_CODERS``.
        layout: geometry of the image.
        matrices: header of each matrix.
    """

    method: str
    entropy: str
    layout: Layout
    matrices: tuple[MatrixHeader, ...]


def write_learned_header(header: LearnedHeader) -> bytes:
    """Return the bytes of a header after its kind."""
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
        numbers += [*layout.chroma_size, UPSAMPLINGS.index(layout.upsampling)]
    numbers += layout.patch_size or (0, 0)
    out += b"".join(map(varint, numbers))
    out += b"".join(varint(m.rank) for m in matrices)
    for limits in ranges[:1] if is_shared else ranges:
        out += varint(limits.span) + signed_varint(limits.lower)
    if not is_unit:
        out += b"".join(varint(m.scale.mantissa) + bytes([m.scale.shift]) for m in matrices)
    return out


def read_learned_header(reader: Reader, max_pixels: int) -> LearnedHeader:
    """Return a header from what follows its kind; raise FormatError if it is none."""
    method = reader.choice("method", METHODS)
    entropy = reader.choice("entropy coder", ENTROPY_CODERS)
    color_space = reader.choice("color space", COLOR_SPACES)
    flags = reader.byte("flags")
    if flags & ~(_SHARED_RANGE | _UNIT_SCALES):
        raise FormatError(f"flags {flags:#x} are unknown")
    size = read_size(reader, max_pixels)
    chroma, upsampling = size, "nearest"
    if color_space == "YCbCr":
        chroma = (
            reader.varint("chroma height", 1, size[0]),
            reader.varint("chroma width", 1, size[1]),
        )
        upsampling = reader.choice("upsampling", UPSAMPLINGS)
    patch = (
        reader.varint("patch height", 0, MAX_PATCH_SIDE),
        reader.varint("patch width", 0, MAX_PATCH_SIDE),
    )
    if (patch[0] == 0) != (patch[1] == 0):
        raise FormatError(f"patch size {patch} has one side of zero")
    if patch[0]:
        check_padding_fits(size, patch, max_pixels)
    layout = Layout(size, color_space, chroma, patch if patch[0] else None, upsampling)

    shapes = layout.matrix_shapes
    if entropy == "context" and max(map(max, shapes)) > MAX_CELLS:
        raise FormatError(f"factors of {shapes} rows are beyond {MAX_CELLS}")
    ranks = [reader.varint("rank", 1, min(MAX_RANK, *shape)) for shape in shapes]
    count = 1 if flags & _SHARED_RANGE else 2 * len(shapes)
    ranges = [
        Range(span=reader.varint("span", 0, 0xFFFF), lower=reader.signed_varint("bound", 1 << 25))
        for _ in range(count)
    ] * (2 * len(shapes) // count)
    scales = [Scale()] * len(shapes)
    if not flags & _UNIT_SCALES:
        scales = [Scale(reader.varint("mantissa", 1), reader.byte("shift")) for _ in shapes]
    matrices = []
    for i, rank in enumerate(ranks):
        range_u, range_v, scale = ranges[2 * i], ranges[2 * i + 1], scales[i]
        largest = product_limit(rank, range_u, range_v) * scale.mantissa
        if largest + (1 << max(scale.shift - 1, 0)) > _LARGEST_PRODUCT:
            raise FormatError(f"products up to {largest} exceed 32 bits")
        matrices.append(MatrixHeader(rank, range_u, range_v, scale))
    return LearnedHeader(method, entropy, layout, tuple(matrices))
