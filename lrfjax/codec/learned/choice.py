"""The decision of U for a learned V, by distortion and rate, band by band.

``dictionary_coder.DecidingSource`` decides each entry on its own, which is right for atoms that are
orthonormal. Here the target of a band is what all other columns leave of X, so every band takes up
what was decided before it: one pass is one sweep of block coordinate descent over the columns of U.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lrfjax.codec.dictionary import tiles
from lrfjax.codec.dictionary.atoms import ATOMS, BANDS
from lrfjax.codec.entropy.checkerboard import checkerboard
from lrfjax.codec.entropy.context_gradient import rate_gradient
from lrfjax.codec.entropy.dictionary_coder import DecidingSource, Stack, walk
from lrfjax.codec.entropy.magnitudes import MAX_ENTRY, ClassTables
from lrfjax.codec.learned.basis import Basis

_COUNT = len(ATOMS)


@dataclass(frozen=True, eq=False)
class Problem:
    """What is factorized: the patches of a part of an image.

    Attributes:
        x: shape (planes, M, 256), float32, patches in the coordinates of the atoms, in steps.
        kinds: shape (M,), dictionary of each patch.
        live: shape (planes, 256), whether a column of U may have entries.
        stack: description of U.
        lagrangian: Lagrange multiplier of the rate, in squared steps per bit.
    """

    x: np.ndarray
    kinds: np.ndarray
    live: np.ndarray
    stack: Stack
    lagrangian: float


@dataclass(frozen=True, eq=False)
class Block:
    """The columns of V in a band of a plane, in the coordinates of the atoms.

    Attributes:
        columns: the columns, as a slice of those of all planes.
        rows: indices of the rows where a column deviates from its atom.
        deviations: shape (rows, columns), float32, E / n in these rows.
        inverse: inverse of the Gram matrix of the columns, shape (columns, columns), float32.
    """

    columns: slice
    rows: np.ndarray
    deviations: np.ndarray
    inverse: np.ndarray

    def adjoint(self, residual: np.ndarray) -> np.ndarray:
        """Return the products of a residual, shape (m, all), with the columns."""
        found = residual[:, self.columns].copy()
        if len(self.rows):
            found += residual[:, self.rows] @ self.deviations
            found = found @ self.inverse
        return found

    def subtract(self, residual: np.ndarray, entries: np.ndarray) -> None:
        """Subtract entries of U, shape (m, columns), times the columns from a residual."""
        residual[:, self.columns] -= entries
        if len(self.rows):
            residual[:, self.rows] -= entries @ self.deviations.T


def blocks_of(basis: Basis) -> list[list[Block]]:
    """Return the blocks of each plane and band."""
    out = []
    for plane in range(basis.planes):
        bands = []
        for first, last in BANDS:
            columns = slice(plane * _COUNT + first, plane * _COUNT + last)
            deviations = basis.deviations[:, columns]
            rows = np.flatnonzero(deviations.any(axis=1))
            part = deviations[rows] / np.float32(basis.unit)
            # The Gram matrix of I + E, from the rows where E is not 0.
            whole = part.astype(np.float64)
            cross = np.zeros((last - first, last - first))
            inside = (rows >= columns.start) & (rows < columns.stop)
            cross[rows[inside] - columns.start] = whole[inside]
            gram = np.eye(last - first) + cross + cross.T + whole.T @ whole
            # Columns that nearly coincide would ask for large entries of either sign.
            inverse = np.linalg.inv(gram + 1e-3 * np.eye(last - first)) if len(rows) else gram
            bands.append(Block(columns, rows, part, inverse.astype(np.float32)))
        out.append(bands)
    return out


def reconstruction(u: np.ndarray, basis: Basis) -> np.ndarray:
    """Return U C^T / n, shape (M, 256 planes), float32, for U of shape (planes, M, R)."""
    wide = joined(u)
    live = np.flatnonzero(basis.deviations.any(axis=0))
    return wide + wide[:, live] @ (basis.deviations[:, live] / np.float32(basis.unit)).T


def joined(u: np.ndarray) -> np.ndarray:
    """Return the planes of U side by side, shape (M, 256 planes), float32."""
    out = np.zeros((u.shape[1], u.shape[0], _COUNT), np.float32)
    out[:, :, : u.shape[2]] = np.moveaxis(u, 0, 1)
    return out.reshape(len(out), -1)


class _Source(DecidingSource):
    """Decides the entries band by band against the residual.

    Args:
        problem: patches.
        basis: V.
        start: shape (planes, cells, R), U to begin with.
        stack: description of U.
        price: see ``DecidingSource``.
    """

    def __init__(
        self,
        problem: Problem,
        basis: Basis,
        start: np.ndarray,
        stack: Stack,
        price: list[np.ndarray] | None,
    ) -> None:
        x = problem.x
        self.live = problem.live
        self.blocks = blocks_of(basis)
        self.is_nonnegative = basis.is_nonnegative
        residual = joined(x) - reconstruction(start, basis)
        present = joined(start)
        ratios = x.copy()
        for plane, (block, *_) in enumerate(self.blocks):
            targets = present[:, block.columns] + block.adjoint(residual)
            targets = self._bounded(targets, plane, slice(0, 1))
            means = np.clip(np.rint(targets), -MAX_ENTRY, MAX_ENTRY)
            block.subtract(residual, means - present[:, block.columns])
            ratios[plane, :, :1] = means
        super().__init__(ratios, stack, problem.lagrangian, price)
        cells = checkerboard(*stack.grid).cells
        self._residuals = [residual[c] for c in cells]
        self._present = [present[c] for c in cells]
        # The decided entries of the present plane, by band and colour.
        self._decided: list[tuple[Block, int, np.ndarray]] = []

    def _bounded(self, targets: np.ndarray, plane: int, span: slice) -> np.ndarray:
        targets = targets * self.live[plane, span]
        return np.maximum(targets, 0) if self.is_nonnegative else targets

    def band(
        self, plane: int, color: int, band: int, classes: np.ndarray, tables: ClassTables
    ) -> np.ndarray:
        """See ``dictionary_coder.Source``."""
        block, span = self.blocks[plane][band], slice(*BANDS[band])
        residual, present = self._residuals[color], self._present[color][:, block.columns]
        targets = self._bounded(present + block.adjoint(residual), plane, span)
        self.targets[color][plane, :, span] = targets
        values = super().band(plane, color, band, classes, tables)
        signed = np.where(targets < 0, -values, values)
        block.subtract(residual, signed - present)
        self._decided.append((block, color, signed))
        return values

    def end_of_plane(
        self, plane: int, by_color: list[np.ndarray], means: np.ndarray
    ) -> list[np.ndarray]:
        """See ``dictionary_coder.Source``; what dropped bands held is left to later planes."""
        signed = super().end_of_plane(plane, by_color, means)
        for block, color, entries in self._decided[2 * len(self.records[plane]) :]:
            block.subtract(self._residuals[color], -entries)
        self._decided.clear()
        return signed


@dataclass(frozen=True, eq=False)
class Decision:
    """U as one pass decided it.

    Attributes:
        u: shape (planes, M, R), int16.
        source: source of its entries.
        body: body of the tile's chunk.
        error: squared error of X, in squared steps.
    """

    u: np.ndarray
    source: DecidingSource
    body: bytes
    error: float


def decide(problem: Problem, basis: Basis, before: Decision | np.ndarray) -> Decision:
    """Return U after one pass over its columns.

    Args:
        problem: patches.
        basis: V.
        before: the previous pass, whose U is the start, and whose entries tell the effect of an
            entry on the rate of others; or only a start, shape (planes, M, R), integers.
    """
    if isinstance(before, Decision):
        start, price = before.u, rate_gradient(before.source)
    else:
        start, price = before, None

    def one_pass(stack: Stack) -> tuple[np.ndarray, DecidingSource]:
        source = _Source(problem, basis, start, stack, price)
        return walk(source, stack), source

    u, source = one_pass(problem.stack)
    if (skip := source.cheapest_skip()) < problem.stack.skip:
        u, source = one_pass(replace(problem.stack, skip=skip))
    left = joined(problem.x) - reconstruction(u, basis)
    error = float(np.square(left).sum(dtype=np.float64))
    return Decision(u, source, tiles.write_body(source, problem.kinds), error)
