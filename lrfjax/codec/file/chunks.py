"""Numbers and chunks as bytes: the lowest layer of the byte format (FORMAT.md, section 1)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

from lrfjax.errors import FormatError

SIGNATURE = b"LRFJ"
FORMAT_VERSION = 3


def write_chunks(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the file that holds the chunks, each a (tag, body) with a tag of one byte."""
    parts = [SIGNATURE, bytes([FORMAT_VERSION])]
    crc = zlib.crc32(b"".join(parts))
    for tag, body in chunks:
        chunk = tag + varint(len(body)) + body
        # Every CRC covers all earlier bytes, so it detects a chunk that was moved or left out.
        crc = zlib.crc32(chunk, crc)
        end = crc.to_bytes(4, "little")
        crc = zlib.crc32(end, crc)
        parts += [chunk, end]
    return b"".join(parts)


def read_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a file one by one: the inverse of ``write_chunks``.

    A caller that refuses a chunk reads no more of them.

    Raises:
        FormatError: if the data is not an lrfjax file, has another version, is damaged or cut off.
    """
    if data[:4] != SIGNATURE:
        raise FormatError(f"data is not an lrfjax file: it starts with {data[:4]!r}")
    reader = Reader(data, 4)
    if (version := reader.byte("version")) != FORMAT_VERSION:
        raise FormatError(f"data has format version {version}, this decoder reads {FORMAT_VERSION}")
    crc = zlib.crc32(data[:5])
    while reader.position < len(data):
        start = reader.position
        tag = bytes([reader.byte("chunk tag")])
        length = reader.varint("chunk length")
        end = reader.position + length
        if end + 4 > len(data):
            raise FormatError(f"data ends inside the chunk {tag!r} at byte {start}")
        crc = zlib.crc32(data[start:end], crc)
        if crc != int.from_bytes(data[end : end + 4], "little"):
            raise FormatError(f"the chunk {tag!r} at byte {start} is damaged: its CRC is wrong")
        crc = zlib.crc32(data[end : end + 4], crc)
        yield tag, data[reader.position : end]
        reader.position = end + 4


def varint(value: int) -> bytes:
    """Return a non-negative number as LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed_varint(value: int) -> bytes:
    """Return an integer as a varint: 0, -1, 1, -2, ... map to 0, 1, 2, 3, ..."""
    return varint(2 * value if value >= 0 else -2 * value - 1)


class Reader:
    """Reads numbers from bytes; raises FormatError past the end and for numbers out of range."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def byte(self, name: str, high: int = 255) -> int:
        """Return the next byte."""
        if self.position >= len(self.data):
            raise FormatError(f"data ends before the {name}")
        self.position += 1
        value = self.data[self.position - 1]
        if value > high:
            raise FormatError(f"{name} must be at most {high}, got {value}")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Return the element of ``choices`` that the next byte selects."""
        index = self.byte(name)
        if index >= len(choices):
            raise FormatError(f"{name} {index} is unknown")
        return choices[index]

    def varint(self, name: str, low: int = 0, high: int = 2**31 - 1) -> int:
        """Return the next varint."""
        value = shift = 0
        while True:
            byte = self.byte(name)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 28:
                raise FormatError(f"{name} is longer than five bytes")
        if byte == 0 and shift > 7:
            raise FormatError(f"{name} {value} is longer than it needs to be")
        if not low <= value <= high:
            raise FormatError(f"{name} must be between {low} and {high}, got {value}")
        return value

    def signed_varint(self, name: str, limit: int) -> int:
        """Return the next signed varint, at most ``limit`` in magnitude."""
        value = self.varint(name, 0, 2 * limit + 1)
        value = value // 2 if value % 2 == 0 else -(value + 1) // 2
        if abs(value) > limit:
            raise FormatError(f"{name} must be at most {limit} in magnitude, got {value}")
        return value

    def rest(self) -> bytes:
        """Return the remaining bytes."""
        position, self.position = self.position, len(self.data)
        return self.data[position:]

    def end(self, name: str) -> None:
        """Raise FormatError if bytes remain."""
        if self.position != len(self.data):
            left = len(self.data) - self.position
            raise FormatError(f"the {name} goes on for {left} bytes after its end")
