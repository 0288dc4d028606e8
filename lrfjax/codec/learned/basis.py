"""The learned V of a file, as integers, and the exact product U V^T.

Patches of all planes are one row of X, so V has a row for each pixel of each plane. In the
coordinates of the atoms V is C / n, and C = n I stands for the dictionary. For dictionary k with
atoms D_k, the entries of V are

    V_k = round(D_k C / n), clipped at 0 for NMF,

plane by plane. Its columns have norms of about 2^14, as those of the dictionaries.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from lrfjax.codec.dictionary.atoms import ATOMS
from lrfjax.codec.dictionary.dictionaries import dictionary
from lrfjax.codec.entropy import basis_coder
from lrfjax.codec.entropy.ans import SymbolDecoder, SymbolEncoder
from lrfjax.codec.file.chunks import Reader
from lrfjax.codec.learned import quarters
from lrfjax.codec.planes import LARGEST_LEVEL, STEP_BITS

MAX_UNIT_BITS = 10
"""The largest binary logarithm of n."""

# Products are in units of 2^-14 steps.
_PRODUCT_BITS = 14


@dataclass(frozen=True, eq=False)
class Basis:
    """The learned V in the coordinates of the atoms.

    Attributes:
        stored: int32, the deviations that the file holds: E = C - n I, of shape (256 planes, 256
            planes), or that of 8 x 8 pixels, (64 planes, 64 planes), see ``quarters``.
        planes: number of planes.
        unit_bits: binary logarithm of n.
        is_nonnegative: whether V is clipped at 0.
    """

    stored: np.ndarray
    planes: int
    unit_bits: int
    is_nonnegative: bool = False

    @property
    def quarters(self) -> bool:
        """Whether the quarters of a patch share V."""
        return len(self.stored) == quarters.COUNT * self.planes

    @functools.cached_property
    def deviations(self) -> np.ndarray:
        """E, shape (256 planes, 256 planes), int32."""
        return quarters.expanded(self.stored, self.planes) if self.quarters else self.stored

    @property
    def bits(self) -> float:
        """The bits of V in the file."""
        return basis_coder.bits(self.stored, basis_coder.groups_of(self.planes, self.quarters))

    @classmethod
    def of_atoms(cls, planes: int, unit_bits: int) -> Basis:
        """Return C = n I."""
        size = planes * len(ATOMS)
        return cls(np.zeros((size, size), np.int32), planes, unit_bits)

    @property
    def unit(self) -> int:
        """The unit n of C."""
        return 1 << self.unit_bits

    def columns(self, kind: int, plane: int) -> np.ndarray:
        """Return the rows of V for one plane, shape (256, 256 (plane + 1)), float64 integers.

        Columns of later planes are 0 there and left out.

        Args:
            kind: number of the dictionary.
            plane: index of the plane.
        """
        if (kind, plane) not in self._kept:
            self._kept[kind, plane] = self._columns(kind, plane)
        return self._kept[kind, plane]

    @functools.cached_property
    def _kept(self) -> dict[tuple[int, int], np.ndarray]:
        """The parts of V that were asked for: files have many tiles."""
        return {}

    def _columns(self, kind: int, plane: int) -> np.ndarray:
        count = len(ATOMS)
        rows = slice(plane * count, (plane + 1) * count)
        atoms = dictionary(kind).astype(np.float64)
        deviations = self.deviations[rows, : rows.stop]
        out = np.zeros(deviations.shape)
        out[:, rows] = atoms
        # Exact: all sums are integers below 2^53. Most columns are those of the dictionary.
        own = np.flatnonzero(deviations.any(axis=0))
        moved = atoms @ deviations[:, own] + (self.unit >> 1)
        out[:, own] += np.floor(moved / self.unit)
        return np.maximum(out, 0) if self.is_nonnegative else out

    def encode(self) -> bytes:
        """Return the body of the chunk of V."""
        out = SymbolEncoder()
        groups = basis_coder.groups_of(self.planes, self.quarters)
        basis_coder.write(out, self.stored, groups)
        return bytes([self.quarters, self.unit_bits]) + out.finish()


def read_basis(body: bytes, planes: int, *, is_nonnegative: bool) -> Basis:
    """Return the basis of the body of a chunk of V: the inverse of ``Basis.encode``.

    Raises:
        FormatError: if the body does not hold a basis.
    """
    reader = Reader(body)
    in_quarters = bool(reader.byte("sharing of V", 1))
    unit_bits = reader.byte("unit of V", MAX_UNIT_BITS)
    decoder = SymbolDecoder(reader.rest())
    stored = basis_coder.read(decoder, planes, 1 << unit_bits, in_quarters)
    decoder.finish()
    return Basis(stored, planes, unit_bits, is_nonnegative)


def products(u: np.ndarray, kinds: np.ndarray, basis: Basis, steps: tuple[int, ...]) -> np.ndarray:
    """Return U V^T plane by plane, exact, clipped where the planes are.

    Args:
        u: shape (planes, M, R), integers.
        kinds: shape (M,), dictionary of each row of U.
        basis: V.
        steps: step of each plane, in 1/16 gray levels.

    Returns:
        Shape (planes, 256, M), int32.
    """
    planes, rows, rank = u.shape
    used = np.flatnonzero(u.any(axis=1).ravel())
    plane_of, atom = np.divmod(used, rank)
    factor = np.moveaxis(u, 1, 0).reshape(rows, -1)[:, used].astype(np.float64)
    column = plane_of * len(ATOMS) + atom
    out = np.empty((planes, len(ATOMS), rows), np.int32)
    for plane, step in enumerate(steps):
        limit = (LARGEST_LEVEL << (_PRODUCT_BITS + STEP_BITS)) // step
        earlier = plane_of <= plane
        for kind in np.unique(kinds):
            v = basis.columns(int(kind), plane)[:, column[earlier]]
            chosen = kinds == kind
            # Exact in any order of summation: all sums are integers below 2^53.
            product = v @ factor[np.ix_(chosen, earlier)].T
            out[plane][:, chosen] = np.clip(product, -limit, limit)
    return out
