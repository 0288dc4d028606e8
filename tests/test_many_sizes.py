"""Images of many sizes: few programs, and no trace of the padding that makes them few."""

import numpy as np
import pytest

import lrfjax
from lrfjax.codec.buckets import bucket, chunks, join, pad_to
from lrfjax.codec.dictionary import tiles

pytestmark = pytest.mark.unoptimized

PAPER = lrfjax.PAPER_SETTINGS


def test_chunks_are_all_patches_in_order_and_have_few_sizes():
    for count in (*range(1, 1100, 7), 512, 1024, 16384):
        found = chunks(count)
        assert [c.start for c in found] == [0, *(c.stop for c in found[:-1])]
        assert found[-1].stop == count
        assert all(c.stop - c.start <= c.size for c in found)
    assert {c.size for n in range(1, 2000) for c in chunks(n)} == {32, 128, 256, 512}


@pytest.mark.parametrize("count", [1, 31, 32, 600])
@pytest.mark.parametrize("axis", [0, 1])
def test_joined_chunks_are_the_array_that_was_cut(count, axis):
    array = np.moveaxis(np.arange(3 * count).reshape(3, count), 1, axis)
    parts = [c.cut(array, axis) for c in chunks(count)]
    assert {part.shape[axis] for part in parts} <= {32, 128, 256, 512}
    assert np.array_equal(join(parts, count, axis), array)


def test_buckets_hold_their_lengths_and_are_few():
    lengths = np.arange(1, 2**15)
    found = np.array([bucket(int(n)) for n in lengths])
    assert (found >= lengths).all()
    assert (found[1024:] < 1.51 * lengths[1024:]).all()
    assert len(set(found)) == 14
    # Pictures of 768 x 512 pixels fill theirs: luma, and chroma of half the size.
    assert bucket(6144) == 6144
    assert bucket(1536) == 1536


def test_a_reconstructed_patch_does_not_depend_on_the_others():
    rng = np.random.default_rng(0)
    u = rng.integers(-40, 41, (3, 45, 10)).astype(np.int16)
    kinds = rng.integers(0, 4, 45).astype(np.int32)
    steps = np.array([16, 30, 77], np.int32)
    whole = tiles.reconstruct_tile(u, kinds, steps, 8)
    for k in (0, 31, 44):
        alone = tiles.reconstruct_tile(u[:, k : k + 1], kinds[k : k + 1], steps, 8)
        assert np.array_equal(whole[..., k], alone[..., 0])


def test_the_dictionary_codec_compiles_for_the_size_of_the_chunk_alone(photo, compilations):
    for height, width in [(1, 1), (1, 120), (96, 1), (15, 17), (33, 64), (80, 96), (96, 80)]:
        data = lrfjax.dct_encode(photo[:height, :width], quality=40)
        assert lrfjax.decode(data).shape == (height, width, 3)
    # Two programs choose dictionaries, three restore, one turns planes into colours, and one is for
    # each of three widths of U.
    assert compilations.count <= 9


def test_the_published_codec_compiles_for_no_new_size(photo, compilations):
    def code(height, width):
        data = lrfjax.imf_encode(photo[:height, :width], quality=7, **PAPER)
        assert lrfjax.decode(data).shape == (height, width, 3)

    code(60, 60)
    before = compilations.count
    for size in [(1, 1), (1, 120), (15, 17), (33, 64), (64, 64)]:
        code(*size)
    assert compilations.count == before


def test_rows_of_zeros_change_neither_the_other_rows_nor_v(luma_matrix):
    few = lrfjax.imf(luma_matrix, 6)
    more = lrfjax.imf(pad_to(luma_matrix, 0, 256), 6)
    count = len(luma_matrix)
    assert not np.any(more.factors.u[count:])
    # Sums over more rows round another way, so single integers may differ.
    errors = [float(r.history.relative_error[-1]) for r in (few, more)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-3)
    assert np.mean(few.factors.v == more.factors.v) > 0.9
