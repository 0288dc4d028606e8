"""The page that results become: its tables, its words and its figures."""

import math
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lrfjax.errors import InputError
from lrfjax.evaluation import report
from lrfjax.evaluation.compressai import PublishedCurve
from lrfjax.evaluation.page import table
from lrfjax.evaluation.report import plot_rates, write_report
from lrfjax.evaluation.results import Row

pytestmark = pytest.mark.unoptimized

RATES = np.array([0.08, 0.1, 0.2, 0.3, 0.5, 0.8, 1.3, 1.8])


@pytest.fixture(autouse=True)
def _no_figure_is_left():
    plt.close("all")
    yield
    left = plt.get_fignums()
    plt.close("all")
    assert not left


def _rows(method="jpeg", images=("a", "b", "c"), gain=0.0, **changes):
    """Return rows of 100 x 80 images whose curves are straight over the logarithm of the rate."""
    rows = []
    for number, image in enumerate(images):
        for level, rate in enumerate(RATES):
            psnr = 30 + number + gain + 6 * math.log10(rate)
            values = {
                "image": f"{image}.png",
                "digest": image,
                "method": method,
                "level": float(level),
                "height": 100,
                "width": 80,
                "channels": 3,
                "num_bytes": round(1000 * rate),
                "psnr_db": psnr,
                "ssim": 1 - 10 ** (-psnr / 30),
                "ms_ssim": 1 - 10 ** (-psnr / 20),
                "encode_ms": 2.0,
                "decode_ms": 1.0,
                "versions": {"jax": "1.2"},
                "device": "cpu, cpu",
            }
            rows.append(Row(**{**values, **changes}))
    return rows


def _cells(page, row):
    """Return the cells of the first table row that begins with a name."""
    line = re.search(rf"^\| {re.escape(row)} +\|.*$", page, re.MULTILINE)
    return [cell.strip() for cell in line.group().strip("|").split("|")][1:]


def _page(rows, folder, **settings):
    paths = write_report(rows, folder, **settings)
    return paths[0].read_text(encoding="utf-8"), [path.name for path in paths]


def test_a_page_has_means_deltas_times_and_figures(tmp_path):
    # Two decibels at 6 dB a decade are a rate of 10^(-1/3).
    page, names = _page(_rows() + _rows("imf", gain=2.0, batch=3), tmp_path)
    stems = ("psnr", "ssim", "ms_ssim", "differences")
    figures = [f"{stem}.{suffix}" for stem in stems for suffix in ("png", "pdf")]
    assert names == ["report.md", *figures]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for name in figures:
        opening = b"\x89PNG" if name.endswith("png") else b"%PDF"
        assert (tmp_path / name).read_bytes().startswith(opening)
    assert all(f"]({stem}.png)" in page for stem in stems)

    assert "48 measurements of 3 images." in page
    assert "Not all methods" not in page
    # Heights 30, 31, 32: the mean at 0.1 bpp is 31 - 6.
    assert _cells(page, "JPEG")[0] == "25.00"
    assert _cells(page, "IMF")[0] == "27.00"
    against = page[page.index("## Against JPEG") :]
    gain, rate, *_ = _cells(against, "IMF")
    assert gain == "2.00 ± 0.00 (3)"
    assert rate == f"{100 * (10 ** (-1 / 3) - 1):.1f} ± 0.0 (3)"
    times = page[page.index("## Times") :]
    assert _cells(times, "IMF") == ["250.0", "125.0", "3"]
    assert "on cpu, cpu, with jax 1.2." in times


def test_methods_that_lack_images_are_said(tmp_path):
    page, _ = _page(_rows() + _rows("imf", images=("a",)) + _rows("mine"), tmp_path)
    assert "**Not all methods have all images:** IMF lacks 2." in page


@pytest.mark.parametrize(
    ("methods", "anchor"), [(["imf", "svd"], None), (["jpeg"], None), (["jpeg"], "jpeg")]
)
def test_without_anything_to_compare_with_there_are_no_deltas(tmp_path, methods, anchor):
    page, _ = _page([row for m in methods for row in _rows(m)], tmp_path, anchor=anchor)
    assert "Against" not in page
    assert "BD" not in page
    assert "## Times" in page


