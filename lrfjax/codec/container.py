"""Headers, and files as chunks: everything but the coded factors (FORMAT.md, sections 1 to 3)."""

from __future__ import annotations

from dataclasses import dataclass, field

from lrfjax import checks
from lrfjax.codec.atoms import PATCH_SIZE
from lrfjax.codec.chunks import Reader, read_chunks, signed_varint, varint, write_chunks
from lrfjax.codec.layout import Layout, padding_fits
from lrfjax.codec.planes import COLOR_BITS
from lrfjax.codec.quantize import Range, Scale, product_limit
from lrfjax.errors import FormatError, InputTypeError
from lrfjax.image.patches import padded_size, patch_grid
from lrfjax.image.reading import MAX_PIXELS

METHODS = ("imf", "svd", "nmf")
ENTROPY_CODERS = ("deflate", "context")
COLOR_SPACES = ("gray", "RGB", "YCbCr", "rotated")
UPSAMPLINGS = ("nearest", "linear")
DICTIONARY, LEARNED = 0, 1
MAX_STEP = 1 << 14
MAX_RANK = 1 << 12
MAX_CELLS = 1 << 21
"""The most rows of a factor coded with contexts, which take more memory than its pixels."""
MAX_TILE_PATCHES = 1 << 14
"""The format's limit on the patches of a tile. Decoding one takes some kilobytes a patch."""
MAX_PATCH_SIDE = 1 << 10

_SHARED_RANGE, _UNIT_SCALES = 1, 2
_LARGEST_PRODUCT = 2**31 - 1
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
    """

    depth: int
    inverse: IntMatrix
    steps: tuple[int, ...]
    deblocking: int


@dataclass(frozen=True)
class DictionaryHeader:
    """The header of a file whose V is a dictionary.

    Attributes:
        size: (H, W) in pixels.
        tile_rows: rows of patches per tile; the last tile may have fewer.
        finish: parameters of the conversion to pixels; its steps are the steps of U.
        method: always ``"dct"``.
    """

    size: tuple[int, int]
    tile_rows: int
    finish: Finish
    method: str = "dct"

    @property
    def patch_grid(self) -> tuple[int, int]:
        """The (rows, columns) of patches over the image."""
        return patch_grid(self.size, PATCH_SIZE)

    @property
    def num_tiles(self) -> int:
        """The number of tiles."""
        return -(-self.patch_grid[0] // self.tile_rows)

    @property
    def grids(self) -> list[tuple[int, int]]:
        """The (rows, columns) of patches of each tile."""
        rows, columns = self.patch_grid
        return [
            (min(self.tile_rows, rows - first), columns) for first in range(0, rows, self.tile_rows)
        ]


@dataclass(frozen=True)
class MatrixHeader:
    """The header of one matrix with a learned V.

    Attributes:
        rank: number of columns of each factor.
        range_u: range of the entries of U.
        range_v: range of the entries of V.
        scale: scale of the product U V^T.
        offset: gray levels that are subtracted from the scaled product; only for rotated planes.
    """

    rank: int
    range_u: Range
    range_v: Range
    scale: Scale
    offset: int = 0


@dataclass(frozen=True)
class LearnedHeader:
    """The header of a file that holds V as well.

    Attributes:
        method: one of ``METHODS``.
        entropy: one of ``ENTROPY_CODERS``.
        layout: geometry of the image.
        matrices: header of each matrix.
        finish: parameters of the conversion to pixels for rotated planes, otherwise None.
    """

    method: str
    entropy: str
    layout: Layout
    matrices: tuple[MatrixHeader, ...]
    finish: Finish | None = None


Header = DictionaryHeader | LearnedHeader


@dataclass(frozen=True)
class File:
    """The parts of a file.

    Attributes:
        header: header of the factors.
        bodies: coded factors, one body per tile, or a single one for a learned V.
        alpha: coded alpha channel, or None.
        icc_profile: ICC profile as given to the encoder, or None.
        exif: EXIF block as given to the encoder, or None.
        sizes: number of bytes of each part, filled in by ``read``.
    """

    header: Header
    bodies: tuple[bytes, ...]
    alpha: bytes | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    sizes: dict[str, int] = field(default_factory=dict, compare=False)


_EXTRAS = {b"A": "alpha", b"I": "icc_profile", b"E": "exif"}


def write(file: File) -> bytes:
    """Return the bytes of a file."""
    extras = [(tag, getattr(file, name)) for tag, name in _EXTRAS.items()]
    return write_chunks(
        [
            (b"H", _write_header(file.header)),
            *((tag, body) for tag, body in extras if body is not None),
            *((b"F", body) for body in file.bodies),
        ]
    )


def read(data: bytes, max_pixels: int = MAX_PIXELS) -> File:
    """Return the parts of a file: the inverse of ``write``.

    Args:
        data: the file.
        max_pixels: largest number of pixels that a header may claim.

    Raises:
        FormatError: if the data is not an lrfjax file, has another version, is damaged, cut off or
            too large.
        InputTypeError: if the data is not bytes.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InputTypeError(f"data must be bytes, got {type(data).__name__}")
    data = bytes(data)
    checks.integer("max_pixels", max_pixels, 1)
    chunks = read_chunks(data)
    first, head = next(chunks, (b"", b""))
    if first != b"H":
        raise FormatError("data does not begin with a header chunk")
    header = read_header(Reader(head), max_pixels)
    expected = header.num_tiles if isinstance(header, DictionaryHeader) else 1
    bodies: list[bytes] = []
    extras: dict[str, bytes] = {}
    sizes = {"header": len(head)}
    for tag, body in chunks:
        if tag == b"F" and len(bodies) < expected:
            bodies.append(body)
        elif tag == b"F":
            raise FormatError(f"data has more chunks of factors than the {expected} of its header")
        elif tag in _EXTRAS and _EXTRAS[tag] not in extras and not bodies:
            extras[_EXTRAS[tag]] = body
            sizes[_EXTRAS[tag]] = len(body)
        else:
            raise FormatError(f"the chunk {tag!r} is unknown, repeated or out of place")
    if len(bodies) != expected:
        raise FormatError(
            f"data has {len(bodies)} chunks of factors, its header requires {expected}"
        )
    if "alpha" in extras and not _takes_alpha(header):
        raise FormatError("only RGB images of 8 bits have an alpha channel")
    sizes["factors"] = sum(map(len, bodies))
    sizes["framing"] = len(data) - sum(sizes.values())
    return File(header, tuple(bodies), **extras, sizes=sizes)


