"""Curves, measurements, figures and the compare job."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy.interpolate import PchipInterpolator

import lrfjax
from lrfjax.evaluation import compare
from lrfjax.evaluation.rate_distortion import rising_part
from lrfjax.evaluation.sample import sample_image


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def curves(photo):
    return {
        "IMF": [
            lrfjax.eval_compression(
                photo, lrfjax.imf_encode, lrfjax.imf_decode, True, warm_up=False, rank=r
            )
            for r in (1, 2, 5)
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
    data = lrfjax.imf_encode(photo, rank=1)
    assert row["bit rate (bpp)"] == lrfjax.bits_per_pixel(photo.shape, data)
    assert row["compression ratio"] == lrfjax.compression_ratio(photo, data)
    assert np.array_equal(row["reconstructed"], lrfjax.imf_decode(data))
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
    assert len(axes) == 4
    assert np.array_equal(axes[0].images[0].get_array(), photo)
    assert np.array_equal(axes[1].images[0].get_array(), curves["IMF"][1]["reconstructed"])
    assert "bpp" in axes[1].get_title()


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


def test_compare_reports_solvers_and_codecs(photo, monkeypatch, tmp_path):
    monkeypatch.setattr(
        compare,
        "_CODECS",
        {
            name: (e, d, p, levels[:6:2] if p == "rank" else (5, 40, 80))
            for name, (e, d, p, levels) in compare._CODECS.items()
        },
    )
    steps = []
    found = compare.compare_image(photo, steps.append)
    assert len(steps) <= compare.num_steps()
    assert set(found.curves) == {"IMF", "SVD", "NMF", "JPEG"}
    assert set(found.bd_rates()) == set(found.curves)
    for name in ("IMF", "NMF"):
        error = float(found.solvers[name].result.history.relative_error[-1])
        assert found.svd_bound < error < 3 * found.svd_bound
    text = compare.format_tables(found)
    for word in ("relative error", "SVD bound", "sweeps", "BD-rate", "JPEG", "SSIM", "converged"):
        assert word in text
    paths = compare.write_pictures(found, tmp_path)
    assert [p.name for p in paths] == ["rate_distortion.png", "convergence.png", "collage.png"]
    assert all(lrfjax.read_image(p).std() > 5 for p in paths)
