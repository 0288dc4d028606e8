"""The prediction of signs: against the format's own words, and what it is for."""

import numpy as np
import pytest

import lrfjax
from lrfjax.codec.dictionary.atoms import ATOMS
from lrfjax.codec.dictionary.dictionaries import dictionary, transforms
from lrfjax.codec.entropy import sign_prediction
from lrfjax.codec.entropy.ans import SymbolDecoder, SymbolEncoder
from lrfjax.codec.entropy.checkerboard import checkerboard
from lrfjax.codec.entropy.sign_prediction import (
    NUM_COLUMNS,
    STAGES,
    Borders,
    put_signs,
    stages,
    take_signs,
)
from lrfjax.codec.entropy.trained import _arrays, sign_matrices, sign_tables

pytestmark = pytest.mark.unoptimized

GRID = (3, 4)
AROUND = ((-1, 0), (1, 0), (0, -1), (0, 1))
SAMPLES = [[(0, x) for x in range(16)], [(15, x) for x in range(16)]]
SAMPLES += [[(x, y) for x in range(16)] for y in (0, 15)]


def random_u(rng, columns=256):
    """Return U of a plane and the dictionaries of its cells."""
    decay = 300 / (1 + np.arange(columns)) ** 1.3
    u = np.rint(rng.laplace(0, decay, (GRID[0] * GRID[1], columns))).astype(np.int16)
    return u, rng.integers(0, 4, len(u)).astype(np.int32)


def from_the_format(u, kinds, plane, cell):
    """Return the predictions of a cell by the formulas of FORMAT.md, entry by entry."""
    weights = _arrays()["sign_weights"].astype(int)[plane]
    place = divmod(cell, GRID[1])
    v = [(dictionary(k).astype(int) + 2**5) // 2**6 for k in range(4)]

    def clip(x, limit):
        return min(max(int(x), -limit), limit)

    def pixels(which, side, columns):
        return [
            sum(clip(u[which, r], 127) * v[kinds[which]][16 * y + x, r] for r in columns)
            for y, x in SAMPLES[side]
        ]

    coded = min(u.shape[1], 91)
    e = []
    for side, (down, right) in enumerate(AROUND):
        row, column = place[0] + down, place[1] + right
        if not (0 <= row < GRID[0] and 0 <= column < GRID[1]):
            e.append([0] * 16)
            continue
        other = row * GRID[1] + column
        mean = 16 * clip(int(u[other, 0]) - int(u[cell, 0]), 127)
        beyond = pixels(other, (1, 0, 3, 2)[side], range(1, coded))
        e.append([mean + p for p in beyond])
    out = []
    for first, last in ((1, 6), (6, 15), (15, 28), (28, 45), (45, 91)):
        columns = range(first, min(last, coded))
        vertical, horizontal = (transforms()[k].astype(int) for k in divmod(kinds[cell], 2))
        for r in columns:
            a, b = ATOMS[r]
            z = 0
            for side in range(4):
                along = horizontal[b] if side < 2 else vertical[a]
                for x in range(16):
                    factor = (weights[kinds[cell], side, r] * along[x] + 2**6) // 2**7
                    z += clip(e[side][x], 2047) * factor
            out.append(z)
        for side in range(4):
            own = pixels(cell, side, columns)
            e[side] = [p - q for p, q in zip(e[side], own, strict=True)]
    return out


@pytest.mark.parametrize(("plane", "columns"), [(0, 256), (2, 10)])
def test_predictions_are_those_of_the_format(plane, columns):
    u, kinds = random_u(np.random.default_rng(plane), columns)
    first, second = checkerboard(*GRID).cells
    borders = Borders(GRID, kinds, u[:, 0], u[first, 1:])
    second = second[borders.order]
    found = []
    for span in stages(columns):
        found.append(borders.predict(sign_matrices()[plane], span))
        borders.subtract(u[second, span], span)
    found = np.concatenate(found, axis=1)
    for row, cell in zip(found, second, strict=True):
        assert row.tolist() == from_the_format(u, kinds, plane, cell)


def test_the_sums_are_exact_in_float32():
    for edges in sign_prediction._edges():
        # Columns of all stages but one are taken off what the neighbour and the mean add up to.
        assert 16 * 127 + 2 * 127 * np.abs(edges).sum(axis=0).max() < 2**24
    for plane in sign_matrices():
        assert max(2047 * np.abs(m).sum(axis=0).max() for m in plane) < 2**24


def test_stages_cover_the_columns_once():
    assert [c for s in stages(256) for c in range(s.start, s.stop)] == list(range(1, NUM_COLUMNS))
    assert [c for s in stages(10) for c in range(s.start, s.stop)] == list(range(1, 10))
    assert not list(stages(1))
    assert len(list(stages(NUM_COLUMNS))) == len(STAGES)


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (7, 3), (40, 9)])
def test_signs_survive_any_prediction(shape):
    rng = np.random.default_rng(shape[0])
    entries = rng.integers(-3, 4, shape).astype(np.int16)
    predictions = rng.normal(0, 2**16, shape).round().astype(np.float32)
    predictions[:1] = 0
    out = SymbolEncoder()
    put_signs(out, entries, predictions, sign_tables())
    decoder = SymbolDecoder(out.finish())
    assert np.array_equal(take_signs(decoder, np.abs(entries), predictions, sign_tables()), entries)
    decoder.finish()


def test_predicted_signs_take_less_than_a_bit(photo):
    # A crop of whole patches, so that padding is not what is predicted.
    contents = lrfjax.read_factors(lrfjax.dct_encode(photo[:96, :112], quality=30))
    u, kinds, grid = contents.factors[0].u, contents.kinds[0], (6, 7)
    first, second = checkerboard(*grid).cells
    borders = Borders(grid, kinds, u[:, 0], u[first, 1:])
    second = second[borders.order]
    right = wrong = 0
    for span in stages(u.shape[1]):
        predictions, entries = borders.predict(sign_matrices()[0], span), u[second, span]
        borders.subtract(entries, span)
        is_sure = sign_prediction.confidence_classes(np.abs(entries), predictions) >= 2
        right += np.count_nonzero(is_sure & (entries * predictions > 0))
        wrong += np.count_nonzero(is_sure & (entries * predictions < 0))
    assert right + wrong > 100
    assert right > 1.5 * wrong
