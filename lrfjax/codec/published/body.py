"""The factors of the published codecs, both as they are: deflated, or coded with contexts."""

from __future__ import annotations

import numpy as np

from lrfjax.codec.entropy import deflate
from lrfjax.codec.entropy.ans import SymbolDecoder, SymbolEncoder
from lrfjax.codec.entropy.factor_coder import DecodingSource, EncodingSource, walk
from lrfjax.codec.file.learned_header import MAX_CELLS, LearnedHeader, MatrixHeader
from lrfjax.codec.published.layout import Layout
from lrfjax.codec.quantize import IntegerFactors, Range
from lrfjax.errors import FormatError, InputError


def code(
    factors: list[IntegerFactors], layout: Layout, method: str, entropy: str
) -> tuple[LearnedHeader, bytes]:
    """Return the header and the coded factors of an image."""
    headers = tuple(MatrixHeader(f.u.shape[1], f.range_u, f.range_v, f.scale) for f in factors)
    body = _deflate(factors) if entropy == "deflate" else _code_with_contexts(factors, layout)
    return LearnedHeader(method, entropy, layout, headers), body


def check_coder(entropy: str, layout: Layout) -> None:
    """Raise InputError, before any solve, if the factors are too long for the entropy coder."""
    if entropy == "context" and max(map(max, layout.matrix_shapes)) > MAX_CELLS:
        shapes = layout.matrix_shapes
        raise InputError(f"entropy='context' codes {MAX_CELLS} rows, not {shapes}")


def _deflate(factors: list[IntegerFactors]) -> bytes:
    streams = [
        stream
        for f in factors
        for part, limits in ((f.u, f.range_u), (f.v, f.range_v))
        for stream in deflate.encode_columns(part, limits)
    ]
    return b"".join(streams)


def _code_with_contexts(factors: list[IntegerFactors], layout: Layout) -> bytes:
    out = SymbolEncoder()
    for f, grids in zip(factors, layout.factor_grids, strict=True):
        parts = ((f.u, f.range_u), (f.v, f.range_v))
        for kind, (part, limits) in enumerate(parts):
            source = EncodingSource(part, grids[kind], out, has_signs=limits.lower < 0)
            walk(source, part.shape[1], grids[kind], kind)
    return out.finish()


def read(body: bytes, header: LearnedHeader) -> list[IntegerFactors]:
    """Return the factors of a body: the inverse of ``code``.

    Raises:
        FormatError: if the body does not match the header.
    """
    return (_inflate if header.entropy == "deflate" else _read_contexts)(body, header)


def _inflate(body: bytes, header: LearnedHeader) -> list[IntegerFactors]:
    factors, position = [], 0
    for (rows, columns), m in zip(header.layout.matrix_shapes, header.matrices, strict=True):
        u, ends = deflate.decode_columns(body, position, (rows, m.rank), m.range_u)
        v, ends = deflate.decode_columns(body, ends[-1], (columns, m.rank), m.range_v)
        position = ends[-1]
        factors.append(IntegerFactors(u, v, m.range_u, m.range_v, m.scale))
    deflate.check_end(body, position)
    return factors


def _read_contexts(body: bytes, header: LearnedHeader) -> list[IntegerFactors]:
    decoder = SymbolDecoder(body)
    out = []
    for matrix, grids in zip(header.matrices, header.layout.factor_grids, strict=True):
        parts = []
        for kind, limits in enumerate((matrix.range_u, matrix.range_v)):
            source = DecodingSource(decoder, has_signs=limits.lower < 0)
            part = walk(source, matrix.rank, grids[kind], kind)
            check_range(part, limits)
            parts.append(part)
        out.append(IntegerFactors(parts[0], parts[1], matrix.range_u, matrix.range_v, matrix.scale))
    decoder.finish()
    return out


def check_range(part: np.ndarray, limits: Range) -> None:
    """Raise FormatError if a factor has an entry outside its range."""
    if part.min() < limits.lower or part.max() > limits.upper:
        raise FormatError(f"a factor has an entry outside {limits}")