def test_times_that_nobody_took_are_left_empty(tmp_path):
    page, _ = _page(_rows() + _rows("imf", encode_ms=math.nan), tmp_path)
    times = page[page.index("## Times") :]
    assert _cells(times, "IMF") == ["", "125.0", "1"]
    assert _cells(times, "JPEG") == ["250.0", "125.0", "1"]


def test_an_anchor_without_rows_is_named(tmp_path):
    with pytest.raises(InputError, match="anchor 'jpegg' has no rows; there are imf, jpeg"):
        _page(_rows() + _rows("imf", gain=2.0), tmp_path, anchor="jpegg")
    assert not list(tmp_path.iterdir())


def test_another_anchor_takes_its_place(tmp_path):
    page, _ = _page(_rows() + _rows("imf", gain=2.0), tmp_path, anchor="imf")
    assert _cells(page[page.index("## Against IMF") :], "JPEG")[0] == "-2.00 ± 0.00 (3)"


def test_small_images_have_no_similarities_and_no_figures_of_them(tmp_path):
    rows = _rows(ssim=math.nan, ms_ssim=math.nan) + _rows("imf", ssim=math.nan, ms_ssim=math.nan)
    page, names = _page(rows, tmp_path)
    stems = ("psnr", "differences")
    assert names == ["report.md", *(f"{s}.{end}" for s in stems for end in ("png", "pdf"))]
    assert "nan" not in page.lower()


def test_one_image_has_no_standard_errors_and_lossless_files_no_part(tmp_path):
    rows = _rows(images=("a",))
    rows.append(Row(**{**vars(rows[-1]), "level": 99.0, "num_bytes": 9000, "psnr_db": math.inf}))
    page, _ = _page(rows, tmp_path)
    assert _cells(page, "JPEG")[0] == "24.00"
    assert "inf" not in page


def test_published_curves_are_laid_over_the_figures_that_they_fit(tmp_path, monkeypatch):
    published = PublishedCurve("Theirs", "", np.array([0.1, 0.4]), {"psnr_db": np.array([26, 33])})
    drawn = {}
    plot = report.plot_mean_curves

    def spy(curves, published=()):
        figure = plot(curves, published)
        metric = next(iter(curves.values())).metric
        drawn[metric] = figure.axes[0].get_legend_handles_labels()[1]
        return figure

    monkeypatch.setattr(report, "plot_mean_curves", spy)
    _page(_rows(), tmp_path, published=[published])
    assert drawn == {"psnr_db": ["JPEG", "Theirs"], "ssim": ["JPEG"], "ms_ssim_db": ["JPEG"]}


def test_impossible_reports_are_named_and_leave_nothing(tmp_path):
    with pytest.raises(InputError, match="rows must not be empty"):
        write_report([], tmp_path)
    mixed = _rows() + _rows(images=("d",), parameters={"subsampling": 0})
    with pytest.raises(InputError, match="jpeg"):
        write_report(mixed, tmp_path)
    far = PublishedCurve("Far", "", np.array([7.0]), {"psnr_db": np.array([50.0])})
    with pytest.raises(InputError, match="published 'Far'"):
        write_report(_rows(), tmp_path, published=[far])
    plt.close("all")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        write_report(_rows(), tmp_path / "missing")


def test_rates_of_a_figure_rise_over_what_was_measured():
    rates = plot_rates(_rows())
    assert rates[0] == pytest.approx(RATES[0])
    assert rates[-1] == pytest.approx(1.5)
    assert np.all(np.diff(rates) > 0)
    # Also where all is beyond what is compared, or there is one rate alone.
    assert np.all(np.diff(plot_rates(_rows(num_bytes=5000))) > 0)


def test_a_table_is_in_line():
    lines = table(["codec", "dB"], [["a", "1"], ["longer", "100.25"]]).split("\n")
    assert len({len(line) for line in lines}) == 1
    assert lines[1] == "| :----- | -----: |"
