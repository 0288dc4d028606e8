"""What the codecs refuse, and that they name it: arguments, images, targets out of reach."""

import numpy as np
import pytest

import lrfjax
from lrfjax.codec.file import learned_header
from lrfjax.codec.published import body

DCT, IMF, SVD, NMF = lrfjax.dct_encode, lrfjax.imf_encode, lrfjax.svd_encode, lrfjax.nmf_encode
PAPER = dict(lrfjax.PAPER_SETTINGS)


def small(photo):
    return photo[:17, :23]


@pytest.mark.parametrize(
    ("params", "said"),
    [({"target_bpp": 0.01}, r"target_bpp.* 14 bytes"), ({"target_psnr": 199}, r"target_psnr.*199")],
)
@pytest.mark.parametrize("encode", [DCT, SVD])
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
@pytest.mark.parametrize("encode", [DCT, IMF, SVD, NMF])
def test_exactly_one_dial_is_given(encode, given, said, photo):
    with pytest.raises(lrfjax.InputError, match=said):
        encode(photo, **given)


VALUE, TYPE = lrfjax.InputError, lrfjax.InputTypeError


@pytest.mark.parametrize(
    ("encode", "params", "error", "said"),
    [
        (DCT, {"rank": 257}, VALUE, "rank.*257"),
        (DCT, {"rank": 0}, VALUE, "rank.*0"),
        (DCT, {"rank": (3, 2, 1)}, TYPE, "rank"),
        (DCT, {"quality": 101}, VALUE, "quality.*101"),
        (DCT, {"quality": -1}, VALUE, "quality.*-1"),
        (DCT, {"quality": float("nan")}, VALUE, "quality.*nan"),
        (DCT, {"quality": "high"}, TYPE, "quality.*high"),
        (DCT, {"quality": (50, 30, 30)}, TYPE, "quality"),
        (IMF, {"target_bpp": -1.0}, VALUE, "target_bpp.*-1"),
        (IMF, {"target_bpp": 0.0}, VALUE, "target_bpp"),
        (IMF, {"target_bpp": "1"}, TYPE, "target_bpp"),
        (IMF, {"target_psnr": float("inf")}, VALUE, "target_psnr.*inf"),
        (IMF, {"rank": (3, 2), **PAPER}, VALUE, "rank.*3 values"),
        (IMF, {"target_bpp": 1.0, **PAPER}, VALUE, "target_bpp"),
        (IMF, {"bounds": "abc"}, TYPE, "bounds"),
        (IMF, {"bounds": (-40000, 40000)}, VALUE, "bounds.*40000"),
        (IMF, {"bounds": (0, 47000), "rank": 1}, VALUE, "bounds.*47000.*32 bits"),
        (IMF, {"bounds": (0, 40000), "entropy": "context"}, VALUE, "bounds.*40000"),
        (SVD, {"target_psnr": 30.0, "bits": 8}, VALUE, "target_psnr"),
        (SVD, {"exif": [1, 2]}, TYPE, "exif.*list"),
        (DCT, {"icc_profile": "sRGB"}, TYPE, "icc_profile.*str"),
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
@pytest.mark.parametrize("encode", [DCT, IMF, SVD, NMF])
def test_bad_images_are_refused(encode, image, error):
    with pytest.raises(error, match="image"):
        encode(image, quality=50)


@pytest.mark.parametrize("way", [lrfjax.decode, lrfjax.read_metadata, lrfjax.read_factors])
def test_pixel_limits_are_checked(way, photo):
    data = DCT(small(photo), quality=50)
    with pytest.raises(TYPE, match=r"max_pixels.*many"):
        way(data, max_pixels="many")
    with pytest.raises(VALUE, match=r"max_pixels.*0"):
        way(data, max_pixels=0)


def test_contexts_have_a_limit_of_rows(photo, monkeypatch):
    monkeypatch.setattr(body, "MAX_CELLS", 300)
    image = photo[..., 0]
    with pytest.raises(VALUE, match="300 rows"):
        SVD(image, rank=1, patch_size=(4, 4), entropy="context")
    data = SVD(image, rank=1, entropy="context")
    monkeypatch.setattr(learned_header, "MAX_CELLS", 100)
    with pytest.raises(lrfjax.FormatError, match="beyond 100"):
        lrfjax.decode(data)
