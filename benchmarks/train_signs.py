"""Train the prediction of signs: two arrays of ``lrfjax/codec/entropy/trained.npz``.

    python -m benchmarks.train_signs --data PHOTOS --out lrfjax/codec/entropy/trained.npz

The encoder decides the photographs at several steps. The weights are a ridge regression from the
differences along the borders to the entries, over the variance that is left, for each plane,
dictionary and column. The errors of each class of confidence follow from the share of signs that
the weights predict. The result changes no decision, so one run is enough. A change of the result is
a new version of the byte format.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.train_contexts import DECISIONS, draw_step
from lrfjax.codec.dictionary import choice, tiles
from lrfjax.codec.dictionary.atoms import BANDS, SIDE
from lrfjax.codec.dictionary.dictionaries import NUM_KINDS
from lrfjax.codec.dictionary.encode import SKIP
from lrfjax.codec.entropy.checkerboard import checkerboard
from lrfjax.codec.entropy.dictionary_coder import Stack
from lrfjax.codec.entropy.sign_prediction import (
    LIMITS,
    NUM_COLUMNS,
    NUM_SIDES,
    SIGN_UNIT,
    WEIGHT_BITS,
    Borders,
    confidence_classes,
    prediction_matrices,
    stages,
)
from lrfjax.codec.planes import color_rotation, to_patches
from lrfjax.codec.rate_control import LAGRANGIAN
from lrfjax.image.patches import patch_grid
from lrfjax.image.reading import read_image

LARGEST_TARGET = 2
"""Targets of the regression are clipped to this magnitude."""
PREDICTION_UNIT = 2.0**17
"""The prediction that stands for an entry of 1."""
FEW = 300
"""Tiles weigh alike from this number of entries on, whatever their step."""
RIDGE = 2 / 3000
"""The least ridge of the regression, in units of the squared differences."""
LEAST_VARIANCE = 0.5
"""Entries of columns that vary less around their predictions are too few to tell."""

Tile = tuple[tuple[int, int], np.ndarray, np.ndarray]


def decided(path: Path, rng: np.random.Generator) -> list[Tile]:
    """Return the grid, the dictionaries and U of a photograph at several steps."""
    image = read_image(path)
    grid = patch_grid(image.shape[:2], (SIDE, SIDE))
    patches = to_patches(image, color_rotation(image).forward)
    out = []
    for _ in range(DECISIONS):
        step = draw_step(rng)
        stack = Stack(grid, (len(BANDS),) * 3, (step,) * 3, SKIP)
        in_gray = np.full(3, step / 16, np.float32)
        ratios, kinds = choice.choose(patches, in_gray, grid, LAGRANGIAN)
        tile = tiles.code_tile(ratios, kinds, stack, LAGRANGIAN, 2)
        out.append((grid, kinds, tile.u[:, :, :NUM_COLUMNS]))
    return out


def coded(tile: Tile, plane: int) -> tuple[Borders, np.ndarray, np.ndarray]:
    """Return the borders of the second colour, its entries (n, columns), and its kinds."""
    grid, kinds, u = tile
    first, cells = checkerboard(*grid).cells
    borders = Borders(grid, kinds, u[plane, :, 0], u[plane, first, 1:])
    cells = cells[borders.order]
    return borders, u[plane, cells].astype(np.int32), kinds[cells]


def fit(tiles_: list[Tile], plane: int) -> np.ndarray:
    """Return the weights of a plane, shape (kinds, sides, columns), int16."""
    # Unit weights of one side give the feature of that side.
    units = [
        prediction_matrices(
            np.broadcast_to(side[None, :, None], (NUM_KINDS, NUM_SIDES, NUM_COLUMNS))
        )
        for side in np.eye(NUM_SIDES, dtype=np.int64) << WEIGHT_BITS
    ]
    squares = np.zeros((NUM_KINDS, NUM_COLUMNS, NUM_SIDES, NUM_SIDES))
    products = np.zeros((NUM_KINDS, NUM_COLUMNS, NUM_SIDES, 1))
    energies = np.zeros((NUM_KINDS, NUM_COLUMNS, 1, 1))
    counts = np.zeros((NUM_KINDS, NUM_COLUMNS, 1, 1))
    for tile in tqdm(tiles_, desc=f"weights of plane {plane}"):
        borders, entries, kinds = coded(tile, plane)
        weight = 1 / max(int(np.count_nonzero(entries[:, 1:])), FEW)
        for columns in stages(entries.shape[1]):
            x = np.stack([borders.predict(unit, columns) for unit in units], axis=-1)
            y = entries[:, columns]
            borders.subtract(y, columns)
            x = x * (y != 0)[..., None] / PREDICTION_UNIT
            target = np.clip(y, -LARGEST_TARGET, LARGEST_TARGET)[..., None]
            for kind in range(NUM_KINDS):
                where = kinds == kind
                a, b = (v[where].transpose(1, 0, 2) for v in (x, target))
                squares[kind, columns] += weight * (a.transpose(0, 2, 1) @ a)
                products[kind, columns] += weight * (a.transpose(0, 2, 1) @ b)
                energies[kind, columns] += weight * (b.transpose(0, 2, 1) @ b)
                counts[kind, columns] += weight * (b != 0).sum(axis=1, keepdims=True)
    ridge = (RIDGE + 0.002 * counts) * np.eye(NUM_SIDES)
    weights = np.linalg.solve(squares + ridge, products)
    moved = weights.transpose(0, 1, 3, 2)
    noise = energies - 2 * moved @ products + moved @ squares @ weights
    # Twice the prediction times the entry, over the variance, is the log-odds of its sign.
    weights = weights / np.maximum(noise / np.maximum(counts, RIDGE), LEAST_VARIANCE)
    weights[:, 0] = 0
    return np.rint(weights[..., 0].transpose(0, 2, 1) * 2**WEIGHT_BITS).astype(np.int16)


def errors(tiles_: list[Tile], weights: np.ndarray) -> np.ndarray:
    """Return how many of ``SIGN_UNIT`` predictions are wrong in each class, uint16."""
    wrong, total = np.zeros(len(LIMITS) + 1), np.zeros(len(LIMITS) + 1)
    for plane, own in enumerate(weights):
        matrices = prediction_matrices(own)
        for tile in tiles_:
            borders, entries, _ = coded(tile, plane)
            weight = 1 / max(int(np.count_nonzero(tile[2])), FEW)
            for columns in stages(entries.shape[1]):
                predictions, y = borders.predict(matrices, columns), entries[:, columns]
                borders.subtract(y, columns)
                classes = confidence_classes(np.abs(y), predictions)
                is_wrong = (y < 0) != (predictions < 0)
                wrong += weight * np.bincount(classes[(y != 0) & is_wrong], minlength=len(wrong))
                total += weight * np.bincount(classes[y != 0], minlength=len(wrong))
    return np.clip(np.rint(SIGN_UNIT * wrong / total), 1, SIGN_UNIT // 2).astype(np.uint16)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    paths = sorted(options.data.glob("*.png"))
    found = [tile for path in tqdm(paths, desc="photographs") for tile in decided(path, rng)]
    weights = np.stack([fit(found, plane) for plane in range(3)])
    arrays = dict(np.load(options.out))
    arrays |= {"sign_weights": weights, "sign_errors": errors(found, weights)}
    np.savez_compressed(options.out, **arrays)


if __name__ == "__main__":
    main()
