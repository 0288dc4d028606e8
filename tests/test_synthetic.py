"""Content without the statistics of photographs: patterns, text and noise gain from quality too."""

from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageDraw

import lrfjax
from lrfjax.codec.dictionary import tiles
from lrfjax.codec.dictionary.atoms import BANDS
from lrfjax.codec.entropy.checkerboard import checkerboard
from lrfjax.codec.entropy.dictionary_coder import Stack
from tests.make_golden import deep
from tests.problems import mostly_slow

pytestmark = pytest.mark.unoptimized

SIDE = 64
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
QUALITIES = (0, 20, 40, 60, 80, 100)
SLACK = 0.3
"""Decibels by which a higher quality may be worse."""


def board(size):
    """Return a checkerboard of black and white squares of that many pixels."""
    return ((ROWS // size + COLUMNS // size) % 2 * 255).astype(np.uint8)


def text():
    """Return black text on white."""
    picture = Image.new("L", (SIDE, SIDE), 255)
    ImageDraw.Draw(picture).multiline_text((2, 2), "lrfjax\nU V^T\n0123", fill=0)
    return np.asarray(picture)


def screenshot():
    """Return a window with a title, text and a transparency board of 8 pixels, in colour."""
    picture = np.dstack([board(8) // 4 + 160] * 3)
    picture[:12] = (30, 60, 120)
    picture[16:48, 4:36] = np.dstack([text()[:32, :32]] * 3)
    return picture


CONTENT = {
    **{f"board of {size}": board(size) for size in (1, 2, 4, 8)},
    "stripes": (COLUMNS % 2 * 255).astype(np.uint8),
    "diagonal stripes": ((ROWS + COLUMNS) // 3 % 2 * 255).astype(np.uint8),
    "dither": (np.random.default_rng(0).random((SIDE, SIDE)) < COLUMNS / SIDE).astype(np.uint8)
    * np.uint8(255),
    "text": text(),
    "screenshot": screenshot(),
    "noise": np.random.default_rng(1).integers(0, 256, (SIDE, SIDE), dtype=np.uint8),
    "gradient": (ROWS + COLUMNS).astype(np.uint8),
}


LUCK = 42.0
"""PSNR in dB up to which it has to rise. Coarse steps may hit a single gray level exactly."""

CODECS = {
    "dct": lrfjax.dct_encode,
    "imf": lrfjax.imf_encode,
    "svd": lrfjax.svd_encode,
    "nmf": lrfjax.nmf_encode,
    "svd paper": partial(lrfjax.svd_encode, color_space="RGB"),
}


def psnr_by_quality(image, qualities=QUALITIES, encode=lrfjax.dct_encode, **settings):
    """Return the PSNR of a codec at each quality, over all channels."""
    peak = np.iinfo(image.dtype).max
    found = []
    for quality in qualities:
        decoded = lrfjax.decode(encode(image, quality=quality, **settings))
        error = np.mean(np.square(image.astype(float) - decoded))
        found.append(10 * np.log10(peak**2 / max(error, 1e-4)))
    return np.array(found)


def check_rise(values, end=45.0):
    """Check that PSNR rises with quality, but for luck, and what it ends at."""
    best = np.maximum.accumulate(np.minimum(values, LUCK))
    assert np.all(values >= best - SLACK)
    assert values[-1] > end


@pytest.mark.parametrize("name", CONTENT)
def test_quality_pays_on_synthetic_content(name):
    check_rise(psnr_by_quality(CONTENT[name]))


@pytest.mark.parametrize("effort", [1, 3])
def test_quality_pays_at_any_effort(effort):
    values = psnr_by_quality(CONTENT["board of 2"], effort=effort)
    assert np.all(np.diff(values) >= -SLACK)
    assert values[-1] > 45


@pytest.mark.parametrize("codec", ["imf", "svd", "svd paper"])
@pytest.mark.parametrize(
    "name",
    mostly_slow(
        ["board of 2", "dither", "text", "screenshot", "gradient"], quick=["board of 2", "text"]
    ),
)
def test_quality_pays_with_a_learned_v(name, codec):
    values = psnr_by_quality(CONTENT[name], (0, 50, 80, 100), CODECS[codec])
    # The published codec has 8 bits for an entry of V, the others as many as they need.
    check_rise(values, 45 if codec == "svd paper" else 55)


@pytest.mark.parametrize("codec", ["imf", "svd"])
@pytest.mark.parametrize("name", mostly_slow(["board of 2", "text", "screenshot"], quick=["text"]))
def test_quality_pays_with_a_learned_v_in_16_bits(name, codec):
    image = 257 * CONTENT[name].astype(np.uint16)
    check_rise(psnr_by_quality(image, (0, 50, 80, 90, 100), CODECS[codec]), 55)


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["imf", "svd"])
def test_a_pattern_inside_a_photograph_is_kept_with_a_learned_v(photo, codec):
    image = photo[:64, :64].copy()
    image[:32, :32] = CONTENT["board of 2"][:32, :32, None]
    check_rise(psnr_by_quality(image, (0, 50, 80, 100), CODECS[codec]))
    check_rise(psnr_by_quality(deep(image), (50, 90, 100), CODECS[codec]), 55)


@pytest.mark.slow
def test_nmf_gains_up_to_what_32_columns_hold(photo):
    """Few non-negative columns hold a pattern exactly, but this photograph to 30 dB only."""
    for image in (photo[:64, :64, 1], deep(photo[:64, :64, 1])):
        check_rise(psnr_by_quality(image, (0, 40, 80, 90, 100), CODECS["nmf"]), 30)
    board_of_2 = 257 * CONTENT["board of 2"].astype(np.uint16)
    check_rise(psnr_by_quality(board_of_2, (0, 40, 80, 90, 100), CODECS["nmf"]))


def test_a_pattern_inside_a_photograph_is_kept(photo):
    image = photo[:64, :64].copy()
    image[:32, :32] = CONTENT["board of 2"][:32, :32, None]
    values = psnr_by_quality(image)
    assert np.all(np.diff(values) >= -SLACK)
    assert values[-1] > 45


def test_16_bits_gain_up_to_the_highest_quality(photo):
    image = deep(photo[:64, :64])
    values = psnr_by_quality(image, (60, 80, 88, 90, 91, 92, 94, 97, 100))
    assert np.all(np.diff(values) >= -SLACK)
    assert values[-1] > 70


@pytest.mark.parametrize("name", ["board of 2", "text", "gradient"])
def test_quality_pays_on_synthetic_content_of_16_bits(name):
    values = psnr_by_quality(257 * CONTENT[name].astype(np.uint16))
    assert np.all(np.diff(values) >= -SLACK)
    assert values[-1] > 45


def test_a_target_beyond_the_reach_of_photographs_is_met():
    data = lrfjax.dct_encode(CONTENT["board of 2"], target_psnr=45)
    assert float(lrfjax.psnr(CONTENT["board of 2"], lrfjax.decode(data))) > 44.9


def test_a_pass_that_empties_the_context_of_a_large_entry_keeps_the_entry(monkeypatch):
    grid, band = (4, 4), 3
    first = BANDS[band][0]
    u = np.zeros((1, 16, BANDS[band][1]), np.float32)
    u[0, :, 1:first] = 1.2
    u[0, 5, first] = 100.0

    def price(source):
        """Return a price that makes the second pass drop all entries of earlier bands."""
        is_earlier = np.arange(u.shape[2], dtype=np.float32) < first
        return [np.tile(1e3 * is_earlier, (1, len(c), 1)) for c in checkerboard(*grid).cells]

    monkeypatch.setattr(tiles, "rate_gradient", price)
    stack = Stack(grid, (band + 1,), (64,), skip=2)
    tile = tiles.code_tile(u, np.zeros(16, np.int32), stack, 0.12, 2)
    assert not tile.u[0, :, 1:first].any()
    assert tile.u[0, 5, first] == 100
