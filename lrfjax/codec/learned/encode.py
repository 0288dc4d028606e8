"""Encoding of an image with a learned V: IMF, SVD and NMF of rotated planes.

The pipeline is that of ``dictionary_encode``: colours, patches, tiles, the choice of a dictionary,
contexts, deblocking and rate control. The file holds V as well, by its deviations from the atoms.
The three methods share every stage but the factorization (``fit``), so a comparison of these
codecs compares factorizations.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lrfjax.codec.dictionary import encode as dictionary_encode
from lrfjax.codec.dictionary import tiles
from lrfjax.codec.dictionary.atoms import ATOMS, BANDS, SIDE
from lrfjax.codec.dictionary.encode import SKIP, Run, grid_of
from lrfjax.codec.dictionary.tiles import CodedTile
from lrfjax.codec.entropy.dictionary_coder import Stack
from lrfjax.codec.file.tiled_headers import MAX_OFFSET, BasisHeader
from lrfjax.codec.learned import decode as learned_decode
from lrfjax.codec.learned import quarters
from lrfjax.codec.learned.choice import Problem
from lrfjax.codec.learned.fit import Factorization, fixed
from lrfjax.codec.parallel import Progress, in_order, no_progress

SAMPLE_PATCHES = 4096
"""V is solved for on at most about this many patches, from all over the image."""

# Entries of lifted planes are twice as large, see ``dictionary.encode.LEAST_STEP``.
_LEAST_LIFTED_STEP = 4.0
# The rows of patches that a sample takes together, so that contexts have neighbours.
_ROWS_TOGETHER = 4


class ImageEncoder(dictionary_encode.ImageEncoder):
    """An encoder of one image at any dial.

    Args:
        image: shape (H, W) or (H, W, 3), uint8 or uint16, without alpha.
        factorization: how U and V are found.
        rank: largest number of columns of V for luma; the other planes get half. None for all. The
            V of the SVD has 64 at most, which the quarters of a patch share.
        progress: callback after each tile.
    """

    def __init__(
        self,
        image: np.ndarray,
        factorization: Factorization,
        rank: int | None,
        progress: Progress = no_progress,
    ) -> None:
        if factorization.in_quarters and rank is not None:
            rank = min(4 * rank, len(ATOMS))
        super().__init__(image, "rotated", factorization.effort, rank, progress)
        self.factorization = factorization
        self.offsets = (0,) * self.image.shape[2]
        if factorization.is_nonnegative:
            self.offsets = tuple(map(int, self._least_levels()))

    def _least_levels(self) -> np.ndarray:
        """Return the gray levels that lift each plane to 0 and above."""
        levels = np.zeros(len(self.weights))
        for part in self._parts():
            peaks = -self._patches(part).min(axis=(1, 2, 3))
            levels = np.maximum(levels, peaks)
        return np.minimum(np.ceil(levels), MAX_OFFSET)

    def _run(self, dial: float, weight: float) -> Run:
        method = self.factorization.method
        if self.factorization.is_nonnegative:
            dial = max(dial, _LEAST_LIFTED_STEP)
        plain = self._header(dial)
        header = BasisHeader(plain.size, plain.tile_rows, plain.finish, method, self.offsets)
        lagrangian = weight * dictionary_encode.dial_settings(dial)[1]
        parts = self._parts()
        is_whole = len(parts) == 1
        sample = self._patches(parts[0]) if is_whole else self._to_patches(self._sample())
        grid = grid_of(parts[0] if is_whole else self._sample())
        problem = self._problem(sample, grid, header, lagrangian)
        found = self.factorization.fit(problem, self.ranks)
        basis, live = found.basis, found.problem.live

        def code(part: np.ndarray) -> CodedTile:
            own = found
            if not is_whole:
                problem = self._problem(self._patches(part), grid_of(part), header, lagrangian)
                own = fixed(replace(problem, live=live), basis)
            return CodedTile(own.decision.u, own.problem.kinds, own.decision.body)

        def strip(tile: CodedTile) -> np.ndarray:
            return learned_decode.reconstruct(header, basis, tile.u, tile.kinds)

        return Run(header, (basis.encode(),), in_order(code, parts, self.progress), strip)

    def _problem(
        self, patches: np.ndarray, grid: tuple[int, int], header: BasisHeader, lagrangian: float
    ) -> Problem:
        """Return the patches of a part of the image as they are factorized."""
        steps = header.finish.steps
        if self.factorization.in_quarters:
            in_gray = np.array(steps, np.float32) / 16
            x = tiles.all_ratios(patches, in_gray, count=quarters.KIND + 1)[-1]
            kinds = np.full(x.shape[1], quarters.KIND, np.int32)
        else:
            x, kinds = self._analyze(patches, grid, steps, lagrangian)
        if any(header.offsets):
            # The first atom is flat and has norm 1.
            x[:, :, 0] += (16 * SIDE * np.array(header.offsets) / steps)[:, None]
        # Other factorizations keep their own first columns, whose atoms are any.
        has_atoms = self.factorization.has_atoms
        live = (np.arange(len(ATOMS)) < np.array(self.ranks)[:, None]) | (not has_atoms)
        stack = Stack(grid, (len(BANDS),) * len(steps), steps, SKIP, header.has_signs)
        return Problem(x, kinds, live, stack, lagrangian)

    def _sample(self) -> np.ndarray:
        """Return rows of pixels from all over the image, in its order."""
        rows, columns = grid_of(self.image)
        together = min(_ROWS_TOGETHER, rows, max(SAMPLE_PATCHES // columns, 1))
        count = max(SAMPLE_PATCHES // (columns * together), 1)
        runs = np.array_split(np.arange(0, rows - together + 1, together), count)
        tops = [SIDE * int(run[0]) for run in runs if len(run)]
        return np.concatenate([self.image[top : top + SIDE * together] for top in tops])
