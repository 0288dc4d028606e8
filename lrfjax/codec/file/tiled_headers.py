"""The headers of files in tiles: V is a dictionary, or stored by its deviations from one."""

from __future__ import annotations

from dataclasses import dataclass

from lrfjax.codec.dictionary.atoms import PATCH_SIZE
from lrfjax.codec.file.chunks import Reader, signed_varint, varint
from lrfjax.codec.file.header_parts import (
    METHODS,
    Finish,
    check_padding_fits,
    read_finish,
    read_size,
    write_finish,
)
from lrfjax.errors import FormatError
from lrfjax.image.patches import patch_grid

MAX_TILE_PATCHES = 1 << 14
"""The format's limit on the patches of a tile. Decoding one takes some kilobytes a patch."""
MAX_OFFSET = 256
"""The largest offset of a plane, in gray levels; lifted planes stay within 512."""


@dataclass(frozen=True)
class TiledHeader:
    """The header of a file in tiles of 16 x 16 patches; the base class of the two below.

    Attributes:
        size: (H, W) in pixels.
        tile_rows: rows of patches per tile; the last tile may have fewer.
        finish: parameters of the conversion to pixels; its steps are the steps of U.
        method: name of the factorization.
    """

    size: tuple[int, int]
    tile_rows: int
    finish: Finish
    method: str

    @property
    def patch_grid(self) -> tuple[int, int]:
        """The (rows, columns) of patches over the image."""
        return patch_grid(self.size, PATCH_SIZE)

    @property
    def num_tiles(self) -> int:
        """The number of tiles."""
        return -(-self.patch_grid[0] // self.tile_rows)

    @property
    def grids(self) -> list[tuple[int, int]]:
        """The (rows, columns) of patches of each tile."""
        rows, columns = self.patch_grid
        return [
            (min(self.tile_rows, rows - first), columns) for first in range(0, rows, self.tile_rows)
        ]

    @property
    def has_signs(self) -> bool:
        """Whether entries of U may be negative."""
        return True


@dataclass(frozen=True)
class DictionaryHeader(TiledHeader):
    """The header of a file whose V is a dictionary.

    Attributes:
        method: always ``"dct"``.
    """

    method: str = "dct"


@dataclass(frozen=True)
class BasisHeader(TiledHeader):
    """The header of a file that holds V as well, by its deviations from a dictionary.

    Attributes:
        method: one of ``METHODS``.
        offsets: gray levels that are subtracted from each plane; 0 but for NMF.
    """

    offsets: tuple[int, ...]

    @property
    def has_signs(self) -> bool:
        """Whether entries of U and of V may be negative."""
        return self.method != "nmf"


def write_tiled(header: TiledHeader) -> bytes:
    """Return the bytes that both headers share."""
    numbers = [*header.size, header.tile_rows]
    return b"".join(map(varint, numbers)) + write_finish(header.finish)


def write_basis_header(header: BasisHeader) -> bytes:
    """Return the bytes of a header after its kind."""
    out = bytes([METHODS.index(header.method)]) + write_tiled(header)
    if not header.has_signs:
        out += b"".join(map(signed_varint, header.offsets))
    return out


def read_dictionary_header(reader: Reader, max_pixels: int) -> DictionaryHeader:
    """Return a header from what follows its kind; raise FormatError if it is none."""
    return DictionaryHeader(*_read_tiled(reader, max_pixels))


def read_basis_header(reader: Reader, max_pixels: int) -> BasisHeader:
    """Return a header from what follows its kind; raise FormatError if it is none."""
    method = reader.choice("method", METHODS)
    size, tile_rows, finish = _read_tiled(reader, max_pixels)
    offsets = [0] * len(finish.steps)
    if method == "nmf":
        offsets = [reader.signed_varint("offset", MAX_OFFSET) for _ in finish.steps]
    return BasisHeader(size, tile_rows, finish, method, tuple(offsets))


def _read_tiled(reader: Reader, max_pixels: int) -> tuple[tuple[int, int], int, Finish]:
    size = read_size(reader, max_pixels)
    check_padding_fits(size, PATCH_SIZE, max_pixels)
    rows, columns = patch_grid(size, PATCH_SIZE)
    tile_rows = reader.varint("rows of a tile", 1, rows)
    if tile_rows * columns > MAX_TILE_PATCHES:
        raise FormatError(
            f"a tile of {tile_rows} rows of patches is larger than {MAX_TILE_PATCHES}"
        )
    return size, tile_rows, read_finish(reader)
