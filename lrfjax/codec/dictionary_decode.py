"""From tiles to pixels, in integers: the second half of decoding with the dictionaries."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jax import Array

from lrfjax.codec import container, tiles
from lrfjax.codec.entropy.frequency_contexts import SIDE
from lrfjax.codec.planes import to_pixels


def render(
    header: container.DictionaryHeader, factors: Iterable[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Return the image of the factors of its tiles.

    Args:
        header: of the file.
        factors: for each tile U and the dictionaries, see ``tiles.read_tile``.

    Returns:
        Shape (H, W, channels), uint8 or uint16.
    """
    height, width = header.size
    steps = np.array(header.finish.steps, np.int32)
    inverse = np.array(header.finish.inverse, np.int32)
    columns = tiles.grid_of(height, width)[1]
    strips: list[Array] = []
    for u, kinds in factors:
        patches = tiles.reconstruct_tile(u, kinds, steps, header.finish.depth)
        strips.append(patches.reshape(*patches.shape[:3], -1, columns))
    if len(strips) == 1:
        whole = _finish(header, strips[0], steps, inverse, 0, height)
        return np.array(whole)
    # Deblocking looks across the borders between tiles, so each is finished together with the
    # nearest row of patches of its neighbours.
    out = np.empty(
        (height, width, len(inverse)), np.uint8 if header.finish.depth == 8 else np.uint16
    )
    for i, strip in enumerate(strips):
        above = [strips[i - 1][..., -1:, :]] if i else []
        below = [strips[i + 1][..., :1, :]] if i + 1 < len(strips) else []
        joined = np.concatenate([*above, strip, *below], axis=3)
        top = i * header.tile_rows * SIDE
        count = min(strip.shape[3] * SIDE, height - top)
        out[top : top + count] = _finish(header, joined, steps, inverse, SIDE * len(above), count)
    return out


def _finish(
    header: container.DictionaryHeader,
    patches: Array | np.ndarray,
    steps: np.ndarray,
    inverse: np.ndarray,
    first_row: int,
    height: int,
) -> np.ndarray:
    return to_pixels(
        patches,
        steps,
        np.int32(header.finish.deblocking),
        inverse,
        size=(height, header.size[1]),
        first_row=np.int32(first_row),
        depth=header.finish.depth,
    )
