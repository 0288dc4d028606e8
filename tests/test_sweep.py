"""Sweeps over qualities: the files of single calls, from one program; and padded ranks."""

import math

import numpy as np
import pytest

import lrfjax
from lrfjax import (
    PAPER_SETTINGS,
    InputError,
    PaperIMFCodec,
    PaperSVDCodec,
    Rate,
    imf_decode,
    imf_encode,
)
from lrfjax.errors import InputTypeError
from lrfjax.image.metrics import fidelity

pytestmark = pytest.mark.unoptimized

IMF, SVD = PaperIMFCodec(), PaperSVDCodec()
# Luma of 48 patches: ranks 1, 3, 7, which a single call pads to 8 and a sweep up to 40 to 32.
QUALITIES = [0, 6, 15]
INTEGERS = lrfjax.Model(lrfjax.IntegerBox(-16, 15), lrfjax.IntegerBox(-16, 15))


@pytest.fixture(scope="module")
def images(photo):
    return [photo[:48, :64], photo[40:88, 50:114]]


@pytest.fixture(scope="module")
def imf_files(images):
    return list(IMF.sweep(images, QUALITIES, 40))


def test_imf_files_of_a_batch_are_those_of_single_calls(images, imf_files):
    for quality, files in zip(QUALITIES, imf_files, strict=True):
        assert files == [imf_encode(x, quality=quality, **PAPER_SETTINGS) for x in images]


def test_svd_files_are_those_of_single_calls_one_by_one_or_not(images):
    qualities = [0, 5, 40]
    swept = list(SVD.sweep(images, qualities))
    for k, image in enumerate(images):
        alone = [files[0] for files in SVD.sweep([image], qualities)]
        assert alone == [files[k] for files in swept]
        single = [SVD.encode(image, Rate(quality=q)) for q in qualities]
        assert alone == single
    assert len({len(files[0]) for files in swept}) == len(qualities)


def test_gray_images_and_other_settings_are_those_of_single_calls(photo):
    gray = photo[:24, :32, 1]
    settings = {"patch_size": (4, 4), "bounds": (-8, 7), "num_iters": 3, "init": "balanced"}
    single = imf_encode(gray, quality=30, **{**PAPER_SETTINGS, **settings})
    assert list(PaperIMFCodec(**settings).sweep([gray], [30])) == [[single]]


def test_a_whole_published_curve_takes_three_programs(images, compilations):
    np.testing.assert_allclose(IMF.levels, np.linspace(0, 40, 80), atol=1e-6)
    sizes, similar = [], []
    for data, _ in IMF.sweep(images, IMF.levels):
        similar.append(
            float(np.asarray(fidelity(images[0][None], imf_decode(data)[None]).psnr_db)[0])
        )
        sizes.append(len(data))
    assert compilations.count <= 3
    assert len(set(sizes)) > 15
    assert sizes[-1] > 5 * sizes[0]
    assert similar[-1] > similar[0] + 5


def test_sweeps_up_to_the_same_quality_share_their_program(images, imf_files, compilations):
    files = list(IMF.sweep(images, [30], 40))
    before = compilations.count
    files += IMF.sweep(images, [6, 30], 40)
    assert compilations.count == before
    assert files[1] == imf_files[1]


@pytest.mark.parametrize("codec", [IMF, SVD])
@pytest.mark.parametrize(
    ("shapes", "qualities", "message"),
    [
        ([], [1], "images .* at least one"),
        ([(8, 8), (8, 9)], [1], r"images .* one shape, got \(8, 8\) and \(8, 9\)"),
        ([(8, 8), (8, 8, 3)], [1], "images .* one shape"),
        ([(8, 8, 4)], [1], r"images .*\(8, 8, 4\)"),
        ([(8, 8)], [], "qualities .* at least one"),
        ([(8, 8)], [1, -1], "qualities .* got -1"),
        ([(8, 8)], [1, 101], "qualities .* got 101"),
        ([(8, 8)], [math.nan], "qualities .* got nan"),
    ],
)
def test_impossible_values_are_named_on_the_call(codec, shapes, qualities, message):
    images = [np.zeros(shape, np.uint8) for shape in shapes]
    with pytest.raises(InputError, match=message):
        codec.sweep(images, qualities)


@pytest.mark.parametrize("codec", [IMF, SVD])
@pytest.mark.parametrize(
    ("images", "qualities", "message"),
    [
        (5, [1], "images .* got 5"),
        ([np.zeros((8, 8))], [1], "images .* float64"),
        ([np.zeros((8, 8), np.uint8)], 5, "qualities .* got 5"),
        ([np.zeros((8, 8), np.uint8)], "5", "qualities .* got '5'"),
        ([np.zeros((8, 8), np.uint8)], [[5, 1, 1]], r"qualities .* got \[5, 1, 1\]"),
    ],
)
def test_wrong_types_are_named_on_the_call(codec, images, qualities, message):
    with pytest.raises(InputTypeError, match=message):
        codec.sweep(images, qualities)


