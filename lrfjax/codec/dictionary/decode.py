"""Reconstruction of the pixels of tiles coded with the dictionaries, in integer arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from lrfjax.codec.dictionary import tiles
from lrfjax.codec.dictionary.atoms import SIDE
from lrfjax.codec.file.tiled_headers import TiledHeader
from lrfjax.codec.parallel import Progress, in_order, no_progress
from lrfjax.codec.planes import to_pixels


def decode_tiles(
    header: TiledHeader, bodies: Sequence[bytes], progress: Progress = no_progress
) -> np.ndarray:
    """Return the image from the bodies of its tiles.

    Args:
        header: header of the file.
        bodies: bodies of the factor chunks, one per tile.
        progress: callback after each tile.

    Returns:
        Shape (H, W, channels), uint8 or uint16.

    Raises:
        FormatError: if a body does not hold a tile of its size.
    """

    def strip(tile: tuple[bytes, tuple[int, int]]) -> np.ndarray:
        body, grid = tile
        return reconstruct(header, *tiles.read_tile(body, grid, header.finish.steps))

    parts = list(zip(bodies, header.grids, strict=True))
    for body, grid in parts:
        # A broken head is refused before any tile takes its time.
        tiles.read_head(body, grid, header.finish.steps)
    return join(header, in_order(strip, parts, progress))


def reconstruct(header: TiledHeader, u: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return the planes of a tile, shape (planes, 16, 16, rows, columns), before deblocking."""
    steps = np.array(header.finish.steps, np.int32)
    patches = tiles.reconstruct_tile(u, kinds, steps, header.finish.depth)
    return patches.reshape(*patches.shape[:3], -1, header.patch_grid[1])


def finish_strips(
    header: TiledHeader, strips: Iterable[np.ndarray]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row and the pixels of each tile.

    Deblocking reaches across the borders between tiles, so each tile is finished together with the
    nearest row of patches of its neighbours. Only these are in memory.

    Args:
        header: header of the file.
        strips: planes of the tiles from the top down, see ``reconstruct``.
    """
    rest = iter(strips)
    above: list[np.ndarray] = []
    top, strip = 0, next(rest, None)
    while strip is not None:
        following = next(rest, None)
        below = [] if following is None else [following[..., :1, :]]
        joined = np.concatenate([*above, strip, *below], axis=3) if above or below else strip
        count = min(strip.shape[3] * SIDE, header.size[0] - top)
        yield top, _finish(header, joined, SIDE * len(above), count)
        # A copy: a view would keep the whole tile in memory.
        above = [strip[..., -1:, :].copy()]
        top, strip = top + count, following


def join(header: TiledHeader, strips: Iterable[np.ndarray]) -> np.ndarray:
    """Return the whole image, shape (H, W, channels)."""
    dtype = np.uint8 if header.finish.depth == 8 else np.uint16
    out = np.empty((*header.size, len(header.finish.inverse)), dtype)
    for top, rows in finish_strips(header, strips):
        out[top : top + len(rows)] = rows
    return out


def _finish(header: TiledHeader, patches: np.ndarray, first_row: int, height: int) -> np.ndarray:
    return to_pixels(
        patches,
        np.array(header.finish.steps, np.int32),
        header.finish.deblocking,
        np.array(header.finish.inverse, np.int32),
        restoration=header.finish.restoration,
        size=(height, header.size[1]),
        first_row=first_row,
        depth=header.finish.depth,
    )
