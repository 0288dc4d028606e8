"""The estimate that chooses the dictionary of each patch."""

import numpy as np
import pytest

from lrfjax.codec.dictionary.choice import choose

pytestmark = pytest.mark.unoptimized


def test_split_dictionaries_are_chosen_where_halves_differ():
    # A wave of one half of a patch needs one coefficient in a split dictionary.
    wave = np.where(np.arange(16) < 8, np.cos(np.pi * (2 * np.arange(16) + 1) * 3 / 16), 0)
    flat = np.zeros((16, 16))
    patches = np.stack([flat, flat + 20 * wave, flat + 20 * wave[:, None]], axis=-1)[None]
    steps = np.full(1, 20, np.float32)
    u, kinds = choose(patches.astype(np.float32), steps, (1, 3), 0.12)
    assert u.shape == (1, 3, 256)
    assert kinds.tolist() == [0, 1, 2]


@pytest.mark.parametrize("grid", [(1, 1), (3, 2), (7, 80)])
def test_the_choice_does_not_depend_on_chunks(grid):
    # A chunk ends within the last grid. Patches far from its end see the same neighbours in part.
    rng = np.random.default_rng(2)
    count = grid[0] * grid[1]
    patches = rng.normal(0, 30, (3, 16, 16, count)).astype(np.float32)
    steps = np.array([30, 30, 40], np.float32)
    u, kinds = choose(patches, steps, grid, 0.12)
    assert (u.shape, kinds.shape) == ((3, count, 256), (count,))
    rows = min(grid[0], 3)
    part = patches[..., : rows * grid[1]]
    u_part, kinds_part = choose(part, steps, (rows, grid[1]), 0.12)
    inside = slice(0, max(rows - 1, 0) * grid[1])
    assert np.array_equal(kinds_part[inside], kinds[inside])
    assert np.allclose(u_part[:, inside], u[:, inside], atol=1e-4)