@pytest.mark.parametrize(
    ("largest", "message"),
    [(19, "between 20.0 and 100.0, got 19"), (101, "101"), (math.nan, "nan")],
)
def test_the_largest_quality_is_not_below_the_others(largest, message):
    with pytest.raises(InputError, match=f"largest .*{message}"):
        IMF.sweep([np.zeros((8, 8, 3), np.uint8)], [0, 20], largest)


def test_sweeps_have_no_random_start():
    with pytest.raises(InputError, match=r"init .* 'random'"):
        PaperIMFCodec(init="random", key=1).sweep([np.zeros((8, 8, 3), np.uint8)], [20])


def _parts(*results):
    """Return U of all results, and V of all, on the host."""
    factors = [result.factors for result in results]
    return [[np.asarray(f.u) for f in factors], [np.asarray(f.v) for f in factors]]


def test_padded_columns_change_no_integer(luma_matrix):
    x = luma_matrix[:20, :16]
    plain = lrfjax.imf(x, 3, num_iters=4)
    padded = lrfjax.factorize(x, 3, model=INTEGERS, num_iters=4, max_rank=11)
    for part, same in _parts(padded, plain):
        assert part.shape == (len(same), 11)
        assert not np.any(part[:, 3:])
        np.testing.assert_array_equal(part[:, :3], same)
    np.testing.assert_array_equal(padded.history.objective, plain.history.objective)


def test_padded_columns_change_nonnegative_factors_by_rounding_only(luma_matrix):
    x = luma_matrix[:20, :16]
    model = lrfjax.Model(lrfjax.NonNegative(), lrfjax.NonNegative())
    plain = lrfjax.nmf(x, 3, num_iters=20, method=lrfjax.BCD())
    padded = lrfjax.factorize(x, 3, model=model, start="nndsvd", num_iters=20, max_rank=11)
    for part, same in _parts(padded, plain):
        assert part.shape == (len(same), 11)
        assert not np.any(part[:, 3:])
        np.testing.assert_allclose(part[:, :3], same, rtol=1e-3, atol=1e-3 * np.max(same))


def test_ranks_up_to_max_rank_share_a_program(luma_matrix, compilations):
    x = luma_matrix[:20, :16]

    def error(rank):
        result = lrfjax.factorize(x, rank, model=INTEGERS, num_iters=4, max_rank=11)
        return np.asarray(result.history.relative_error)[-1]

    error(1)
    before = compilations.count
    errors = [error(rank) for rank in (1, 5, 11)]
    assert compilations.count == before
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("model", [INTEGERS, lrfjax.Model()], ids=["integers", "real"])
@pytest.mark.parametrize(
    ("rank", "max_rank", "message"),
    [
        (3, 0, "max_rank .* got 0"),
        (3, 17, "max_rank .* between 1 and 16, got 17"),
        (5, 4, "rank .* between 1 and 4, got 5"),
        (0, 4, "rank .* between 1 and 4, got 0"),
    ],
)
def test_impossible_ranks_are_named(model, rank, max_rank, message):
    with pytest.raises(InputError, match=message):
        lrfjax.factorize(np.ones((20, 16), np.float32), rank, model=model, max_rank=max_rank)


def test_max_rank_is_an_integer():
    with pytest.raises(InputTypeError, match=r"max_rank .* 4\.5"):
        lrfjax.factorize(np.ones((20, 16), np.float32), 3, max_rank=4.5)


def test_fidelity_is_that_of_the_single_metrics(photo):
    noise = np.random.default_rng(0).normal(0, 9, (48, 64, 3))
    a = np.stack([photo[:48, :64]] * 2)
    b = np.stack([a[0], np.clip(a[1] + noise, 0, 255).astype(np.uint8)])
    found = fidelity(a, b)
    assert np.isposinf(found.psnr_db[0])
    np.testing.assert_allclose(found.psnr_db, lrfjax.psnr(a, b), rtol=1e-5)
    np.testing.assert_allclose(found.ssim, lrfjax.ssim(a, b), rtol=1e-5)
    assert np.all(np.isnan(found.ms_ssim))


def test_fidelity_of_images_below_the_window_has_no_similarity():
    a = np.full((2, 8, 30), 7, np.uint8)
    found = fidelity(a, a + np.uint8(51))
    np.testing.assert_allclose(found.psnr_db, 20 * np.log10(5), rtol=1e-6)
    assert np.all(np.isnan(found.ssim))


@pytest.mark.slow
def test_fidelity_of_large_images_has_all_scales():
    a = np.random.default_rng(1).integers(0, 256, (1, 176, 180), np.uint8)
    b = a // 2 + np.uint8(40)
    np.testing.assert_allclose(fidelity(a, b).ms_ssim[0], lrfjax.ms_ssim(a[0], b[0]), rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "other"), [((2, 8, 8), (2, 8, 9)), ((8, 8), (8, 8)), ((0, 8, 8), (0, 8, 8))]
)
def test_fidelity_names_impossible_shapes(shape, other):
    with pytest.raises(InputError, match=r"\("):
        fidelity(np.zeros(shape, np.uint8), np.zeros(other, np.uint8))
