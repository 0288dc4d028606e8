"""The derivative of the rate through contexts, against differences of the contexts themselves."""

import numpy as np

from lrfjax.codec.dictionary.atoms import BANDS
from lrfjax.codec.entropy import dictionary_coder
from lrfjax.codec.entropy.checkerboard import checkerboard
from lrfjax.codec.entropy.context_gradient import rate_gradient, slopes
from lrfjax.codec.entropy.dictionary_coder import DecidingSource, Stack, walk
from lrfjax.codec.entropy.frequency_contexts import WEIGHT_ONE


class FixedSource(DecidingSource):
    """Takes the entries that it is given, without deciding anything."""

    def band(self, plane, color, band, classes, tables):
        super().band(plane, color, band, classes, tables)
        return np.abs(self.targets[color][plane, :, slice(*BANDS[band])]).astype(np.int32)

    def end_of_plane(self, plane, by_color, means):
        return by_color


def expected_magnitudes(entries, stack, monkeypatch):
    """Return what is expected of each entry, in the order of the walk."""
    seen = []
    found = dictionary_coder.classes_of

    def record(expected):
        seen.append(expected / WEIGHT_ONE)
        return found(expected)

    with monkeypatch.context() as patch:
        patch.setattr(dictionary_coder, "classes_of", record)
        walk(FixedSource(entries, stack, 0.1), stack)
    return seen


def test_it_is_the_sum_of_slopes_over_all_contexts_of_an_entry(monkeypatch):
    rng = np.random.default_rng(3)
    stack = Stack((5, 7), (9, 6, 4), (500, 600, 700), 0)
    entries = rng.poisson(0.7, (3, 35, stack.num_columns)).astype(np.float32)
    for plane, bands in enumerate(stack.bands):
        entries[plane, :, BANDS[bands - 1][1] :] = 0
    source = DecidingSource(entries, stack, 1e-9)
    walk(source, stack)
    gradient = rate_gradient(source)
    records = [r for plane in source.records for colors in plane for r in colors]
    assert all(np.all(r.values <= 24) for r in records)
    steep = [slopes(r.values, r.classes, r.tables) for r in records]
    before = expected_magnitudes(entries, stack, monkeypatch)
    assert len(before) == len(steep)
    board = checkerboard(*stack.grid)
    for _ in range(25):
        plane, color = rng.integers(3), rng.integers(2)
        column = rng.integers(1, BANDS[stack.bands[plane] - 1][1])
        place = rng.integers(len(board.cells[color]))
        more = entries.copy()
        more[plane, board.cells[color][place], column] += 1
        after = expected_magnitudes(more, stack, monkeypatch)
        change = sum(np.sum(s * (b - a)) for s, a, b in zip(steep, before, after, strict=True))
        assert np.isclose(gradient[color][plane, place, column], change, rtol=1e-3, atol=1e-4)
