"""Differences of codecs on the same images: their means, errors, and the tables of a report."""

import math
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

import lrfjax
from lrfjax.cli.main import main
from lrfjax.errors import InputError
from lrfjax.evaluation.compressai import write_compressai
from lrfjax.evaluation.mean_curves import bd_table, mean_curve
from lrfjax.evaluation.paired import bd_rate_differences, quality_differences
from lrfjax.evaluation.report import write_report
from lrfjax.evaluation.results import Row, to_line

pytestmark = pytest.mark.unoptimized

RATES = np.array([0.08, 0.2, 0.5, 1.0, 1.8])
IMAGES = ("a", "b", "c", "d")
SPREAD = {"a": -4.0, "b": 0.0, "c": 3.0, "d": 9.0}
"""Images differ by many decibels, codecs by tenths of one."""


def _rows(method, gains, rates=RATES):
    """Return rows of images whose curves are straight over the logarithm of the rate."""
    return [
        Row(
            image=f"{image}.png",
            digest=image,
            method=method,
            level=float(level),
            height=100,
            width=80,
            channels=3,
            num_bytes=round(1000 * rate),
            psnr_db=30 + SPREAD[image] + gain + 6 * math.log10(rate),
            ssim=0.9,
            ms_ssim=0.95,
            encode_ms=2.0,
            decode_ms=1.0,
        )
        for image, gain in zip(IMAGES, gains, strict=False)
        for level, rate in enumerate(rates)
    ]


GAINS = {"jpeg": (0, 0, 0, 0), "imf": (0.5, 0.4, 0.7, -0.1), "svd": (0.3, 0.5, 0.3, -0.3)}
ROWS = [row for method, gains in GAINS.items() for row in _rows(method, gains)]


def test_a_difference_in_quality_is_that_of_the_gains_however_far_images_lie_apart():
    found = quality_differences(ROWS, "svd", [0.1, 1.5])
    assert list(found) == ["jpeg", "imf"]
    gaps = np.subtract(GAINS["imf"], GAINS["svd"])
    for difference in found["imf"]:
        np.testing.assert_allclose(difference.values, gaps, atol=1e-9)
        assert difference.images == tuple(f"{image}.png" for image in IMAGES)
        assert difference.mean.value == pytest.approx(gaps.mean())
        assert difference.mean.standard_error == pytest.approx(gaps.std(ddof=1) / 2)
        assert (difference.num_ahead, difference.mean.count) == (3, 4)
    # The means of the curves differ as much, but their errors say how images differ.
    curves = [mean_curve([r for r in ROWS if r.method == m], [0.1]) for m in ("imf", "svd")]
    assert curves[0].mean - curves[1].mean == pytest.approx(found["imf"][0].mean.value)
    assert curves[0].standard_error > 20 * found["imf"][0].mean.standard_error


def test_a_difference_in_bd_rate_is_that_of_each_image():
    table = bd_table(ROWS)
    found = bd_rate_differences(ROWS, "svd")
    expected = table["imf"].bd_rate - table["svd"].bd_rate
    np.testing.assert_allclose(found["imf"].values, expected)
    assert found["imf"].num_ahead == 3
    # The anchor has a BD-rate of 0, so that minus it there are the BD-rates themselves.
    np.testing.assert_allclose(found["jpeg"].values, -table["svd"].bd_rate)
    against = bd_rate_differences(ROWS, "jpeg")
    np.testing.assert_allclose(against["svd"].values, table["svd"].bd_rate)


def test_the_other_way_round_signs_change():
    (one,) = quality_differences(ROWS, "svd", [0.3])["imf"]
    (other,) = quality_differences(ROWS, "imf", [0.3])["svd"]
    np.testing.assert_allclose(one.values, -other.values)
    assert one.num_ahead + other.num_ahead == len(IMAGES)


def test_only_images_of_both_and_rates_of_both_count():
    rows = ROWS + _rows("short", (1.0, 1.0), rates=RATES[:3])
    (low, high) = quality_differences(rows, "imf", [0.3, 0.9])["short"]
    assert low.images == ("a.png", "b.png")
    np.testing.assert_allclose(low.values, [0.5, 0.6])
    assert (low.mean.count, high.mean.count, high.num_ahead) == (2, 0, 0)
    assert math.isnan(high.mean.value)


def test_rows_with_an_error_change_nothing(tmp_path):
    broken = [
        replace(ROWS[0], method=m, num_bytes=0, psnr_db=math.nan, error="no", level=9.0)
        for m in ("imf", "none")
    ]
    with_errors, without = (bd_rate_differences(r, "svd") for r in (ROWS + broken, ROWS))
    assert list(with_errors) == list(without)
    np.testing.assert_array_equal(with_errors["imf"].values, without["imf"].values)
    imf = [row for row in ROWS if row.method == "imf"]
    curves = [mean_curve(rows, [0.3]).mean for rows in (imf, [*imf, broken[0]])]
    assert curves[0] == curves[1]
    write_compressai(tmp_path / "one.json", ROWS, "imf", "")
    write_compressai(tmp_path / "other.json", ROWS + broken, "imf", "")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()
    with pytest.raises(InputError, match="method 'none' is not among"):
        write_compressai(tmp_path / "none.json", ROWS + broken, "none")


