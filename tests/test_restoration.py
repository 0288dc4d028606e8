"""The restoration of planes: it helps, is the same everywhere, and stays in range."""

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


def restored(planes):
    """Return restored planes of 16 x 16 patches, whole."""
    count, height, width = planes.shape
    patches = planes.reshape(count, height // 16, 16, width // 16, 16).transpose(0, 2, 4, 1, 3)
    steps = np.array([500, 300, 700], np.int32)
    beyond = restore.extend(patches)
    chosen = restore.choose(beyond[0], steps[0], restoration_weights())
    parts = zip(beyond, steps, chosen, restore.CLIPS, strict=True)
    found = np.stack([restore.restore(*part, clips=clips) for *part, clips in parts])
    return found.reshape(patches.shape).transpose(0, 3, 1, 4, 2).reshape(planes.shape)


def test_restoration_leaves_flat_planes_alone():
    planes = np.full((3, 32, 48), -77, np.int32)
    assert np.array_equal(restored(planes), planes)


def test_restoration_does_not_see_the_grid_of_patches():
    planes = np.random.default_rng(0).integers(-900, 900, (3, 48, 64)).astype(np.int32)
    found = restored(planes)
    assert all((found != planes).any(axis=(1, 2)))
    # By a block, the planes move against the patches; only their edges differ.
    moved = np.roll(planes, (8, 8), (1, 2))
    inside = (slice(None), slice(16, -8), slice(16, -8))
    assert np.array_equal(restored(moved)[inside], np.roll(found, (8, 8), (1, 2))[inside])


def test_no_sum_of_restoration_overflows():
    for clips, weights in zip(restore.CLIPS, restoration_weights(), strict=True):
        # Samples are at most 2^17 in magnitude, so a difference is at most 2^18.
        limits = np.minimum(np.array(clips) * MAX_STEP * 16 // 256, 2**18)
        largest = 2 * np.tile(limits, len(restore.OFFSETS))
        assert (largest @ np.abs(weights.astype(np.int64))).max() < 2**31 - 2**10


def test_strengths_out_of_range_are_refused(photo):
    with pytest.raises(lrfjax.FormatError, match="restoration"):
        container.read(with_finish(lrfjax.dct_encode(photo, quality=20), restoration=17))
