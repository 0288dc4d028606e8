"""What the codecs refuse, and that they name it: arguments, images, targets out of reach."""

import numpy as np
import pytest

import lrfjax
from lrfjax.codec import container
from tests.make_golden import deep

IMF, SVD, NMF = lrfjax.imf_encode, lrfjax.svd_encode, lrfjax.nmf_encode
CLASSIC = {"color_space": "YCbCr"}
PAPER = dict(lrfjax.PAPER_SETTINGS)


def small(photo):
    return photo[:17, :23]


@pytest.mark.parametrize(
    ("params", "said"),
    [({"target_bpp": 0.01}, r"target_bpp.* 14 bytes"), ({"target_psnr": 199}, r"target_psnr.*199")],
)
@pytest.mark.parametrize("encode", [IMF, SVD])
def test_what_cannot_be_reached_is_said(encode, params, said, photo):
    with pytest.raises(lrfjax.InputError, match=said):
        encode(photo, **params)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "got none"),
        ({"rank": 3, "quality": 20}, "got rank and quality"),
        ({"rank": 3, "target_bpp": 1.0, "target_psnr": 30}, "rank and target_bpp and target_psnr"),
    ],
)
@pytest.mark.parametrize("encode", [IMF, SVD, NMF])
def test_exactly_one_dial_is_given(encode, given, said, photo):
    with pytest.raises(lrfjax.InputError, match=said):
        encode(photo, **given)


LEARNED = {"dictionary": "learned"}
VALUE, TYPE = lrfjax.InputError, lrfjax.InputTypeError


@pytest.mark.parametrize(
    ("encode", "params", "error", "said"),
    [
        (IMF, {"patch_size": (8, 8)}, VALUE, r"patch_size.*\(8, 8\)"),
        (IMF, {"patch_size": 16}, TYPE, "patch_size"),
        (IMF, {"entropy": "deflate"}, VALUE, "entropy.*deflate"),
        (IMF, {"entropy": "deflate", **LEARNED}, VALUE, "entropy.*deflate"),
        (IMF, {"color_space": "HSV"}, VALUE, "color_space.*HSV"),
        (IMF, {"color_space": "HSV", **LEARNED}, VALUE, "color_space.*HSV"),
        (IMF, {"dictionary": "wavelet"}, VALUE, "dictionary.*wavelet"),
        (IMF, {"effort": 0}, VALUE, "effort.*0"),
        (IMF, {"effort": 4}, VALUE, "effort.*4"),
        (IMF, {"effort": 1.5}, TYPE, "effort"),
        (IMF, {"rank": 257}, VALUE, "rank.*257"),
        (IMF, {"rank": 0}, VALUE, "rank.*0"),
        (IMF, {"rank": (3, 2, 1)}, TYPE, "rank"),
        (IMF, {"rank": (3, 2), **PAPER}, VALUE, "rank.*3 values"),
        (IMF, {"quality": 101}, VALUE, "quality.*101"),
        (IMF, {"quality": -1}, VALUE, "quality.*-1"),
        (IMF, {"quality": float("nan")}, VALUE, "quality.*nan"),
        (IMF, {"quality": "high"}, TYPE, "quality.*high"),
        (IMF, {"quality": (50, 30, 30)}, TYPE, "quality"),
        (IMF, {"target_bpp": -1.0}, VALUE, "target_bpp.*-1"),
        (IMF, {"target_bpp": 0.0}, VALUE, "target_bpp"),
        (IMF, {"target_bpp": "1"}, TYPE, "target_bpp"),
        (IMF, {"target_psnr": float("inf")}, VALUE, "target_psnr.*inf"),
        (IMF, {"target_bpp": 1.0, **PAPER}, VALUE, "target_bpp"),
        (SVD, {"target_psnr": 30.0, **CLASSIC}, VALUE, "target_psnr"),
        (IMF, {"icc_profile": "sRGB"}, TYPE, "icc_profile.*str"),
        (SVD, {"exif": [1, 2]}, TYPE, "exif.*list"),
        (IMF, {"num_iters": -1, **LEARNED}, VALUE, "num_iters.*-1"),
        (SVD, {"patch_size": (7, 8)}, VALUE, "patch_size.*7"),
        (SVD, {"patch_size": (8, 65)}, VALUE, "patch_size.*65"),
        (SVD, {"patch_size": (0, 8), **CLASSIC}, VALUE, "patch_size.*0"),
        (SVD, {"bits": 9}, VALUE, "bits.*9"),
        (SVD, {"scale_factor": (0.5, 1.5), **CLASSIC}, VALUE, "scale_factor.*1.5"),
        (SVD, {"upsampling": "cubic", **CLASSIC}, VALUE, "upsampling.*cubic"),
        (SVD, {"patch": 1, **CLASSIC}, TYPE, "patch"),
        (NMF, {"entropy": "zip", **CLASSIC}, VALUE, "entropy.*zip"),
        (IMF, {"bounds": (5, 1), **LEARNED, **CLASSIC}, VALUE, "bounds"),
        (IMF, {"bounds": (-40000, 40000), **LEARNED, **CLASSIC}, VALUE, "bounds.*40000"),
        (IMF, {"bounds": (0, 45000), "rank": 1, **LEARNED, **CLASSIC}, VALUE, "bounds.*45000"),
    ],
)
def test_bad_arguments_are_named(encode, params, error, said, photo):
    dials = ("rank", "quality", "target_bpp", "target_psnr")
    params = params if any(d in params for d in dials) else {"quality": 50, **params}
    with pytest.raises(error, match=said):
        encode(small(photo), **params)


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.zeros((8, 8), np.float32), TYPE),
        (np.zeros((8, 8), np.int16), TYPE),
        ([[1, 2], [3, 4]], TYPE),
        (np.zeros((8, 8, 2), np.uint8), VALUE),
        (np.zeros((8, 8, 4), np.uint16), VALUE),
        (np.zeros((0, 8), np.uint8), VALUE),
        (np.zeros(8, np.uint8), VALUE),
    ],
)
@pytest.mark.parametrize("encode", [IMF, SVD, NMF])
def test_bad_images_are_refused(encode, image, error):
    with pytest.raises(error, match="image"):
        encode(image, quality=50)


@pytest.mark.parametrize("encode", [IMF, SVD, NMF])
def test_the_classic_way_has_no_16_bits(encode, photo):
    params = CLASSIC if encode is not IMF else PAPER
    with pytest.raises(lrfjax.InputError, match="uint16"):
        encode(deep(small(photo)), quality=50, **params)


@pytest.mark.parametrize("way", [lrfjax.decode, lrfjax.read_metadata, lrfjax.read_factors])
def test_pixel_limits_are_checked(way, photo):
    data = IMF(small(photo), quality=50)
    with pytest.raises(TYPE, match=r"max_pixels.*many"):
        way(data, max_pixels="many")
    with pytest.raises(VALUE, match=r"max_pixels.*0"):
        way(data, max_pixels=0)


def test_contexts_have_a_limit_of_rows(photo, monkeypatch):
    monkeypatch.setattr(container, "MAX_CELLS", 300)
    image = photo[..., 0]
    with pytest.raises(VALUE, match="300 rows"):
        SVD(image, rank=1, patch_size=(4, 4), **CLASSIC)
    with pytest.raises(VALUE, match="patches"):
        SVD(np.tile(image, (2, 1)), rank=1)
    data = SVD(image, rank=1, **CLASSIC)
    monkeypatch.setattr(container, "MAX_CELLS", 100)
    with pytest.raises(lrfjax.FormatError, match="beyond 100"):
        lrfjax.decode(data)
