"""Colour, chroma, padding and patches: pairs of functions that undo each other."""

import numpy as np
import pytest
from PIL import Image

from lrfjax.image import color, patches, resample

# One, odd, even, prime, and a multiple of a patch.
SIZES = [(1, 1), (1, 9), (7, 5), (16, 24), (17, 8), (40, 31)]


def test_ycbcr_is_that_of_jpeg(photo):
    ours = color.rgb_to_ycbcr(photo)
    pillows = np.asarray(Image.fromarray(photo).convert("YCbCr"))
    assert np.abs(ours - pillows).max() < 1.01  # Pillow's tables truncate


def test_the_integer_inverse_is_the_rounded_real_one():
    levels = np.linspace(0, 255, 18).round().astype(np.int32)
    y, cb, cr = (a.ravel() for a in np.meshgrid(levels, levels, levels))
    ours = np.asarray(color.ycbcr_to_rgb(*(a[None] for a in (y, cb, cr))))[0]
    b, r = cb - 128.0, cr - 128.0
    exact = np.stack([y + 1.402 * r, y - 0.344136 * b - 0.714136 * r, y + 1.772 * b], axis=-1)
    assert np.array_equal(ours, np.clip(np.floor(exact + 0.5), 0, 255).astype(np.uint8))


def test_gray_survives_both_ways():
    gray = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    ycbcr = np.rint(color.rgb_to_ycbcr(gray)).astype(np.int32)
    planes = [ycbcr[..., i] for i in range(3)]
    assert np.array_equal(color.ycbcr_to_rgb(*planes), gray)


@pytest.mark.parametrize("patch", [(1, 1), (8, 8), (3, 17)])
@pytest.mark.parametrize("size", SIZES)
def test_padding_and_patches_are_undone(size, patch):
    planes = np.random.default_rng(0).integers(0, 256, (2, *size)).astype(np.int32)
    padded = patches.pad(planes, patch)
    assert padded.shape[1:] == patches.padded_size(size, patch)
    assert np.array_equal(patches.unpad(padded, size), planes)
    matrix = patches.patchify(padded, patch)
    assert matrix.shape == (padded[0].size // (patch[0] * patch[1]), 2 * patch[0] * patch[1])
    assert np.array_equal(patches.unpatchify(matrix, padded.shape, patch), padded)


def test_a_row_of_the_patch_matrix_is_a_patch():
    planes = np.arange(2 * 4 * 6).reshape(2, 4, 6)
    matrix = patches.patchify(planes, (2, 3))
    assert np.array_equal(matrix[1], planes[:, :2, 3:].ravel())
    assert np.array_equal(matrix[2], planes[:, 2:, :3].ravel())


def test_padding_is_the_symmetric_reflection():
    plane = np.arange(5)[None]
    padded = patches.pad(plane, (1, 8))
    assert padded.tolist() == [[1, 0, 1, 2, 3, 4, 3, 2]]


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("size", SIZES)
def test_area_downsampling_keeps_the_mean_and_constants(size, share):
    small = tuple(max(round(n * share), 1) for n in size)
    plane = np.random.default_rng(1).random(size).astype(np.float32)
    result = resample.downsample(plane, small)
    assert result.shape == small
    assert np.isclose(result.mean(), plane.mean(), atol=1e-5)
    flat = resample.downsample(np.full(size, 7.0, np.float32), small)
    assert np.allclose(flat, 7, atol=1e-5)


def test_downsampling_by_two_is_the_block_mean():
    plane = np.random.default_rng(2).random((6, 8)).astype(np.float32)
    blocks = plane.reshape(3, 2, 4, 2).mean(axis=(1, 3))
    assert np.allclose(resample.downsample(plane, (3, 4)), blocks, atol=1e-6)


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("small", SIZES[:4])
def test_upsampling_by_a_whole_factor_repeats_and_is_undone_by_the_mean(small, factor):
    plane = np.random.default_rng(3).integers(0, 256, small).astype(np.int32)
    size = (small[0] * factor, small[1] * factor)
    large = resample.upsample(plane, size)
    assert np.array_equal(large, plane.repeat(factor, axis=0).repeat(factor, axis=1))
    back = resample.downsample(large.astype(np.float32), small)
    assert np.allclose(back, plane, atol=1e-3)
