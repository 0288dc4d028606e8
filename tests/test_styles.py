"""Every curve of a figure differs from all others, and a method has one colour everywhere."""

from dataclasses import fields
from itertools import islice

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

import lrfjax
from lrfjax.evaluation.compressai import PublishedCurve
from lrfjax.evaluation.mean_curves import MeanCurve
from lrfjax.evaluation.methods import METHODS
from lrfjax.evaluation.plots import plot_mean_curves, plot_rate_distortion
from lrfjax.evaluation.report import label
from lrfjax.evaluation.styles import (
    METHOD_COLORS,
    bound_styles,
    curve_styles,
    lines,
    method_color,
    published_styles,
)
from lrfjax.types import History

NAMES = [f"IMF, variant {k}" for k in range(24)]
WORDS = st.sampled_from(["IMF", "imf", "JPEG", "jpeg 2000", "mine", "[-16", "", "ü", "paper", "7"])


def _drawn(ax, number):
    """Return colour, dashes and marker of the first lines of axes that a legend names."""
    named = [line for line in ax.lines if not line.get_label().startswith("_child")]
    assert len(ax.get_legend().get_texts()) == len(named)
    return {
        (to_hex(line.get_color()), str(line._dash_pattern), line.get_marker())
        for line in named[:number]
    }


def _curve(num_points):
    rates, ones = np.linspace(0.1, 1, num_points), np.ones(num_points)
    return MeanCurve(rates, 30 + rates, 0.1 * ones, ones.astype(int), "psnr_db", "linear", 3)


@given(st.lists(st.lists(WORDS, max_size=4).map(", ".join), max_size=40, unique=True))
def test_styles_are_all_different(names):
    styles = curve_styles(names)
    assert list(styles) == names
    assert len({str(style) for style in styles.values()}) == len(names)
    for name, style in styles.items():
        assert style["color"] in METHOD_COLORS.values()
        assert style["linestyle"] != ":"
        if name.upper().startswith(("IMF", "JPEG")):
            assert style["color"] == method_color(name)


def test_a_method_has_one_colour_in_all_figures():
    labels = [method.label for method in METHODS.values()]
    for names in (labels, labels[::-1], [*METHODS], ["mine", *labels], ["JPEG"]):
        styles = curve_styles(names)
        if "JPEG" in names:
            assert styles["JPEG"] == {"color": "#D55E00", "linestyle": "-", "marker": "o"}
        for name in names:
            assert name == "mine" or styles[name]["color"] == method_color(name)
    for name in ("IMF, paper", "imf-paper", "IMF effort 3"):
        assert curve_styles([name])[name]["color"] == METHOD_COLORS["IMF"]


def test_other_names_leave_the_colours_of_methods_alone():
    for names in (["mine", "IMF", "yours"], ["IMF", "JPEG", "SVD", "mine"], ["[-8, 7]", "[-8, 8]"]):
        styles = curve_styles(names)
        assert len({style["color"] for style in styles.values()}) == len(names)
        assert {style["linestyle"] for style in styles.values()} == {"-"}
    styles = curve_styles(["mine", "mine, too", "yours"])
    assert styles["mine, too"]["color"] == styles["mine"]["color"] != styles["yours"]["color"]
    assert styles["mine, too"]["linestyle"] == "--"


def test_the_dct_dictionary_is_no_variant_of_a_codec():
    styles = curve_styles(["DCT dictionary", "DCT dictionary, effort 3"])
    assert [style["linestyle"] for style in styles.values()] == ["-", "--"]


@pytest.mark.parametrize("num_points", [20, 120])
def test_24_mean_curves_and_published_ones_can_be_told_apart(num_points):
    curves = dict.fromkeys(NAMES, _curve(num_points))
    bpp = np.array([0.2, 0.5])
    published = [PublishedCurve(f"p{k}", "", bpp, {"psnr_db": 30 + bpp}) for k in range(24)]
    (ax,) = plot_mean_curves(curves, published).axes
    assert len(_drawn(ax, 48)) == 48
    plt.close("all")


def test_24_curves_of_one_image_can_be_told_apart():
    rows = [{"bit rate (bpp)": rate, "PSNR (dB)": 30 + rate} for rate in (0.1, 0.2)]
    (ax,) = plot_rate_distortion(dict.fromkeys(NAMES, rows)).axes
    assert len(_drawn(ax, 24)) == 24
    plt.close("all")


def test_a_legend_shows_every_name():
    names = ["", "_mine", "__", "IMF"]
    (ax,) = plot_mean_curves(dict.fromkeys(names, _curve(9))).axes
    assert [text.get_text().strip() for text in ax.get_legend().get_texts()] == names
    plt.close("all")


@pytest.mark.parametrize("num_sweeps", [5, 60])
def test_24_histories_and_bounds_can_be_told_apart(num_sweeps):
    sweeps = np.arange(num_sweeps + 1)
    error = 1 / (1.0 + sweeps)
    history = History(
        **dict.fromkeys((f.name for f in fields(History)), error) | {"sweeps": sweeps}
    )
    bounds = {f"bound {k}": 0.1 + 0.01 * k for k in range(24)}
    (ax,) = lrfjax.plot_convergence(dict.fromkeys(NAMES, history), bounds).axes
    assert len(_drawn(ax, 48)) == 48
    plt.close("all")


@pytest.mark.parametrize("styles", [bound_styles, published_styles])
def test_lines_beside_the_curves_are_all_different(styles):
    assert len({str(style) for style in styles(60)}) == 60
    assert styles(3) == styles(60)[:3]


@pytest.mark.parametrize("dashes", ["-", ["-", "--", ":", "-."], range(5), range(9)])
def test_lines_never_repeat(dashes):
    found = list(islice(lines(dashes), 300))
    assert len(set(found)) == 300
    assert len({marker for _, marker in found[:8]}) == 8


def test_two_methods_never_have_one_label():
    names = [*METHODS, *(method.label for method in METHODS.values()), "mine"]
    assert len({label(name) for name in names}) == len(set(names))
