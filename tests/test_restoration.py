"""The restoration of the first plane: it helps, is the same everywhere, and stays in range."""

from dataclasses import replace

import numpy as np
import pytest

import lrfjax
from lrfjax.codec.entropy.trained import restoration_weights
from lrfjax.codec.file import container
from lrfjax.codec.file.header_parts import MAX_STEP
from lrfjax.image import restore

pytestmark = pytest.mark.unoptimized


def with_finish(data, **changes):
    """Return a file with other parameters of the finish."""
    file = container.read(data)
    finish = replace(file.header.finish, **changes)
    return container.write(replace(file, header=replace(file.header, finish=finish)))


@pytest.mark.parametrize("encode", [lrfjax.dct_encode, lrfjax.svd_encode])
@pytest.mark.parametrize("quality", [20, 45])
def test_restoration_comes_closer_to_photographs(quality, encode, photo):
    data = encode(photo, quality=quality)
    without = with_finish(data, restoration=0)
    psnr = [float(lrfjax.psnr(photo, lrfjax.decode(file))) for file in (data, without)]
    assert psnr[0] > psnr[1]


def restored(plane):
    """Return a restored plane of 16 x 16 patches, whole."""
    rows, columns = (n // 16 for n in plane.shape)
    patches = plane.reshape(rows, 16, columns, 16).transpose(1, 3, 0, 2)
    found = restore.restore(restore.extend(patches), np.int32(500), restoration_weights())
    return np.asarray(found).reshape(patches.shape).transpose(2, 0, 3, 1).reshape(plane.shape)


def test_restoration_leaves_flat_planes_alone():
    plane = np.full((32, 48), -77, np.int32)
    assert np.array_equal(restored(plane), plane)


def test_restoration_does_not_see_the_grid_of_patches():
    plane = np.random.default_rng(0).integers(-900, 900, (48, 64)).astype(np.int32)
    found = restored(plane)
    assert not np.array_equal(found, plane)
    # By a block, the plane moves against the patches; only its edges differ.
    moved = np.roll(plane, (8, 8), (0, 1))
    inside = (slice(16, -8), slice(16, -8))
    assert np.array_equal(restored(moved)[inside], np.roll(found, (8, 8), (0, 1))[inside])


def test_no_sum_of_restoration_overflows():
    weights = np.abs(restoration_weights().astype(np.int64))
    largest = np.tile(restore.CLIPS, len(restore.OFFSETS)) * MAX_STEP * 16 // 256
    assert (2 * largest @ weights).max() < 2**31


def test_strengths_out_of_range_are_refused(photo):
    with pytest.raises(lrfjax.FormatError, match="restoration"):
        container.read(with_finish(lrfjax.dct_encode(photo, quality=20), restoration=17))