@pytest.mark.parametrize(
    "call",
    [
        lambda: bd_rate_differences(ROWS, "zzz"),
        lambda: quality_differences(ROWS, "zzz", [0.5]),
    ],
)
def test_an_unknown_reference_is_named(call):
    with pytest.raises(InputError, match="reference 'zzz' is not among"):
        call()


def test_an_unknown_metric_or_interpolation_is_named():
    with pytest.raises(InputError, match="metric must be one of"):
        quality_differences(ROWS, "imf", [0.5], metric="bpp")
    with pytest.raises(InputError, match="method must be one of"):
        quality_differences(ROWS, "imf", [0.5], method="cubic")


def test_a_plot_has_the_means_and_the_errors_of_the_differences():
    rates = [0.05, 0.1, 0.5, 1.5]
    found = quality_differences(ROWS, "svd", rates)
    figure = lrfjax.plot_differences({"IMF": found["imf"], "JPEG": found["jpeg"]}, rates, "SVD")
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["SVD", "IMF", "JPEG"]
    line = next(line for line in ax.lines if line.get_label() == "IMF")
    means = [difference.mean for difference in found["imf"]]
    np.testing.assert_allclose(line.get_ydata(), [m.value for m in means])
    assert np.isnan(line.get_ydata()[0])  # no image has this rate
    low, high = np.nanmin(ax.collections[0].get_paths()[0].vertices[:, 1]), means[1]
    assert low == pytest.approx(high.value - high.standard_error)
    plt.close(figure)


def test_a_plot_of_other_rates_is_refused():
    found = quality_differences(ROWS, "svd", [0.1, 0.5])
    with pytest.raises(InputError, match=r"differences\['jpeg'\] must have 1 rates, got 2"):
        lrfjax.plot_differences(found, [0.1], "SVD")
    with pytest.raises(InputError, match="at least one codec"):
        lrfjax.plot_differences({}, [0.1], "SVD")
    assert not plt.get_fignums()


def _page(rows, folder, **options):
    return write_report(rows, folder, **options)[0].read_text()


def test_a_report_has_the_errors_of_differences_not_of_levels(tmp_path):
    page = _page(ROWS, tmp_path)
    levels, rest = page.split("## Against")
    assert "±" not in levels
    section = rest.split("## Differences")[1].split("## Times")[0]
    tables = [part for part in section.split("\n\n") if part.startswith("|")]
    assert [t.split("|")[1].strip() for t in tables] == ["minus IMF", "minus SVD"]
    row = next(line for line in tables[1].splitlines() if line.startswith("| IMF"))
    cells = [cell.strip() for cell in row.split("|")[2:-1]]
    expected = bd_rate_differences(ROWS, "svd")["imf"].mean
    assert cells[0] == f"{expected.value:+.1f} ± {expected.standard_error:.1f} (3 of 4)"
    gaps = np.subtract(GAINS["imf"], GAINS["svd"])
    assert cells[-1] == f"{gaps.mean():+.2f} ± {gaps.std(ddof=1) / 2:.2f} (3 of 4)"


def test_a_report_takes_one_reference_and_needs_no_anchor(tmp_path):
    rows = [row for row in ROWS if row.method != "jpeg"]
    page = _page(rows, tmp_path, reference="svd")
    assert "minus SVD" in page
    assert "minus IMF" not in page
    assert "BD-rate" not in page
    with pytest.raises(InputError, match="reference 'zzz' has no rows; there are imf, svd"):
        _page(rows, tmp_path, reference="zzz")


def test_the_command_takes_a_reference(tmp_path, capsys):
    path = tmp_path / "r.jsonl"
    path.write_text("".join(to_line(row) + "\n" for row in ROWS))
    arguments = ["report", str(path), "--out", str(tmp_path / "page")]
    assert main([*arguments, "--reference", "svd"]) == 0
    shown = capsys.readouterr().out
    assert "minus SVD" in shown
    assert "minus IMF" not in shown
    assert main([*arguments, "--reference", "zzz"]) == 1
    assert "reference 'zzz' has no rows; there are imf, jpeg, svd" in capsys.readouterr().err


def test_what_was_not_measured_is_listed_by_codec_and_reason(tmp_path):
    def failed(number, **changes):
        values = {"num_bytes": 0, "psnr_db": math.nan, "error": "a | b", "method": "mine"}
        return replace(ROWS[0], **{**values, "level": 100.0 + number, **changes})

    rows = [*ROWS, failed(0), failed(1), failed(2, image="z.png", digest="z")]
    page = _page(rows, tmp_path)
    section = page.split("## Not measured")[1]
    assert r"| mine  | a.png and 1 more |            3 | a \| b |" in section
    assert "60 measurements of 4 images" in page
    assert "mine" not in page.split("## Not measured")[0]

    many = _page([*ROWS, *(failed(n, error=f"reason {n}") for n in range(25))], tmp_path)
    assert "reason 19" in many
    assert "reason 20" not in many
    assert "And 5 more reasons." in many
    alone = _page([failed(0)], tmp_path)
    assert "## Not measured" in alone
    assert "## Times" not in alone
