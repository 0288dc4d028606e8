"""A file as chunks: everything but the coded factors (FORMAT.md, section 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat

from lrfjax import checks
from lrfjax.codec.file.chunks import Reader, read_chunks, write_chunks
from lrfjax.codec.file.learned_header import (
    LearnedHeader,
    read_learned_header,
    write_learned_header,
)
from lrfjax.codec.file.tiled_headers import (
    BasisHeader,
    DictionaryHeader,
    TiledHeader,
    read_basis_header,
    read_dictionary_header,
    write_basis_header,
    write_tiled,
)
from lrfjax.errors import FormatError, InputTypeError
from lrfjax.image.reading import MAX_PIXELS

DICTIONARY, LEARNED, BASIS = 0, 1, 2
_KINDS = ("dictionary", "learned", "basis")

Header = DictionaryHeader | LearnedHeader | BasisHeader


@dataclass(frozen=True)
class File:
    """The parts of a file.

    Attributes:
        header: header of the factors.
        bodies: coded factors. With a ``BasisHeader`` that of V, then one body per tile; with a
            ``DictionaryHeader`` one per tile; otherwise a single one.
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
            *zip(_tags(file.header), file.bodies, strict=True),
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
    expected = header.num_tiles if isinstance(header, TiledHeader) else 1
    tags = _tags(header)
    bodies: list[bytes] = []
    extras: dict[str, bytes] = {}
    sizes = {"header": len(head)}
    for tag, body in chunks:
        if tag in (b"V", b"F") and tag == next(tags, None):
            bodies.append(body)
        elif tag == b"F" and isinstance(header, BasisHeader) and not bodies:
            raise FormatError("data has factors before a chunk of V")
        elif tag == b"F":
            raise FormatError(f"data has more chunks of factors than the {expected} of its header")
        elif tag in _EXTRAS and _EXTRAS[tag] not in extras and not bodies:
            extras[_EXTRAS[tag]] = body
            sizes[_EXTRAS[tag]] = len(body)
        else:
            raise FormatError(f"the chunk {tag!r} is unknown, repeated or out of place")
    if next(tags, None) is not None:
        count = len(bodies) - isinstance(header, BasisHeader)
        raise FormatError(
            f"data has {max(count, 0)} chunks of factors, its header requires {expected}"
        )
    if "alpha" in extras and not _takes_alpha(header):
        raise FormatError("only RGB images of 8 bits have an alpha channel")
    sizes["factors"] = sum(map(len, bodies))
    sizes["framing"] = len(data) - sum(sizes.values())
    return File(header, tuple(bodies), **extras, sizes=sizes)


def _tags(header: Header) -> Iterator[bytes]:
    """Yield the tags of the bodies."""
    if isinstance(header, BasisHeader):
        yield b"V"
    yield from repeat(b"F", header.num_tiles if isinstance(header, TiledHeader) else 1)


def _write_header(header: Header) -> bytes:
    if isinstance(header, LearnedHeader):
        return bytes([LEARNED]) + write_learned_header(header)
    if isinstance(header, BasisHeader):
        return bytes([BASIS]) + write_basis_header(header)
    return bytes([DICTIONARY]) + write_tiled(header)


def _takes_alpha(header: Header) -> bool:
    if isinstance(header, TiledHeader):
        return len(header.finish.inverse) == 3 and header.finish.depth == 8
    return header.layout.color_space != "gray"


def read_header(reader: Reader, max_pixels: int) -> Header:
    """Return the header that the bytes of a reader hold.

    Raises:
        FormatError: if the bytes are not a header, go on after it, or claim too much.
    """
    kind = _KINDS.index(reader.choice("kind of file", _KINDS))
    read_one = (read_dictionary_header, read_learned_header, read_basis_header)[kind]
    header: Header = read_one(reader, max_pixels)
    reader.end("header chunk")
    return header
