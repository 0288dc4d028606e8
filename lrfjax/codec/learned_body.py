"""The coded factors of a file whose factors are both stored: deflated, or coded with contexts."""

from __future__ import annotations

from lrfjax.codec import container
from lrfjax.codec.entropy import deflate
from lrfjax.codec.entropy.ans import SymbolEncoder
from lrfjax.codec.entropy.factor_coder import EncodingSource, walk
from lrfjax.codec.layout import Layout
from lrfjax.codec.quantize import IntegerFactors
from lrfjax.errors import InputError


def code(
    factors: list[IntegerFactors], layout: Layout, method: str, entropy: str
) -> tuple[container.LearnedHeader, bytes]:
    """Return the header and the coded factors of an image."""
    headers = tuple(
        container.MatrixHeader(f.u.shape[1], f.range_u, f.range_v, f.scale) for f in factors
    )
    body = _deflate(factors) if entropy == "deflate" else _code_with_contexts(factors, layout)
    return container.LearnedHeader(method, entropy, layout, headers), body


def check_coder(entropy: str, layout: Layout) -> None:
    """Raise InputError, before any solve, if the factors are too long for the entropy coder."""
    if entropy == "context" and max(map(max, layout.matrix_shapes)) > container.MAX_CELLS:
        shapes = layout.matrix_shapes
        raise InputError(f"entropy='context' codes {container.MAX_CELLS} rows, not {shapes}")


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
