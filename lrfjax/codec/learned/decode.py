"""Reconstruction of the pixels of tiles with a learned V, in integer arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lrfjax.codec.dictionary import tiles
from lrfjax.codec.dictionary.atoms import SIDE
from lrfjax.codec.dictionary.decode import join
from lrfjax.codec.file.tiled_headers import BasisHeader
from lrfjax.codec.learned.basis import Basis, products, read_basis
from lrfjax.codec.parallel import Progress, in_order, no_progress
from lrfjax.codec.planes import FRACTION_BITS, LARGEST_LEVEL, scale_products
from lrfjax.codec.quantize import IntegerFactors, Range, Scale


def basis_of(header: BasisHeader, body: bytes) -> Basis:
    """Return V from the body of its chunk; raise FormatError if it holds none."""
    return read_basis(body, len(header.finish.steps), is_nonnegative=not header.has_signs)


def decode_tiles(
    header: BasisHeader, bodies: Sequence[bytes], progress: Progress = no_progress
) -> np.ndarray:
    """Return the image from the bodies of V and of its tiles; see ``dictionary_decode``."""
    basis = basis_of(header, bodies[0])
    parts = list(zip(bodies[1:], header.grids, strict=True))
    steps = header.finish.steps
    for body, grid in parts:
        # A broken head is refused before any tile takes its time.
        tiles.read_head(body, grid, steps, header.has_signs)

    def strip(tile: tuple[bytes, tuple[int, int]]) -> np.ndarray:
        body, grid = tile
        return reconstruct(header, basis, *tiles.read_tile(body, grid, steps, header.has_signs))

    return join(header, in_order(strip, parts, progress))


def reconstruct(header: BasisHeader, basis: Basis, u: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return the planes of a tile, shape (planes, 16, 16, rows, columns), before deblocking."""
    steps, depth = header.finish.steps, header.finish.depth
    planes = scale_products(products(u, kinds, basis, steps), np.array(steps, np.int32), depth)
    bits = FRACTION_BITS[depth]
    for plane, offset in zip(planes, header.offsets, strict=True):
        plane -= offset << bits
    planes = np.clip(planes, -(LARGEST_LEVEL << bits), LARGEST_LEVEL << bits)
    return planes.reshape(len(planes), SIDE, SIDE, -1, header.patch_grid[1])


def integer_factors(u: np.ndarray, basis: Basis, steps: tuple[int, ...]) -> list[IntegerFactors]:
    """Return the factors of each plane of a tile, with V of the first dictionary.

    A plane has the columns of U of all planes up to it. For rows of U with another dictionary, V is
    ``basis.columns(kind, plane)``.
    """
    _, rows, rank = u.shape
    out = []
    for plane, step in enumerate(steps):
        part = np.moveaxis(u[: plane + 1], 1, 0).reshape(rows, -1).astype(np.int32)
        v = basis.columns(0, plane).reshape(SIDE * SIDE, plane + 1, -1)[:, :, :rank]
        v = v.reshape(SIDE * SIDE, -1).astype(np.int32)
        of_u, of_v = (Range(int(x.min()), int(x.max() - x.min())) for x in (part, v))
        out.append(IntegerFactors(part, v, of_u, of_v, Scale(step, tiles.SCALE_BITS)))
    return out
