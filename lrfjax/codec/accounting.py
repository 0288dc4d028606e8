"""The bits of a file by factor and by column.

``account`` decodes the file again and counts each symbol at its ideal length, minus the logarithm
of its probability. The entropy coder spends the same but for a few words at its ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrfjax.codec.dictionary import tiles
from lrfjax.codec.dictionary.atoms import ATOMS, BANDS
from lrfjax.codec.entropy import deflate, dictionary_coder, factor_coder, interlaced, magnitudes
from lrfjax.codec.entropy.ans import SymbolDecoder, Table
from lrfjax.codec.entropy.dictionary_coder import Stack
from lrfjax.codec.entropy.magnitudes import ClassTables
from lrfjax.codec.file import container
from lrfjax.codec.file.learned_header import LearnedHeader
from lrfjax.codec.file.tiled_headers import BasisHeader, TiledHeader
from lrfjax.codec.learned import decode as learned_decode
from lrfjax.codec.published.body import check_range
from lrfjax.image.reading import MAX_PIXELS


@dataclass(frozen=True)
class Share:
    """The bits of a run of columns of a factor.

    Attributes:
        matrix: index of the matrix. It is the index of the plane, except for RGB patches, which
            have a single matrix.
        factor: ``"U"`` or ``"V"``.
        columns: first column, and the one after the last.
        bits: number of bits in the file, summed over the tiles.
    """

    matrix: int
    factor: str
    columns: tuple[int, int]
    bits: float


@dataclass(frozen=True)
class Account:
    """The bits of the factors of a file.

    Attributes:
        shares: bits by matrix, factor and columns: bands of columns for files in tiles, single
            columns for the published codecs. A V that is in a file of tiles is one share, of all
            columns of all planes.
        choices: bits that code the dictionary of each patch; 0 for the published codecs.
        rest: all other bits of the factor chunks: the counts, and the overhead of the coder at its
            ends, which may be slightly negative.
    """

    shares: tuple[Share, ...]
    choices: float
    rest: float


def account(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Account:
    """Return the bits of the factors of a file.

    Args:
        data: a file of any lrfjax codec.
        max_pixels: see ``decode``.

    Raises:
        FormatError: see ``decode``.
        InputTypeError: see ``decode``.

    Example:
        >>> import numpy as np, lrfjax
        >>> image = np.arange(256, dtype=np.uint8).reshape(16, 16)
        >>> data = lrfjax.encode(image, quality=50)
        >>> found = account(data)
        >>> total = sum(s.bits for s in found.shares) + found.choices + found.rest
        >>> round(total) == 8 * lrfjax.read_factors(data).sizes["factors"]
        True
    """
    file = container.read(data, max_pixels)
    choices = 0.0
    if isinstance(file.header, TiledHeader):
        shares, choices = _account_tiles(file)
    elif file.header.entropy == "context":
        shares = _account_contexts(file.header, file.bodies[0])
    else:
        shares = _account_deflate(file.header, file.bodies[0])
    spent = sum(share.bits for share in shares) + choices
    return Account(tuple(shares), choices, 8.0 * sum(map(len, file.bodies)) - spent)


class _CountingDecoder(SymbolDecoder):
    """A decoder that sums the ideal lengths of the symbols it decodes."""

    bits = 0.0

    def take(self, count: int, table: Table) -> np.ndarray:
        """See ``SymbolDecoder``."""
        symbols = super().take(count, table)
        self.bits += float(table.bits[symbols].sum(dtype=np.float64))
        return symbols


class _FactorSource(factor_coder.DecodingSource):
    """Reads a learned factor and counts the bits of each column."""

    def __init__(self, decoder: _CountingDecoder, has_signs: bool, rank: int) -> None:
        super().__init__(decoder, has_signs)
        self.counter = decoder
        self.starts = np.zeros(rank + 1)
        self.column = -1

    def first(self, planes: int) -> np.ndarray:
        """See ``interlaced.ResidualSource``."""
        self._begin(0)
        return super().first(planes)

    def mean(self, column: int) -> int:
        """See ``factor_coder.Source``."""
        self._begin(column)
        return super().mean(column)

    def _begin(self, column: int) -> None:
        # A column lasts until the next one begins.
        self.starts[column:] = self.counter.bits

    def bits(self) -> np.ndarray:
        """Return the bits of each column."""
        self.starts[-1] = self.counter.bits
        return np.diff(self.starts)


def _account_contexts(header: LearnedHeader, body: bytes) -> list[Share]:
    decoder = _CountingDecoder(body)
    shares = []
    for index, (matrix, grids) in enumerate(
        zip(header.matrices, header.layout.factor_grids, strict=True)
    ):
        ranges = (matrix.range_u, matrix.range_v)
        for kind, (limits, grid) in enumerate(zip(ranges, grids, strict=True)):
            source = _FactorSource(decoder, limits.lower < 0, matrix.rank)
            check_range(factor_coder.walk(source, matrix.rank, grid, kind), limits)
            shares += _single_columns(index, "UV"[kind], source.bits())
    decoder.finish()
    return shares


def _account_deflate(header: LearnedHeader, body: bytes) -> list[Share]:
    shares, position = [], 0
    for index, (matrix, shape) in enumerate(
        zip(header.matrices, header.layout.matrix_shapes, strict=True)
    ):
        ranges = (matrix.range_u, matrix.range_v)
        for factor, limits, length in zip("UV", ranges, shape, strict=True):
            _, ends = deflate.decode_columns(body, position, (length, matrix.rank), limits)
            shares += _single_columns(index, factor, 8.0 * np.diff([position, *ends]))
            position = ends[-1]
    deflate.check_end(body, position)
    return shares


def _single_columns(matrix: int, factor: str, bits: np.ndarray) -> list[Share]:
    return [Share(matrix, factor, (i, i + 1), float(n)) for i, n in enumerate(bits)]


class _TileSource(dictionary_coder.DecodingSource):
    """Reads U of a tile and counts the bits of each plane and band."""

    def __init__(self, decoder: _CountingDecoder, stack: Stack, kinds: np.ndarray) -> None:
        super().__init__(decoder, stack, kinds)
        self.counter = decoder
        self.bits = np.zeros((len(stack.bands), len(BANDS)))

    def first(self, planes: int) -> np.ndarray:
        """See ``interlaced.ResidualSource``."""
        values = super().first(planes)
        self.bits[:, 0] += magnitudes.excess_bits(np.abs(values)) + (values != 0)
        return values

    def residuals(
        self,
        step: interlaced.Pass,
        predictions: np.ndarray,
        classes: np.ndarray,
        tables: list[ClassTables],
    ) -> np.ndarray:
        """See ``interlaced.ResidualSource``."""
        values = super().residuals(step, predictions, classes, tables)
        for plane, row in enumerate(np.abs(values)):
            symbols = np.minimum(row, magnitudes.ESCAPE)
            self.bits[plane, 0] += tables[plane].bits[classes[plane], symbols].sum()
            excess = row[row >= magnitudes.ESCAPE] - magnitudes.ESCAPE
            self.bits[plane, 0] += magnitudes.excess_bits(excess).sum() + np.count_nonzero(row)
        return values

    def band(
        self, plane: int, color: int, band: int, classes: np.ndarray, tables: ClassTables
    ) -> np.ndarray:
        """See ``dictionary_coder.Source``."""
        before = self.counter.bits
        values = super().band(plane, color, band, classes, tables)
        self.bits[plane, band] += self.counter.bits - before
        return values

    def end_of_plane(
        self, plane: int, by_color: list[np.ndarray], means: np.ndarray
    ) -> list[np.ndarray]:
        """See ``dictionary_coder.Source``; bands share the bits of signs by nonzero entries."""
        before = self.counter.bits
        signed = super().end_of_plane(plane, by_color, means)
        nonzero = sum(np.count_nonzero(m, axis=0) for m in by_color)
        shares = np.array([nonzero[low - 1 : high - 1].sum() for low, high in BANDS[1:]])
        self.bits[plane, 1:] += (self.counter.bits - before) * shares / max(shares.sum(), 1)
        return signed


def _account_tiles(file: container.File) -> tuple[list[Share], float]:
    header, bodies = file.header, file.bodies
    assert isinstance(header, TiledHeader)
    steps = header.finish.steps
    total, choices = np.zeros((len(steps), len(BANDS))), 0.0
    shares = []
    if isinstance(header, BasisHeader):
        learned_decode.basis_of(header, bodies[0])
        count = len(steps) * len(ATOMS)
        shares.append(Share(0, "V", (0, count), 8.0 * len(bodies[0])))
        bodies = bodies[1:]
    for body, grid in zip(bodies, header.grids, strict=True):
        stack, counts, symbols = tiles.read_head(body, grid, steps, header.has_signs)
        decoder = _CountingDecoder(symbols)
        kinds = tiles.read_kinds(decoder, counts, grid)
        choices += decoder.bits
        source = _TileSource(decoder, stack, kinds)
        dictionary_coder.walk(source, stack)
        decoder.finish()
        total += source.bits
    shares += [
        Share(plane, "U", columns, float(bits))
        for plane, row in enumerate(total)
        for columns, bits in zip(BANDS, row, strict=True)
    ]
    return shares, choices