def _write_header(header: Header) -> bytes:
    if isinstance(header, DictionaryHeader):
        return bytes([DICTIONARY]) + _write_dictionary_header(header)
    return bytes([LEARNED]) + _write_learned_header(header)


def _takes_alpha(header: Header) -> bool:
    if header.finish is not None:
        return len(header.finish.inverse) == 3 and header.finish.depth == 8
    return isinstance(header, LearnedHeader) and header.layout.color_space != "gray"


def read_header(reader: Reader, max_pixels: int) -> Header:
    """Return the header that the bytes of a reader hold.

    Raises:
        FormatError: if the bytes are not a header, go on after it, or claim too much.
    """
    kind = reader.choice("kind of file", ("dictionary", "learned"))
    read_one = _read_dictionary_header if kind == "dictionary" else _read_learned_header
    header = read_one(reader, max_pixels)
    reader.end("header chunk")
    return header


def _write_dictionary_header(header: DictionaryHeader) -> bytes:
    numbers = [*header.size, header.tile_rows]
    return b"".join(map(varint, numbers)) + _write_finish(header.finish)


def _read_dictionary_header(reader: Reader, max_pixels: int) -> DictionaryHeader:
    size = _read_size(reader, max_pixels)
    _check_padding(size, PATCH_SIZE, max_pixels)
    rows, columns = patch_grid(size, PATCH_SIZE)
    tile_rows = reader.varint("rows of a tile", 1, rows)
    if tile_rows * columns > MAX_TILE_PATCHES:
        raise FormatError(
            f"a tile of {tile_rows} rows of patches is larger than {MAX_TILE_PATCHES}"
        )
    return DictionaryHeader(size, tile_rows, _read_finish(reader))


