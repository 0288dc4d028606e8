"""Means of rate-distortion curves over images, and their figures."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

import lrfjax
from lrfjax.evaluation.compressai import PublishedCurve
from lrfjax.evaluation.mean_curves import bd_table, interpolate, mean_curve
from lrfjax.evaluation.plots import plot_mean_curves, save_figure
from lrfjax.evaluation.rate_distortion import quality_at, similarity_decibels
from lrfjax.evaluation.results import Row
from lrfjax.evaluation.styles import METHOD_COLORS, method_color

AT = [0.2, 0.3, 0.5]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def _rows(method, image, rates, psnr, **fields):
    """Return rows of a 100 x 80 image whose similarities follow from the PSNR."""
    return [
        Row(
            image=image,
            digest=image,
            method=method,
            level=float(level),
            height=100,
            width=80,
            channels=3,
            num_bytes=round(1000 * rate),
            psnr_db=quality,
            ssim=1 - 10 ** (-quality / 30),
            ms_ssim=1 - 10 ** (-quality / 20),
            encode_ms=1.0,
            decode_ms=1.0,
            **fields,
        )
        for level, (rate, quality) in enumerate(zip(rates, psnr, strict=True))
    ]


RATES = np.array([0.1, 0.15, 0.22, 0.3, 0.42, 0.6, 0.9])


def _lines(method="imf", gain=0.0, images=(30.0, 33.0, 39.0)):
    """Return rows of images whose PSNR is straight over the logarithm of the rate."""
    rows = []
    for number, height in enumerate(images):
        psnr = height + gain + 6 * np.log10(RATES)
        rows += _rows(method, f"{number}.png", RATES, psnr.tolist())
    return rows


@pytest.mark.parametrize("method", ["pchip", "linear"])
def test_interpolation_between_points_and_not_beyond(method):
    psnr = 30 + 6 * np.log10(RATES)
    values = interpolate(RATES, psnr, [[0.0, 0.09], [0.2, 0.9], [0.91, np.nan]], method)
    assert values.shape == (3, 2)
    assert np.isnan(values[[0, 0, 2, 2], [0, 1, 0, 1]]).all()
    exact = 30 + 6 * np.log10(0.2)
    chord = np.interp(0.2, RATES, psnr)
    assert np.isclose(values[1, 0], chord if method == "linear" else exact)
    assert np.isclose(values[1, 1], psnr[-1])
    assert np.isnan(interpolate([0.1], [30], [0.1], method)).all()
    if method == "pchip":
        assert np.array_equal(interpolate(RATES, psnr, AT), quality_at(RATES, psnr, AT))
    with pytest.raises(lrfjax.InputError, match="one quality each"):
        interpolate(RATES, psnr[1:], AT, method)


def test_mean_and_standard_error_over_images():
    found = mean_curve(_lines(), AT)
    spread = np.std([30, 33, 39], ddof=1) / np.sqrt(3)
    assert np.allclose(found.mean, 34 + 6 * np.log10(AT))
    assert np.allclose(found.standard_error, spread)
    assert found.count.tolist() == [3, 3, 3]
    assert (found.metric, found.method, found.num_images) == ("psnr_db", "pchip", 3)
    single = mean_curve(_lines(images=[31.0]), AT)
    assert np.allclose(single.mean, 31 + 6 * np.log10(AT))
    assert np.isnan(single.standard_error).all()


def test_mean_does_not_depend_on_the_order_of_rows():
    rows = _lines()
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    assert np.allclose(mean_curve(shuffled, AT).mean, mean_curve(rows, AT).mean)


def test_an_image_that_starts_above_a_rate_is_left_out():
    rows = [row for row in _lines() if row.image != "2.png" or row.bpp > 0.25]
    strict = mean_curve(rows, AT)
    assert strict.count.tolist() == [2, 3, 3]
    assert np.isnan(strict.mean).tolist() == [True, False, False]
    assert np.isnan(strict.standard_error).tolist() == [True, False, False]
    loose = mean_curve(rows, AT, require_all=False)
    assert np.isclose(loose.mean[0], 31.5 + 6 * np.log10(0.2))
    assert np.allclose(loose.mean[1:], strict.mean[1:])
    none = mean_curve(rows, [0.05, 5.0], require_all=False)
    assert none.count.tolist() == [0, 0]
    assert np.isnan(none.mean).all()


def test_points_without_a_value_are_no_points():
    rows = _lines()
    lossless = replace(rows[6], psnr_db=np.inf, num_bytes=2000, level=99.0)
    assert np.allclose(mean_curve([*rows, lossless], AT).mean, mean_curve(rows, AT).mean)
    small = [replace(row, ms_ssim=np.nan) for row in rows]
    assert mean_curve(small, AT, "ms_ssim").count.tolist() == [0, 0, 0]


def test_similarities_as_they_are_or_in_decibels():
    rows = _lines()
    decibels = mean_curve(rows, [0.3], "ms_ssim_db").mean
    plain = mean_curve(rows, [0.3], "ms_ssim").mean
    psnr = np.array([30, 33, 39]) + 6 * np.log10(0.3)
    assert np.allclose(decibels, psnr.mean() / 2)
    assert np.allclose(plain, np.mean(1 - 10 ** (-psnr / 20)))
    assert similarity_decibels(plain)[0] < decibels[0] - 0.01


def test_images_of_one_name_are_told_apart():
    rows = [replace(row, image="same.png") for row in _lines()]
    assert mean_curve(rows, AT).num_images == 3


def test_bd_table_image_by_image():
    rows = _lines("jpeg") + _lines("imf", 1.5) + _lines("svd", -0.5, [30.0, 33.0])
    table = bd_table(rows)
    assert list(table) == ["imf", "svd"]
    assert table["imf"].images == ("0.png", "1.png", "2.png")
    assert np.allclose(table["imf"].bd_psnr, 1.5)
    assert np.allclose(table["imf"].bd_rate, 100 * (10 ** (-1.5 / 6) - 1))
    mean = table["imf"].mean_bd_rate
    assert np.isclose(mean.value, 100 * (10 ** (-1.5 / 6) - 1))
    assert np.isclose(mean.standard_error, 0, atol=1e-9)
    assert mean.count == 3
    assert table["svd"].mean_bd_psnr.count == 2
    assert np.allclose(bd_table(rows, metric="ms_ssim")["imf"].bd_psnr, 0.75)
    assert np.allclose(bd_table(rows, metric="ssim")["imf"].bd_psnr, 0.5)
    assert np.allclose(bd_table(rows, anchor="imf")["jpeg"].bd_psnr, -1.5)
    assert np.allclose(bd_table(rows, rates=(0, np.inf))["imf"].bd_psnr, 1.5)


def test_bd_table_counts_images_with_a_common_interval():
    rows = _lines("jpeg", images=[30.0, 33.0]) + _lines("imf", 1.0) + _lines("svd", 40.0)
    table = bd_table(rows)
    assert np.isnan(table["imf"].bd_rate).tolist() == [False, False, True]
    assert table["imf"].mean_bd_rate.count == 2
    # Far above the anchor there is no common quality, and still every rate.
    assert table["svd"].mean_bd_rate.count == 0
    assert np.isnan(table["svd"].mean_bd_rate.value)
    assert np.allclose(table["svd"].bd_psnr[:2], 40)


def test_bd_table_looks_at_the_given_rates_only():
    rates, psnr = [0.1, 0.2, 0.4, 0.8, 1.6], [28.0, 31.0, 34.0, 37.0, 40.0]
    better = [value + (rate > 0.5) for rate, value in zip(rates, psnr, strict=True)]
    rows = _rows("jpeg", "a", rates, psnr) + _rows("imf", "a", rates, better)
    assert np.allclose(bd_table(rows, rates=(0.1, 0.4))["imf"].bd_psnr, 0)
    assert bd_table(rows, rates=(0.1, 1.5))["imf"].bd_psnr > 0.3


def test_bad_arguments_are_refused():
    rows = _lines()
    with pytest.raises(lrfjax.InputError, match="rows must not be empty"):
        mean_curve([], AT)
    with pytest.raises(lrfjax.InputError, match=r"one method, got \['imf', 'jpeg'\]"):
        mean_curve(rows + _lines("jpeg"), AT)
    mixed = rows + [replace(row, parameters={"bounds": [-8, 7]}) for row in rows]
    with pytest.raises(lrfjax.InputError, match="'imf' mix parameters"):
        mean_curve(mixed, AT)
    with pytest.raises(lrfjax.InputError, match="'imf' mix parameters"):
        bd_table(mixed + _lines("jpeg"))
    with pytest.raises(lrfjax.InputError, match=r"at must hold rates, got shape \(0,\)"):
        mean_curve(rows, [])
    with pytest.raises(lrfjax.InputError, match=r"metric must be one of .* got 'vmaf'"):
        mean_curve(rows, AT, "vmaf")
    with pytest.raises(lrfjax.InputError, match=r"method must be one of .* got 'spline'"):
        mean_curve(rows, AT, method="spline")
    with pytest.raises(lrfjax.InputError, match=r"anchor 'jpeg' is not among \['imf'\]"):
        bd_table(rows)
    with pytest.raises(lrfjax.InputError, match="rates must be"):
        bd_table(rows, "imf", rates=(1.5, 0.1))


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("IMF", "IMF"),
        ("imf-paper", "IMF"),
        ("IMF, paper", "IMF"),
        ("IMF effort 3", "IMF"),
        ("JPEG 2000", "JPEG2000"),
        ("jpeg2000", "JPEG2000"),
        ("JPEG optimised", "JPEG"),
        ("WebP", "WEBP"),
        ("avif", "AVIF"),
        ("svd", "SVD"),
        ("dct", "DCT"),
        ("DCT dictionary", "DCT"),
        ("nmf", "NMF"),
    ],
)
def test_names_and_labels_of_a_method_have_its_colour(name, method):
    assert method_color(name, 5) == METHOD_COLORS[method]
    assert len(set(METHOD_COLORS.values())) == len(METHOD_COLORS)


def _published(name="VTM", **fields):
    metrics = {"psnr_db": np.array([30.0, 35.0, 40.0])}
    return PublishedCurve(name, "", np.array([0.1, 0.4, 4.0]), fields.get("metrics", metrics))


def test_figure_of_mean_curves():
    curves = {"IMF": mean_curve(_lines(), AT), "IMF, paper": mean_curve(_lines(gain=-1), AT)}
    curves["JPEG"] = mean_curve(_lines("jpeg", -2), AT)
    figure = plot_mean_curves(curves, [_published()])
    (ax,) = figure.axes
    assert ax.get_xlabel() == "bit rate (bpp)"
    assert ax.get_ylabel().startswith("PSNR over RGB (dB), mean of 3 images")
    assert "standard error" in ax.get_ylabel()
    lines = {line.get_label(): line for line in ax.lines}
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [*curves, "VTM"]
    assert lines["IMF"].get_color() == lines["IMF, paper"].get_color()
    styles = [lines[name].get_linestyle() for name in ("IMF", "IMF, paper", "JPEG", "VTM")]
    assert styles == ["-", "--", "-", ":"]
    # A published curve is shown at our rates, and does not widen the axis.
    assert lines["VTM"].get_xdata().tolist() == [0.2, 0.4, 0.5]
    bands = [path.vertices for c in ax.collections for path in c.get_paths()]
    assert len(bands) == 3
    mean, error = curves["IMF"].mean, curves["IMF"].standard_error
    assert np.isclose(bands[0][:, 1].min(), (mean - error).min())
    assert np.isclose(bands[0][:, 1].max(), (mean + error).max())
    fig, other = plt.subplots()
    assert plot_mean_curves({"SVD": mean_curve(_lines(images=[30.0]), AT)}, ax=other) is fig
    assert other.get_ylabel() == "PSNR over RGB (dB), of 1 image"
    assert to_hex(other.lines[0].get_color()).upper() == METHOD_COLORS["SVD"]


def test_what_cannot_be_drawn():
    curve = mean_curve(_lines(), AT)
    with pytest.raises(lrfjax.InputError, match="curves must each have a mean"):
        plot_mean_curves({})
    with pytest.raises(lrfjax.InputError, match=r"got none of \['JPEG'\]"):
        plot_mean_curves({"IMF": curve, "JPEG": mean_curve(_lines(), [9.0])})
    with pytest.raises(lrfjax.InputError, match="of one metric"):
        plot_mean_curves({"IMF": curve, "JPEG": mean_curve(_lines(), AT, "ssim")})
    with pytest.raises(lrfjax.InputError, match="'VTM' has no 'psnr_db'"):
        plot_mean_curves({"IMF": curve}, [_published(metrics={})])
    low = replace(curve, rates=np.array([0.01, 0.02, 0.05]))
    with pytest.raises(lrfjax.InputError, match=r"'VTM' has no point from 0.01 to 0.05 bpp"):
        plot_mean_curves({"IMF": low}, [_published()])


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png", ".PNG"])
def test_figures_are_written_whole_and_alike(suffix, tmp_path):
    for name in ("one", "two"):
        figure = plot_mean_curves({"IMF": mean_curve(_lines(), AT)}, [_published()])
        save_figure(figure, tmp_path / f"{name}{suffix}")
        assert plt.fignum_exists(figure.number)
    one, two = (tmp_path / f"{name}{suffix}" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes()[:4] in (b"%PDF", b"<?xm", b"\x89PNG")
    assert b"Date" not in one.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_figures_need_a_format_and_a_folder(tmp_path):
    figure = plt.figure()
    with pytest.raises(lrfjax.InputError, match=r"'a.gif' must end in one of .pdf, .svg, .png"):
        save_figure(figure, "a.gif")
    with pytest.raises(lrfjax.InputError, match="no such folder"):
        save_figure(figure, tmp_path / "none" / "a.pdf")
