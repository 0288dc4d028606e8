"""The entropy coder of the paper: each factor column deflated on its own (RFC 1951).

Entries are stored as offsets from the lower bound, one byte each, or two (little-endian) where the
range needs it. Deflate streams end themselves, so they follow each other without lengths.
"""

from __future__ import annotations

import zlib

import numpy as np

from lrfjax.codec.quantize import Range
from lrfjax.errors import FormatError

MAX_SPAN = 0xFFFF
"""The widest range of entries that two bytes hold."""


def _dtype(limits: Range) -> np.dtype:
    return np.dtype("u1") if limits.span <= 0xFF else np.dtype("<u2")


def encode_columns(matrix: np.ndarray, limits: Range) -> list[bytes]:
    """Return one raw deflate stream for each column.

    Args:
        matrix: shape (L, R), integers in ``limits``, whose span is at most ``MAX_SPAN``.
        limits: the range of the entries.
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
    """Read the columns of a matrix: the inverse of ``encode_columns``.

    Args:
        data: deflate streams, one after the other.
        start: where the first begins.
        shape: (L, R) of the matrix.
        limits: the range of the entries.

    Returns:
        The matrix, int32, and the position after each column.

    Raises:
        FormatError: if a stream is broken, has the wrong length or an entry outside the range.
    """
    length, rank = shape
    dtype = _dtype(limits)
    num_bytes = length * dtype.itemsize
    # No deflate coder needs more; bounding the input keeps zlib from copying all that follows.
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
