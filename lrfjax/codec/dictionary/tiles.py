"""Tiles: rows of patches that are factorized with the dictionaries and coded independently.

Only a few tiles are in memory at a time. A small image is a single tile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lrfjax.codec.buckets import chunks, join, pad_to
from lrfjax.codec.dictionary.atoms import ATOMS, BANDS
from lrfjax.codec.dictionary.dictionaries import (
    NUM_KINDS,
    SMALL_SUM,
    TRANSFORM_BITS,
    by_atom,
    coefficients,
    dictionary,
    synthesize,
)
from lrfjax.codec.entropy.ans import SymbolDecoder, SymbolEncoder, Table, table_from_counts
from lrfjax.codec.entropy.context_gradient import rate_gradient
from lrfjax.codec.entropy.dictionary_coder import DecidingSource, DecodingSource, Stack, walk
from lrfjax.codec.entropy.magnitudes import NUM_CLASSES
from lrfjax.codec.file.chunks import Reader, varint
from lrfjax.codec.planes import STEP_BITS, scale_products
from lrfjax.codec.quantize import IntegerFactors, Range, Scale
from lrfjax.errors import FormatError

PATCHES_PER_TILE = 4096
"""The encoder's tiles have at most about this many patches (a megapixel). The bytes depend on it;
they do not depend on how many tiles are worked on at a time."""


SCALE_BITS = 2 * TRANSFORM_BITS + STEP_BITS
"""A product of factors times the step, over 2 to this power, is in gray levels."""


@dataclass(frozen=True)
class CodedTile:
    """An encoded tile.

    Attributes:
        u: shape (planes, M, R), int16, U of each plane.
        kinds: shape (M,), int32, dictionary of each patch.
        body: body of the tile's chunk.
    """

    u: np.ndarray
    kinds: np.ndarray
    body: bytes


def write_body(source: DecidingSource, kinds: np.ndarray) -> bytes:
    """Return the body of a tile's chunk."""
    counts = np.bincount(kinds, minlength=NUM_KINDS)
    counts = -(-counts * 255 // counts.max())
    head = b"".join(varint(n) for n in source.used_bands())
    head += bytes([source.stack.skip]) + bytes(counts.astype(np.uint8))
    symbols = SymbolEncoder()
    if np.count_nonzero(counts) > 1:
        symbols.put(kinds, _kind_table(counts))
    source.write(symbols, kinds)
    return head + symbols.finish()


def _kind_table(counts: np.ndarray) -> Table:
    return table_from_counts(counts.astype(np.int64))


def read_tile(
    body: bytes, grid: tuple[int, int], steps: tuple[int, ...], has_signs: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of a tile.

    Args:
        body: body of the tile's chunk.
        grid: (rows, columns) of patches in the tile.
        steps: step of each plane, in 1/16 gray levels.
        has_signs: whether entries of U may be negative.

    Returns:
        U, shape (planes, M, R), int16, and the dictionary of each patch, shape (M,), int32.

    Raises:
        FormatError: if the body does not hold a tile of this size.
    """
    stack, counts, symbols = read_head(body, grid, steps, has_signs)
    decoder = SymbolDecoder(symbols)
    kinds = read_kinds(decoder, counts, grid)
    u = walk(DecodingSource(decoder, stack, kinds), stack)
    decoder.finish()
    return u, kinds


def read_head(
    body: bytes, grid: tuple[int, int], steps: tuple[int, ...], has_signs: bool = True
) -> tuple[Stack, np.ndarray, bytes]:
    """Return the description of U, the counts of the dictionaries, and the coded symbols."""
    reader = Reader(body)
    bands = tuple(reader.varint("number of bands", 1, len(BANDS)) for _ in steps)
    skip = reader.byte("class", NUM_CLASSES - 1)
    counts = np.array([reader.byte("count of a dictionary") for _ in range(NUM_KINDS)])
    if not counts.any():
        raise FormatError("no dictionary is used")
    return Stack(grid, bands, steps, skip, has_signs), counts, reader.rest()


def read_kinds(decoder: SymbolDecoder, counts: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return the dictionary of each patch, shape (M,), int32."""
    num_patches = grid[0] * grid[1]
    if np.count_nonzero(counts) == 1:
        return np.full(num_patches, np.argmax(counts), np.int32)
    return decoder.take(num_patches, _kind_table(counts))


def integer_factors(u: np.ndarray, steps: tuple[int, ...]) -> list[IntegerFactors]:
    """Return the factors of each plane of a tile, with V of the first dictionary.

    For rows of U with another dictionary, V is ``dictionary(kind)[:, :R]``.
    """
    v = dictionary(0)[:, : u.shape[2]]
    limits_v = Range(int(v.min()), int(v.max() - v.min()))
    out = []
    for plane, step in zip(u, steps, strict=True):
        part = plane.astype(np.int32)
        limits = Range(int(part.min()), int(part.max() - part.min()))
        out.append(IntegerFactors(part, v, limits, limits_v, Scale(step, SCALE_BITS)))
    return out


def reconstruct_tile(u: np.ndarray, kinds: np.ndarray, steps: np.ndarray, depth: int) -> np.ndarray:
    """Return the planes of a tile as patches, shape (planes, 16, 16, M), integers.

    Args:
        u: shape (planes, M, R), int16.
        kinds: shape (M,), int32, dictionary of each patch.
        steps: shape (planes,), int32, in 1/16 gray levels.
        depth: bits per channel, 8 or 16.
    """
    cells = chunks(len(kinds))
    kinds_of = [c.cut(kinds, 0) for c in cells]
    parts = []
    for plane, step in zip(u, steps, strict=True):
        sizes = np.abs(plane)
        peaks = sizes.max(axis=0, initial=0)
        # The sum of the peaks of all columns takes less time, and is nearly always enough.
        is_small = bool(peaks.sum(dtype=np.int64) <= SMALL_SUM)
        if not is_small:
            is_small = bool(sizes.sum(axis=1, dtype=np.int32).max(initial=0) <= SMALL_SUM)
        # Chroma has few columns. A few ranks keep the number of compiled programs small.
        least = int(np.flatnonzero(peaks).max(initial=0)) + 1
        rank = next(n for n in _RANKS if n >= least) if is_small else len(ATOMS)
        plane = pad_to(plane[:, :rank], 1, rank)
        parts.append(
            [
                _reconstruct(c.cut(plane, 0), k, step, is_small=is_small, depth=depth)
                for c, k in zip(cells, kinds_of, strict=True)
            ]
        )
    return np.stack([join(of_plane, len(kinds), 2) for of_plane in parts])


_RANKS = (BANDS[5][1], BANDS[8][1], len(ATOMS))


@partial(jax.jit, static_argnames=("is_small", "depth"))
def _reconstruct(u: Array, kinds: Array, step: Array, *, is_small: bool, depth: int) -> Array:
    products = synthesize(u.T[None], kinds, is_small=is_small)
    plane = scale_products(products, step[None], depth)[0]
    # Planes of an 8-bit image fit into 16 bits: 512 gray levels and four fractional bits.
    return plane.astype(jnp.int16) if depth == 8 else plane


def all_ratios(patches: np.ndarray, steps: np.ndarray, *, count: int) -> np.ndarray:
    """Return real-valued U in the first ``count`` dictionaries, (count, planes, M, 256)."""
    num_patches = patches.shape[3]
    parts = (_ratios(c.cut(patches, 3), steps, count=count) for c in chunks(num_patches))
    return join(parts, num_patches, 2)


@partial(jax.jit, static_argnames="count")
def _ratios(patches: Array, steps: Array, *, count: int) -> Array:
    found = jnp.stack(coefficients(patches / steps[:, None, None, None])[:count])
    return jnp.swapaxes(by_atom(found), 2, 3)


def code_tile(
    u: np.ndarray, kinds: np.ndarray, stack: Stack, lagrangian: float, num_passes: int
) -> CodedTile:
    """Decide the entries of U and return the coded tile; see ``DecidingSource``.

    If the classes below the skip of the stack turn out to be worth their bits, they are coded.

    Args:
        u: shape (planes, M, R), float32, real-valued U.
        kinds: shape (M,), int32, dictionary of each patch.
        stack: description of U; U has columns for all of its bands. Its skip is an upper limit.
        lagrangian: Lagrange multiplier of the rate, in squared steps per bit.
        num_passes: number of decisions of all entries. Each pass after the first accounts for the
            effect of an entry on the rate of others, estimated from the previous pass.
    """
    price = None
    for number in range(num_passes):
        source = DecidingSource(u, stack, lagrangian, price)
        decided = walk(source, stack)
        # Every pass may leave other classes low, so each decides the skip again.
        if (skip := source.cheapest_skip()) < stack.skip:
            stack = replace(stack, skip=skip)
            source = DecidingSource(u, stack, lagrangian, price)
            decided = walk(source, stack)
        if number < num_passes - 1:
            price = rate_gradient(source)
    return CodedTile(decided, kinds, write_body(source, kinds))


def live_bands(u: np.ndarray) -> tuple[int, ...]:
    """Return for each plane the number of bands up to the last that may have a nonzero entry."""
    peaks = np.abs(u).max(axis=1)
    out = []
    for plane in peaks:
        live = [b for b, (low, high) in enumerate(BANDS) if plane[low:high].max(initial=0) > 0.5]
        out.append(max(live, default=0) + 1)
    return tuple(out)


def tile_rows(columns: int) -> int:
    """Return the number of rows of patches in a tile of an image with that many columns."""
    return max(PATCHES_PER_TILE // columns, 1)
