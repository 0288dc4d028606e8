"""Curves, measurements, figures, the compare job, and what the bits of files are spent on."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy.interpolate import PchipInterpolator

import lrfjax
from lrfjax.codec.accounting import account
from lrfjax.codec.dictionary.atoms import BANDS
from lrfjax.codec.file.tiled_headers import DictionaryHeader, TiledHeader
from lrfjax.evaluation import compare
from lrfjax.evaluation.describe import describe
from lrfjax.evaluation.rate_distortion import rising_part
from lrfjax.evaluation.sample import sample_image

pytestmark = pytest.mark.unoptimized


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def curves(photo):
    return {
        "IMF": [
            lrfjax.eval_compression(
                photo, lrfjax.dct_encode, lrfjax.dct_decode, True, warm_up=False, quality=q
            )
            for q in (0, 25, 45)
        ],
        "JPEG": [
            lrfjax.eval_compression(
                photo, lrfjax.pil_encode, lrfjax.pil_decode, True, warm_up=False, quality=q
            )
            for q in (5, 30, 60)
        ],
    }


def test_bd_rate_is_the_mean_log_ratio():
    psnr = np.array([28.0, 30, 33, 37])
    anchor = np.array([0.1, 0.2, 0.5, 1.3])
    assert np.isclose(lrfjax.bd_rate(anchor, psnr, 0.8 * anchor, psnr), -20)
    assert np.isclose(lrfjax.bd_rate(anchor, psnr, anchor, psnr), 0)
    shifted = np.array([0.12, 0.19, 0.4, 1.1])
    there = lrfjax.bd_rate(anchor, psnr, shifted, psnr + 0.5)
    back = lrfjax.bd_rate(shifted, psnr + 0.5, anchor, psnr)
    assert np.isclose((1 + there / 100) * (1 + back / 100), 1)
    grid = np.linspace(28.5, 37, 20001)
    gap = PchipInterpolator(psnr + 0.5, np.log(shifted))(grid) - PchipInterpolator(
        psnr, np.log(anchor)
    )(grid)
    assert np.isclose(there, 100 * np.expm1(gap.mean()), atol=1e-2)


def test_bd_rate_without_common_interval_is_nan():
    assert np.isnan(lrfjax.bd_rate([0.1, 0.2], [30, 31], [0.1, 0.2], [40, 41]))
    assert np.isnan(lrfjax.bd_rate([0.1], [30], [0.1, 0.2], [30, 41]))


def test_dominated_points_are_left_out():
    rates, qualities = rising_part([3, 1, 2, 2.5], [30, 29, 31, 28])
    assert rates.tolist() == [1, 2]
    assert qualities.tolist() == [29, 31]


def test_eval_compression_has_the_published_keys(curves, photo):
    row = curves["IMF"][0]
    data = lrfjax.dct_encode(photo, quality=0)
    assert row["bit rate (bpp)"] == lrfjax.bits_per_pixel(photo.shape, data)
    assert row["compression ratio"] == lrfjax.compression_ratio(photo, data)
    assert np.array_equal(row["reconstructed"], lrfjax.dct_decode(data))
    assert row["PSNR (dB)"] == float(lrfjax.psnr(photo, row["reconstructed"]))
    assert row["encoding time (ms)"] > 0
    assert row["decoding time (ms)"] > 0
    assert 0 < row["SSIM"] < 1
    assert np.isnan(row["MS-SSIM"])  # below 176 pixels


def test_eval_compression_warms_up_before_it_times(photo):
    calls = []

    def encode(image, level):
        calls.append(level)
        return bytes(level)

    lrfjax.eval_compression(photo, encode, lambda data: photo, level=3)
    assert calls == [3, 3]


def test_rate_distortion_plot(curves):
    figure = lrfjax.plot_rate_distortion(curves)
    (ax,) = figure.axes
    assert ax.get_xlabel() == "bit rate (bpp)"
    assert ax.get_ylabel() == "PSNR (dB)"
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels == ["IMF", "JPEG"]
    lines = {line.get_label(): line for line in ax.lines}
    assert to_hex(lines["IMF"].get_color()).upper() == "#0072B2"
    assert lines["JPEG"].get_xdata().tolist() == [r["bit rate (bpp)"] for r in curves["JPEG"]]


def test_variants_of_a_method_share_its_colour(curves):
    figure = lrfjax.plot_rate_distortion({"IMF": curves["IMF"], "IMF, paper": curves["JPEG"]})
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines["IMF"].get_color() == lines["IMF, paper"].get_color()
    assert (lines["IMF"].get_linestyle(), lines["IMF, paper"].get_linestyle()) == ("-", "--")


def test_convergence_plot_ends_where_the_solver_stopped(luma_matrix):
    result = lrfjax.imf(luma_matrix, 4, num_iters=40, tol=1e-2)
    figure = lrfjax.plot_convergence({"IMF": result}, {"bound": 0.01})
    line = figure.axes[0].lines[0]
    assert len(line.get_xdata()) == int(result.num_iters) + 1
    assert figure.axes[0].get_yscale() == "log"


def test_convergence_is_drawn_over_sweeps_not_entries(luma_matrix):
    result = lrfjax.imf(luma_matrix, 4, num_iters=20, record_every=5)
    line = lrfjax.plot_convergence({"IMF": result}).axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 5, 10, 15, 20]
    exact = lrfjax.imf(np.zeros((4, 3)), 1)
    assert lrfjax.plot_convergence({"IMF": exact}).axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("format", ["WEBP", "PNG"])
def test_gray_images_may_come_back_as_rgb(photo, format):
    row = lrfjax.eval_compression(
        photo[..., 0], lrfjax.pil_encode, lrfjax.pil_decode, format=format
    )
    assert row["PSNR (dB)"] > 25


def test_collage_picks_the_nearest_rates(curves, photo):
    targets = [curves["IMF"][1]["bit rate (bpp)"] * 1.01]
    figure = lrfjax.vis_collage(curves, bpps=targets, original=photo)
    axes = figure.axes
    assert len(axes) == 1 + len(curves)
    assert np.array_equal(axes[0].images[0].get_array(), photo)
    assert np.array_equal(axes[1].images[0].get_array(), curves["IMF"][1]["reconstructed"])
    assert "bpp" in axes[1].get_title()


def test_collage_shows_the_original_once_and_keeps_pixels(curves, photo):
    crop = slice(8, 68), slice(4, 74)
    figure = lrfjax.vis_collage(curves, [0.2, 0.8], photo, crop)
    assert len(figure.axes) == 1 + 2 * len(curves)
    figure.set_dpi(100)
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    enlarged = photo[crop].repeat(2, axis=0).repeat(2, axis=1)
    tops = range(len(drawn) - len(enlarged))
    assert sum(np.array_equal(drawn[k : k + 120, :140], enlarged) for k in tops) == 1


def test_vis_image_shows_the_pixels(photo):
    figure = lrfjax.vis_image(photo[..., 0], "green")
    assert np.array_equal(figure.axes[0].images[0].get_array(), photo[..., 0])
    assert figure.axes[0].get_title() == "green"


def test_the_sample_is_off_the_grid_it_was_coded_on():
    image = sample_image()
    assert image.shape == (592, 507, 3)
    # Steps between columns are larger on the old grid, which must not be every eighth from 0 on.
    steps = np.abs(np.diff(image[..., 1].astype(float), axis=1)).mean(axis=0)
    by_phase = [steps[p::8].mean() for p in range(8)]
    assert int(np.argmax(by_phase)) != 7


@pytest.mark.slow
def test_compare_reports_solvers_and_codecs(photo, monkeypatch, tmp_path):
    levels = {"DCT dictionary": (0, 20, 50), "IMF, paper": (1, 4, 8), "JPEG": (5, 40, 80)}
    few = {name: replace(compare.CODECS[name], levels=levels[name]) for name in levels}
    monkeypatch.setattr(compare, "CODECS", few)
    steps = []
    found = compare.compare_image(photo, steps.append)
    assert len(steps) <= compare.num_steps()
    assert set(found.curves) == set(found.bd_rates()) == set(few)
    rates = [row["bit rate (bpp)"] for row in found.curves["DCT dictionary"]]
    assert rates == sorted(rates)
    # Settings in between are tried until a rate is near enough.
    assert min(abs(rate / 0.5 - 1) for rate in rates) < 0.03
    for name in ("IMF", "NMF"):
        error = float(found.solvers[name].result.history.relative_error[-1])
        assert found.svd_bound < error < 3 * found.svd_bound
    text = compare.format_tables(found)
    for word in ("relative error", "SVD bound", "sweeps", "BD-rate", "JPEG", "SSIM", "converged"):
        assert word in text
    paths = compare.write_pictures(found, tmp_path)
    assert [p.name for p in paths] == ["rate_distortion.png", "convergence.png", "collage.png"]
    assert all(lrfjax.read_image(p).std() > 5 for p in paths)


def test_compare_has_the_default_codecs_and_the_published_one():
    assert list(compare.CODECS) == ["DCT dictionary", "IMF", "SVD", "NMF", "IMF, paper", "JPEG"]
    for method in compare.CODECS.values():
        assert not method.settings


@pytest.mark.parametrize(
    ("encode", "settings"),
    [
        (lrfjax.dct_encode, {"quality": 40}),
        (lrfjax.svd_encode, {"quality": 20}),
        (lrfjax.imf_encode, {"rank": 3, **lrfjax.PAPER_SETTINGS, "entropy": "context"}),
        (lrfjax.imf_encode, {"rank": 3, **lrfjax.PAPER_SETTINGS}),
    ],
)
def test_the_bits_of_a_file_are_accounted_for(photo, encode, settings):
    data = encode(photo, **settings, exif=b"some bytes")
    contents, found = lrfjax.read_factors(data), account(data)
    assert sum(contents.sizes.values()) == len(data)
    shares = sum(share.bits for share in found.shares)
    assert np.isclose(shares + found.choices + found.rest, 8 * contents.sizes["factors"])
    # Counts, the means of columns' places, and words at the ends are little.
    assert -64 < found.rest < 250
    assert (found.choices > 0) == any(len(np.unique(kinds)) > 1 for kinds in contents.kinds)
    if isinstance(contents.header, TiledHeader):
        for plane, f in enumerate(contents.factors):
            bands = [s for s in found.shares if (s.matrix, s.factor) == (plane, "U")]
            assert [s.columns for s in bands] == list(BANDS)
            # With V in the file, U has the columns of all planes up to this one.
            blocks = 1 if isinstance(contents.header, DictionaryHeader) else plane + 1
            own = np.split(f.u, blocks, axis=1)[-1]
            for share in bands[1:]:
                # A band with an entry takes bits, at least one for each sign.
                signs = np.count_nonzero(own[:, slice(*share.columns)])
                assert share.bits >= signs
                assert (share.bits > 0) or not signs
    else:
        for matrix, f in enumerate(contents.factors):
            for factor in "UV":
                columns = [s for s in found.shares if (s.matrix, s.factor) == (matrix, factor)]
                assert [s.columns[0] for s in columns] == list(range(f.u.shape[1]))
                assert all(s.bits > 0 for s in columns)


def test_contexts_and_deflate_code_the_same_factors(photo):
    settings = {"rank": 3, **lrfjax.PAPER_SETTINGS}
    deflate = lrfjax.imf_encode(photo, **settings)
    context = lrfjax.imf_encode(photo, **{**settings, "entropy": "context"})
    for a, b in zip(*(lrfjax.read_factors(d).factors for d in (deflate, context)), strict=True):
        assert np.array_equal(a.u, b.u)
        assert np.array_equal(a.v, b.v)
    assert len(context) < len(deflate)


def test_a_description_names_what_is_in_the_file(photo):
    rgba = np.dstack([photo, photo[..., 1]])
    text = describe(lrfjax.dct_encode(rgba, quality=30, icc_profile=b"abc"))
    for part in (
        "120 x 96",
        "8 bits",
        "3 planes",
        "alpha",
        "icc_profile 3 bytes",
        "U 2",
        "choices",
    ):
        assert part in text
    wide = describe(lrfjax.dct_encode(photo[..., 0].astype(np.uint16) * 257, quality=30))
    assert "16 bits, gray" in wide
    assert "U 1" not in wide
    paper = describe(lrfjax.imf_encode(photo, rank=3, **lrfjax.PAPER_SETTINGS))
    for part in ("deflate", "YCbCr", "60 x 48", "180 x 64, rank 3", "U in [-16, 15]", "column 2"):
        assert part in paper
    with pytest.raises(lrfjax.FormatError):
        describe(b"nothing")
    with pytest.raises(lrfjax.InputTypeError):
        account("nothing")
