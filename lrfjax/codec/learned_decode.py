"""Decoding of learned factors, and of rotated planes from them, in integer arithmetic."""

from __future__ import annotations

import numpy as np

from lrfjax.codec import container
from lrfjax.codec.entropy.ans import SymbolDecoder
from lrfjax.codec.entropy.factor_coder import DecodingSource, walk
from lrfjax.codec.planes import FRACTION_BITS, LARGEST_LEVEL, to_pixels
from lrfjax.codec.products import scaled_product
from lrfjax.codec.quantize import IntegerFactors, Range
from lrfjax.errors import FormatError


def read_factors(body: bytes, header: container.LearnedHeader) -> list[IntegerFactors]:
    """Return the factors of a body coded with contexts.

    Raises:
        FormatError: if the body does not match the header.
    """
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


def render(header: container.LearnedHeader, factors: list[IntegerFactors]) -> np.ndarray:
    """Return the image of rotated planes, shape (H, W, channels), uint8 or uint16."""
    finish, layout = header.finish, header.layout
    assert finish is not None
    assert layout.patch_size is not None
    bits = FRACTION_BITS[finish.depth]
    limit = LARGEST_LEVEL << bits
    planes = []
    for f, matrix in zip(factors, header.matrices, strict=True):
        # Clipping the product keeps the difference from overflowing.
        product = np.clip(scaled_product(f), -(1 << 30), 1 << 30) - (matrix.offset << bits)
        planes.append(np.clip(product, -limit, limit).T)
    patches = np.stack(planes).reshape(len(planes), *layout.patch_size, *layout.patch_grid)
    return to_pixels(
        patches,
        np.array(finish.steps, np.int32),
        finish.deblocking,
        np.array(finish.inverse, np.int32),
        size=layout.size,
        first_row=0,
        depth=finish.depth,
    )