def _write_finish(finish: Finish) -> bytes:
    out = bytes([len(finish.steps), finish.depth, finish.deblocking])
    out += b"".join(map(varint, finish.steps))
    if len(finish.steps) == 3:
        out += b"".join(signed_varint(x) for row in finish.inverse for x in row)
    return out


def _read_finish(reader: Reader) -> Finish:
    planes = reader.byte("number of planes")
    if planes not in (1, 3):
        raise FormatError(f"number of planes must be 1 or 3, got {planes}")
    depth = reader.byte("depth")
    if depth not in (8, 16):
        raise FormatError(f"depth must be 8 or 16, got {depth}")
    deblocking = reader.byte("strength of deblocking")
    steps = tuple(reader.varint("step", 1, MAX_STEP) for _ in range(planes))
    inverse = _read_rotation(reader) if planes == 3 else ((1 << COLOR_BITS,),)
    return Finish(depth, inverse, steps, deblocking)


def _read_rotation(reader: Reader) -> IntMatrix:
    rows = tuple(
        tuple(reader.signed_varint("colour", _LARGEST_ROW) for _ in range(3)) for _ in range(3)
    )
    if any(sum(map(abs, row)) > _LARGEST_ROW for row in rows):
        raise FormatError(f"the colours {rows} are beyond {_LARGEST_ROW}")
    return rows


def _read_size(reader: Reader, max_pixels: int) -> tuple[int, int]:
    size = reader.varint("height", 1), reader.varint("width", 1)
    if size[0] * size[1] > max_pixels:
        raise FormatError(f"image of {size} pixels exceeds the limit of {max_pixels} (max_pixels)")
    return size


def _check_padding(size: tuple[int, int], patch: tuple[int, int], max_pixels: int) -> None:
    if not padding_fits(size, patch, max_pixels):
        padded = padded_size(size, patch)
        raise FormatError(
            f"image of {size} pixels, padded to {padded}, exceeds the limit of {max_pixels} "
            "(max_pixels)"
        )


def _write_learned_header(header: LearnedHeader) -> bytes:
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
    if header.finish is not None:
        out += _write_finish(header.finish)
    out += b"".join(varint(m.rank) for m in matrices)
    for limits in ranges[:1] if is_shared else ranges:
        out += varint(limits.span) + signed_varint(limits.lower)
    if not is_unit:
        out += b"".join(varint(m.scale.mantissa) + bytes([m.scale.shift]) for m in matrices)
    if header.finish is not None:
        out += b"".join(signed_varint(m.offset) for m in matrices)
    return out


def _read_learned_header(reader: Reader, max_pixels: int) -> LearnedHeader:
    method = reader.choice("method", METHODS)
    entropy = reader.choice("entropy coder", ENTROPY_CODERS)
    color_space = reader.choice("color space", COLOR_SPACES)
    flags = reader.byte("flags")
    if flags & ~(_SHARED_RANGE | _UNIT_SCALES):
        raise FormatError(f"flags {flags:#x} are unknown")
    size = _read_size(reader, max_pixels)
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
        _check_padding(size, patch, max_pixels)
    finish = None
    if color_space == "rotated":
        finish = _read_finish(reader)
        if min(patch) < 8:
            raise FormatError(f"patches of rotated planes must be at least 8 x 8, got {patch}")
    planes = len(finish.steps) if finish else None
    layout = Layout(size, color_space, chroma, patch if patch[0] else None, upsampling, planes)

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
    offsets = [0] * len(shapes)
    if finish is not None:
        offsets = [reader.signed_varint("offset", 512) for _ in shapes]
    matrices = []
    for i, rank in enumerate(ranks):
        range_u, range_v, scale = ranges[2 * i], ranges[2 * i + 1], scales[i]
        largest = product_limit(rank, range_u, range_v) * scale.mantissa
        if largest + (1 << max(scale.shift - 1, 0)) > _LARGEST_PRODUCT:
            raise FormatError(f"products up to {largest} exceed 32 bits")
        matrices.append(MatrixHeader(rank, range_u, range_v, scale, offsets[i]))
    return LearnedHeader(method, entropy, layout, tuple(matrices), finish)
