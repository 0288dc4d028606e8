"""The entropy coder of the paper: each factor column is a deflate stream (RFC 1951).

An entry is stored as its offset from the lower bound, in one byte, or in two (little-endian) if the
range needs them. Deflate streams mark their own ends, so the file stores no lengths.
"""

from __future__ import annotations

import zlib

import numpy as np

from lrfjax.codec.quantize import Range
from lrfjax.errors import FormatError

MAX_SPAN = 0xFFFF
"""The largest span of entries that fits into two bytes."""

MAX_EXPANSION = 1032
"""The most bytes that one byte of a deflate stream can give: 258 bytes for every two bits."""


def _dtype(limits: Range) -> np.dtype:
    return np.dtype("u1") if limits.span <= 0xFF else np.dtype("<u2")


def encode_columns(matrix: np.ndarray, limits: Range) -> list[bytes]:
    """Return one raw deflate stream for each column.

    Args:
        matrix: shape (L, R), integers in ``limits``.
        limits: range of the entries, with a span of at most ``MAX_SPAN``.
    """
    columns = np.ascontiguousarray((matrix - limits.lower).T.astype(_dtype(limits)))
    streams = []
    for column in columns:
        coder = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        streams.append(coder.compress(column.tobytes()) + coder.flush())
    return streams


def decode_columns(
    data: bytes, start: int, shape: tuple[int, int], limits: Range
) -> tuple[np.ndarray, list[int]]:
    """Return the matrix of deflate streams: the inverse of ``encode_columns``.

    Args:
        data: concatenated deflate streams.
        start: position of the first stream.
        shape: (L, R) of the matrix.
        limits: range of the entries.

    Returns:
        The matrix, int32, and the position after each stream.

    Raises:
        FormatError: if a stream is broken, has the wrong length or an entry outside the range.
    """
    length, rank = shape
    dtype = _dtype(limits)
    num_bytes = length * dtype.itemsize
    left = len(data) - start
    if rank * num_bytes > MAX_EXPANSION * left:
        raise FormatError(f"{left} bytes cannot hold {rank} columns of {length} entries")
    # No stream is longer. The bound keeps zlib from copying the rest of the data.
    window = num_bytes + num_bytes // 8 + 64
    matrix = np.empty((rank, length), np.int32)
    ends = []
    position = start
    for r in range(rank):
        decoder = zlib.decompressobj(-zlib.MAX_WBITS)
        part = data[position : position + window]
        try:
            column = decoder.decompress(part, num_bytes + 1)
        except zlib.error as error:
            raise FormatError(f"column {r} is not a deflate stream: {error}") from error
        if len(column) != num_bytes or not decoder.eof:
            raise FormatError(f"column {r} does not hold {length} entries")
        values = np.frombuffer(column, dtype)
        if values.max(initial=0) > limits.span:
            raise FormatError(f"column {r} has an entry outside its range")
        matrix[r] = values
        position += len(part) - len(decoder.unused_data)
        ends.append(position)
    return matrix.T + limits.lower, ends


def check_end(data: bytes, position: int) -> None:
    """Raise FormatError if bytes follow the last stream, which ends at ``position``."""
    if position != len(data):
        raise FormatError(f"the F chunk goes on for {len(data) - position} bytes after the factors")
