"""The codecs from outside: every method and both ways, any image, targets, bad arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrfjax
from lrfjax.codec.dictionary import tiles
from lrfjax.codec.published.layout import to_matrices
from lrfjax.codec.published.ranks import resolve_ranks
from tests.make_golden import deep, drawing, with_alpha

pytestmark = pytest.mark.unoptimized

DCT, IMF, SVD, NMF = lrfjax.dct_encode, lrfjax.imf_encode, lrfjax.svd_encode, lrfjax.nmf_encode
DECODERS = {
    DCT: lrfjax.dct_decode,
    IMF: lrfjax.imf_decode,
    SVD: lrfjax.svd_decode,
    NMF: lrfjax.nmf_decode,
}
SVD_PAPER = {"color_space": "YCbCr", "upsampling": "linear", "entropy": "context"}
PAPER = dict(lrfjax.PAPER_SETTINGS)

# Encoder, settings, and whether it takes 16 bits.
WAYS = {
    "dct": (DCT, {}, True),
    "imf": (IMF, {"num_iters": 2}, True),
    "svd": (SVD, {}, True),
    "nmf": (NMF, {}, True),
    "imf paper": (IMF, PAPER, False),
    "svd paper": (SVD, SVD_PAPER, False),
}
CHEAP = ("dct", "svd")
BY_WAY = pytest.mark.parametrize("way", WAYS)


def small(photo):
    return photo[:17, :23]


def cheap(way, photo):
    """Return an image for several files: gray where each rank is another program."""
    return photo if way == "dct" else photo[..., 0]


def psnr(image, decoded):
    """Return the PSNR over channels without alpha, at any depth."""
    peak = np.iinfo(image.dtype).max
    if image.ndim == 3:
        image, decoded = image[..., :3], decoded[..., :3]
    error = np.mean(np.square(image.astype(float) - decoded))
    return 10 * np.log10(peak**2 / max(error, 1e-10))


@BY_WAY
@pytest.mark.parametrize("size", [(1, 1), (17, 23)])
def test_images_of_any_kind_come_back(way, size, photo):
    encode, params, takes_16_bits = WAYS[way]
    image = photo[: size[0], : size[1]]
    images = [image[..., 1], image, with_alpha(image)]
    if takes_16_bits:
        images += [deep(image), deep(image[..., 1])]
    if way not in CHEAP:
        images = images[-1:]
    for one in images:
        data = encode(one, rank=min(8, size[0]), **params)
        decoded = DECODERS[encode](data)
        assert (decoded.dtype, decoded.shape) == (one.dtype, one.shape)
        assert psnr(one, decoded) > 14
        if one.shape[2:] == (4,):
            assert np.array_equal(decoded[..., 3], one[..., 3])
        assert np.array_equal(lrfjax.decode(data), decoded)
        decoded[0] = 0


def test_settings_of_the_caller_change_nothing(photo):
    ways = {
        "dictionary": lambda: DCT(small(photo), quality=50),
        "paper": lambda: IMF(small(photo), rank=8, **{**PAPER, "upsampling": "linear"}),
    }
    for encode in ways.values():
        plain = encode()
        with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
            assert encode() == plain
            assert lrfjax.decode(plain).shape == (17, 23, 3)


@pytest.mark.parametrize("size", [(1, 9), (9, 1), (33, 16)])
def test_dictionaries_take_any_size(size, photo):
    image = photo[: size[0], : size[1]]
    for one in (image, deep(image[..., 0])):
        decoded = lrfjax.decode(DCT(one, quality=70))
        assert decoded.shape == one.shape
        assert psnr(one, decoded) > 30


@BY_WAY
@pytest.mark.parametrize("value", [0, 255])
def test_constant_images_stay_constant(way, value):
    encode, params, _ = WAYS[way]
    image = np.full((17, 23, 3), value, np.uint8)
    image = image if way in CHEAP or way == "imf paper" else image[..., 0]
    decoded = lrfjax.decode(encode(image, rank=8, **params))
    assert np.abs(decoded.astype(int) - value).max() <= (12 if way == "imf paper" else 2)


@pytest.mark.parametrize("quality", [0, 100])
@pytest.mark.parametrize("encode", [DCT, SVD])
def test_black_and_white_are_reached_at_any_depth(encode, quality):
    half = np.zeros((17, 23), np.uint8)
    half[:, 11:] = 255
    for image in (half, np.dstack([half] * 3), 257 * half.astype(np.uint16)):
        decoded = lrfjax.decode(encode(image, quality=quality))
        assert psnr(image, decoded) > (15 if quality == 0 else 30)
    deep_white = np.full((17, 23, 3), 65535, np.uint16)
    deep_white[:, 11:] = 0
    assert psnr(deep_white, lrfjax.decode(encode(deep_white, quality=100))) > 40


@pytest.mark.parametrize("way", ["dct", "svd paper"])
def test_metadata_is_kept(way, photo):
    encode, params, _ = WAYS[way]
    profile, exif = bytes(range(256)), b"Exif\0\0MM"
    image = small(photo)
    plain = encode(image, quality=50, **params)
    data = encode(image, quality=50, icc_profile=profile, exif=exif, **params)
    assert lrfjax.read_metadata(data) == lrfjax.read_metadata(plain).__class__(profile, exif)
    assert lrfjax.read_metadata(plain).icc_profile is None
    assert lrfjax.read_metadata(encode(image, quality=50, exif=b"", **params)).exif == b""
    assert np.array_equal(lrfjax.decode(data), lrfjax.decode(plain))
    sizes = lrfjax.read_factors(data).sizes
    assert sizes["icc_profile"] == 256
    assert sum(sizes.values()) == len(data)


def test_jax_arrays_and_buffers_are_taken(photo):
    data = DCT(jnp.asarray(small(photo)), quality=50)
    assert data == DCT(small(photo), quality=50)
    assert np.array_equal(lrfjax.decode(bytearray(data)), lrfjax.decode(memoryview(data)))


@pytest.mark.parametrize("way", ["dct", "svd", "svd paper"])
def test_higher_quality_is_closer_and_larger(way, photo):
    encode, params, _ = WAYS[way]
    image = cheap(way, photo)
    files = [encode(image, quality=q, **params) for q in (5, 35, 65)]
    sizes = [len(data) for data in files]
    closeness = [psnr(image, lrfjax.decode(data)) for data in files]
    assert sizes == sorted(set(sizes))
    assert closeness == sorted(set(closeness))
    assert closeness[0] > 11


@BY_WAY
def test_more_rank_is_closer(way, photo):
    encode, params, _ = WAYS[way]
    image = cheap(way, photo)
    closeness = [psnr(image, lrfjax.decode(encode(image, rank=r, **params))) for r in (2, 8)]
    assert 14 < closeness[0] + 1.5 < closeness[1]


@pytest.mark.parametrize("params", [{"color_space": "RGB"}, {"color_space": "YCbCr"}])
def test_dictionaries_take_other_colors(params, photo):
    rotated = DCT(photo, target_psnr=32)
    other = DCT(photo, target_psnr=32, **params)
    assert abs(psnr(photo, lrfjax.decode(other)) - 32) <= 0.1
    assert len(rotated) < len(other)


def test_more_effort_takes_fewer_bytes():
    sizes = [len(DCT(drawing(96, 120), target_psnr=32, effort=e)) for e in (1, 2, 3)]
    assert sizes[2] < sizes[0]
    assert sizes[1] < sizes[0]


def test_the_other_way_of_each_setting_of_the_layout(photo):
    for params in (
        {"color_space": "RGB", "patch": False},
        {"color_space": "YCbCr", "patch_size": (4, 16), "scale_factor": (1.0, 0.3)},
        {"color_space": "YCbCr", "upsampling": "linear", "entropy": "context", "bits": 6},
    ):
        assert psnr(small(photo), lrfjax.decode(SVD(small(photo), quality=40, **params))) > 17


@pytest.mark.parametrize(
    ("encode", "bpp"), [(DCT, 0.5), (DCT, 1.1), (DCT, 3.0), (SVD, 3.0), (SVD, 5.0), (NMF, 2.5)]
)
def test_a_rate_is_met_and_never_exceeded(encode, bpp, photo):
    image = photo[..., 0] if encode is NMF else photo
    bits = 8 * len(encode(image, target_bpp=bpp)) / (96 * 120)
    assert 0.98 * bpp <= bits <= bpp


@pytest.mark.parametrize(
    ("encode", "target"), [(DCT, 27.0), (DCT, 36.0), (DCT, 45.0), (SVD, 27.0), (SVD, 36.0)]
)
def test_a_psnr_is_met(encode, target, photo):
    data = encode(photo, target_psnr=target)
    assert abs(psnr(photo, lrfjax.decode(data)) - target) <= 0.1


def test_targets_are_met_for_other_images(photo):
    for image in (with_alpha(photo), deep(photo), photo[..., 0]):
        data = DCT(image, target_bpp=3.0)
        assert 0.98 * 3 <= 8 * len(data) / (96 * 120) <= 3
        assert abs(psnr(image, lrfjax.decode(DCT(image, target_psnr=34))) - 34) <= 0.1


def test_dials_compile_nothing_new(photo, compilations):
    for quality in (30, 44, 58, 80):  # few columns of U, and many
        lrfjax.decode(DCT(photo, quality=quality))
    before = compilations.count
    for quality in range(30, 80, 7):
        lrfjax.decode(DCT(photo, quality=quality))
    DCT(photo, target_bpp=1.1)
    DCT(photo, target_psnr=31)
    assert compilations.count == before


@pytest.mark.parametrize("entropy", ["deflate", "context"])
def test_the_paper_settings_hold_the_factors_of_the_solver(entropy, photo):
    data = IMF(small(photo), rank=5, **PAPER | {"entropy": entropy})
    contents = lrfjax.read_factors(data)
    matrices = to_matrices(small(photo), layout=contents.header.layout)
    assert [m.shape for m in matrices] == [(9, 64), (2, 64), (2, 64)]
    for x, rank, f in zip(matrices, (5, 2, 2), contents.factors, strict=True):
        result = lrfjax.imf(x, rank, record_every=10)
        assert np.array_equal(f.u, result.factors.u)
        assert np.array_equal(f.v, result.factors.v)
    assert sum(contents.sizes.values()) == len(data)


def test_ranks_from_quality_and_rank():
    def ranks(layout, **rate):
        return resolve_ranks(layout, lrfjax.Rate(**rate))

    layout = lrfjax.PaperIMFCodec().layout((512, 768, 3))
    assert ranks(layout, quality=10) == [6, 3, 3]
    assert ranks(layout, quality=0) == [1, 1, 1]
    assert ranks(layout, quality=(50, 10, 20)) == [32, 6, 13]
    assert ranks(layout, rank=7) == [7, 3, 3]
    assert ranks(layout, rank=1) == [1, 1, 1]
    assert ranks(layout, rank=np.array([3, 2, 1])) == [3, 2, 1]
    rgb = lrfjax.PaperSVDCodec().layout((512, 768, 3))
    assert rgb.matrix_shapes == [(6144, 192)]
    assert ranks(rgb, quality=10) == [19]


def test_contexts_take_fewer_bytes_than_deflate(photo):
    files = [IMF(photo[..., 0], rank=8, **PAPER | {"entropy": e}) for e in ("deflate", "context")]
    assert np.array_equal(*map(lrfjax.decode, files))
    assert len(files[1]) < 0.8 * len(files[0])


@pytest.mark.parametrize("patches", [1, 17, 40])
def test_tiles_hardly_show(patches, photo, monkeypatch):
    whole = DCT(photo, quality=40)
    one = lrfjax.decode(whole)
    monkeypatch.setattr(tiles, "PATCHES_PER_TILE", patches)
    data = DCT(photo, quality=40)
    header = lrfjax.read_factors(data).header
    rows = {1: [1] * 6, 17: [2] * 3, 40: [5, 1]}[patches]
    assert [grid[0] for grid in header.grids] == rows
    assert lrfjax.decode(data).shape == photo.shape
    assert abs(psnr(photo, lrfjax.decode(data)) - psnr(photo, one)) < 0.3
    assert len(data) < 1.2 * len(whole)
    # At the border between tiles no more is lost than inside of them.
    top = 16 * header.tile_rows
    error = np.square(lrfjax.decode(data).astype(float) - photo).mean(axis=(1, 2))
    assert error[top - 2 : top + 2].mean() < 2 * error.mean()


def test_tiles_of_an_even_dial_are_rendered_as_they_will_be_decoded(photo, monkeypatch):
    monkeypatch.setattr(tiles, "PATCHES_PER_TILE", 20)
    data = DCT(photo, target_psnr=32.0)
    assert abs(psnr(photo, lrfjax.decode(data)) - 32) <= 0.1


def test_decoders_take_bytes():
    with pytest.raises(lrfjax.InputTypeError, match="data must be bytes, got str"):
        lrfjax.decode("LRFJ")


def test_jpeg_and_other_pillow_formats(photo):
    for format, params in (("JPEG", {"quality": 90}), ("WEBP", {"quality": 80}), ("PNG", {})):
        for image in (photo, photo[..., 0]):
            decoded = lrfjax.pil_decode(lrfjax.pil_encode(image, format, **params))
            expected = image if decoded.ndim == image.ndim else np.stack([image] * 3, -1)
            assert psnr(expected, decoded) > 28
            decoded[0] = 0
