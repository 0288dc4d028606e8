"""What a run is made of: batches of images, and methods with their levels."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lrfjax.errors import InputError
from lrfjax.evaluation.dataset import Item, batches
from lrfjax.evaluation.methods import METHODS, choose_methods


@pytest.mark.parametrize("num_parts", [1, 2, 3, 50])
def test_batches_have_one_shape_and_hold_every_image_once(num_parts):
    rng = np.random.default_rng(num_parts)
    shapes = [(8, 8), (8, 9, 3), (3000, 4000, 3), (2000, 2000)]
    picked = rng.integers(len(shapes), size=120)
    items = [Item(str(n), Path(str(n)), shapes[k], "") for n, k in enumerate(picked)]
    found = batches(items, num_parts)
    assert sorted(int(i.name) for batch in found for i in batch) == list(range(120))
    for shape in shapes:
        same = [batch for batch in found if batch[0].shape == shape]
        assert all(item.shape == shape for batch in same for item in batch)
        names = [int(item.name) for batch in same for item in batch]
        assert names == sorted(names)
        # A last one that is shorter aside, one length, so that few programs are made.
        assert len({len(batch) for batch in same[:-1]}) <= 1
        assert all(len(a) >= len(b) for a, b in pairwise(same))
        assert len(same[0]) <= max(1, min(16, 2**23 // (shape[0] * shape[1])))
        assert len(same) >= min(num_parts, sum(map(len, same))) / 2


def test_few_images_are_shared_out_among_many_processes():
    items = [Item(str(n), Path(str(n)), (8, 8), "") for n in range(4)]
    assert [len(batch) for batch in batches(items, 1)] == [4]
    assert [len(batch) for batch in batches(items, 4)] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("names", "levels", "message"),
    [
        ([], {}, "methods must name at least one codec"),
        (["jpge"], {}, "codec 'jpge' is unknown: did you mean 'jpeg'"),
        (["jpeg", "zzz"], {}, "codec 'zzz' is unknown: known are dct"),
        (["jpeg"], {"imf": [1]}, "levels are for 'imf', which is not among jpeg"),
        (["jpeg"], {"jpeg": []}, "levels of 'jpeg' must not be empty"),
    ],
)
def test_impossible_choices_are_named(names, levels, message):
    with pytest.raises(InputError, match=message):
        choose_methods(names, levels)


def test_a_choice_counts_once_and_its_levels_rise():
    jpeg, imf = choose_methods(["jpeg", "imf", "jpeg"], {"jpeg": [50, 5, 50]})
    assert jpeg.levels == (5.0, 50.0)
    assert imf == METHODS["imf"]
