"""Files taken apart: into chunks, and each chunk into parts, as the decoder would.

A part is a number of the header, a word of symbols, or a deflate stream.
"""

import zlib
from dataclasses import dataclass

from lrfjax.codec.entropy import deflate
from lrfjax.codec.file import container
from lrfjax.codec.file.chunks import Reader, read_chunks, varint
from lrfjax.codec.file.learned_header import LearnedHeader
from lrfjax.codec.file.tiled_headers import TiledHeader
from lrfjax.errors import FormatError


@dataclass(frozen=True)
class Chunk:
    """A chunk in parts.

    Attributes:
        tag: one byte.
        parts: the parts of the body, in order.
        length: the length that the chunk states, as bytes; None for that of its body.
    """

    tag: bytes
    parts: tuple[bytes, ...]
    length: bytes | None = None

    @property
    def body(self) -> bytes:
        """All parts as one."""
        return b"".join(self.parts)

    def joined(self) -> bytes:
        """Return the bytes of the chunk, with a CRC of 0."""
        length = varint(len(self.body)) if self.length is None else self.length
        return self.tag + length + self.body + bytes(4)


Chunks = list[Chunk]


class _Recorder(Reader):
    """A reader that notes where each number ends."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.ends: list[int] = []

    def byte(self, name: str, high: int = 255) -> int:
        value = super().byte(name, high)
        self.ends.append(self.position)
        return value

    def varint(self, name: str, low: int = 0, high: int = 2**31 - 1) -> int:
        before = len(self.ends)
        value = super().varint(name, low, high)
        self.ends[before:] = [self.position]
        return value


def parse(data: bytes) -> Chunks:
    """Return the chunks of a file in parts."""
    (_, head), *rest = read_chunks(data)
    recorder = _Recorder(head)
    header = container.read_header(recorder, len(data) << 16)
    chunks = [Chunk(b"H", _cut(head, recorder.ends))]
    for tag, body in rest:
        if tag == b"V":
            ends = [1, *range(2, len(body), 4), len(body)]
        elif tag != b"F":
            ends = [len(body)]
        elif isinstance(header, LearnedHeader) and header.entropy == "deflate":
            ends = _streams(body, header)
        else:
            # Words of symbols end the body; before them come the numbers of a tile.
            start = len(body) % 4
            if isinstance(header, TiledHeader):
                start = len(header.finish.steps) + 5
            ends = [*range(1, start), *range(start, len(body), 4), len(body)]
        chunks.append(Chunk(tag, _cut(body, ends)))
    return chunks


def _cut(body: bytes, ends: list[int]) -> tuple[bytes, ...]:
    return tuple(body[a:b] for a, b in zip([0, *ends], ends, strict=False))


def _streams(body: bytes, header: LearnedHeader) -> list[int]:
    ends = [0]
    for shape, m in zip(header.layout.matrix_shapes, header.matrices, strict=True):
        for length, limits in zip(shape, (m.range_u, m.range_v), strict=True):
            ends += deflate.decode_columns(body, ends[-1], (length, m.rank), limits)[1]
    return ends[1:]


def repaired(data: bytes) -> bytes:
    """Return a file with right CRCs, at the places that its lengths give."""
    out, crc, position = bytearray(data), zlib.crc32(data[:5]), 5
    while position < len(out):
        reader = Reader(bytes(out), position)
        try:
            reader.byte("tag")
            end = reader.varint("length") + reader.position
        except FormatError:
            break
        if end + 4 > len(out):
            break
        crc = zlib.crc32(out[position:end], crc)
        out[end : end + 4] = crc.to_bytes(4, "little")
        crc = zlib.crc32(out[end : end + 4], crc)
        position = end + 4
    return bytes(out)
