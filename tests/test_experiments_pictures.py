"""Experiments that show pictures, and the one that classifies them."""

import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from lrfjax.codec.codecs.dct import DCTCodec
from lrfjax.codec.quantize import IntegerFactors, Range, Scale
from lrfjax.errors import InputError
from lrfjax.evaluation.experiments import (
    class_rows,
    class_shares,
    classification,
    components,
    qualitative,
)
from lrfjax.evaluation.experiments.base import Request
from lrfjax.evaluation.sample import sample_image
from tests.replaced import replaced

pytestmark = pytest.mark.unoptimized


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def request_of(tmp_path):
    """Makes a request over so many crops of the sample photograph."""

    def make(count, labels=None):
        data, out = tmp_path / "data", tmp_path / "out"
        for folder in (data, out):
            folder.mkdir(exist_ok=True)
        photo = sample_image()
        for n in range(count):
            corner = photo[60 + 40 * n :, 150 + 20 * n :][:64, :96]
            Image.fromarray(corner).save(data / f"{n}.png")
        return Request(data, out, labels=labels, show_progress=False)

    return make


def _write(outcome, folder):
    """Write an outcome, and check that its files are there and its figures closed."""
    paths = outcome.write(folder)
    expected = {"experiment.md"}
    expected |= {f"{name}{suffix}" for name in outcome.figures for suffix in (".png", ".pdf")}
    assert {path.name for path in paths} == expected
    assert all(path.stat().st_size > 100 for path in paths)
    assert plt.get_fignums() == []
    return paths[0].read_text()


class StandIn:
    """Logits from a random projection of a coarse version of an image."""

    def __init__(self):
        self.weights = np.random.default_rng(0).normal(size=(192, 50))
        self.num_images = 0

    def predict(self, images):
        self.num_images += len(images)
        coarse = [Image.fromarray(p).convert("RGB").resize((8, 8)) for p in images]
        return np.stack([np.asarray(c).ravel() / 255 - 0.5 for c in coarse]) @ self.weights


def _encode_nothing(*_, **__):
    raise AssertionError("encoded again")


@pytest.fixture
def stand_in(monkeypatch):
    model = StandIn()
    levels = {"imf-paper": (0, 40), "svd-paper": (1, 3), "jpeg": (5, 90)}
    monkeypatch.setattr(classification, "load_classifier", lambda: model)
    monkeypatch.setattr(classification, "LEVELS", levels)
    monkeypatch.setattr(class_shares, "RATES", (0.2, 1.0, 2.0, 3.0, 8.0))
    monkeypatch.setattr(classification, "RATES", (0.2, 1.0, 2.0, 3.0, 8.0))
    return model


def _forbid_encoding(monkeypatch, names):
    methods = {
        name: replaced(classification.METHODS[name], encode=_encode_nothing, sweep=_encode_nothing)
        for name in names
    }
    monkeypatch.setattr(classification, "METHODS", methods)


@pytest.mark.slow
def test_pictures_at_equal_rates(request_of, monkeypatch):
    rates = (1.5, 3.0)
    monkeypatch.setattr(qualitative, "RATES", rates)
    fast = replace(qualitative.METHODS["dct"], codec=DCTCodec(effort=1))
    monkeypatch.setattr(qualitative, "METHODS", {**qualitative.METHODS, "dct": fast})
    request = request_of(1)
    outcome = qualitative.run(request)
    above_svd, above_jpeg = outcome.findings
    assert above_svd.held is not None
    assert "dB" in above_svd.figures
    assert above_jpeg.held is True
    assert list(outcome.figures) == ["picture_1"]
    axes = outcome.figures["picture_1"].axes
    assert len(axes) == 5 * 2 * len(rates)
    image = np.asarray(Image.open(request.data / "0.png"))
    whole, crop = (ax.images[0].get_array() for ax in axes[:2])
    np.testing.assert_array_equal(whole, image)
    frame = axes[0].patches[0]
    x, y = int(frame.get_x() + 0.5), int(frame.get_y() + 0.5)
    np.testing.assert_array_equal(crop, image[y : y + 16, x : x + 16])
    page = _write(outcome, request.out)
    assert page.count("0.png, ") == 4


def test_the_nearest_point_of_a_search_is_shown():
    curve = [qualitative.Point(bpp, 30 + bpp, None) for bpp in (0.1, 0.2, 0.4)]
    assert qualitative.nearest(curve, 0.16).bpp == 0.2
    assert qualitative.nearest(curve, 0.01).bpp == 0.1
    np.testing.assert_allclose(qualitative.at(curve, [0.05, 0.3]), [np.nan, 30.3])


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (3, [0, 1, 2]), (10, [0, 3, 6, 9])])
def test_pictures_are_spread_over_the_folder(count, expected):
    assert qualitative.spread(list(range(count))) == expected


def test_a_search_ends_beyond_the_highest_rate(photo):
    found = qualitative.points(qualitative.METHODS["jpeg"], photo)
    assert [p.bpp > qualitative.RATES[-1] for p in found] == [False] * (len(found) - 1) + [True]


def test_the_factors_are_drawn(request_of):
    request = request_of(2)
    outcome = components.run(request)
    bounds, *errors = outcome.findings
    assert bounds.held is True
    assert "U of Y" in bounds.figures
    assert [finding.claim.split()[3] for finding in errors] == ["Y", "Cb", "Cr"]
    drawn = [ax for ax in outcome.figures["factors"].axes if ax.images]
    assert drawn[0].images[0].get_array().shape == (8, 12)
    assert {ax.images[0].get_clim() for ax in drawn} == {(-16, 16)}
    # One for each count of components, and the original.
    assert len(outcome.figures["components"].axes) == len(components.COUNTS) + 1
    assert "0.png" in _write(outcome, request.out)


def test_errors_of_components_are_those_of_their_sums():
    rng = np.random.default_rng(1)
    u, v = (rng.integers(-3, 4, (n, 3)).astype(np.int32) for n in (10, 6))
    span = Range(-16, 31)
    factors = IntegerFactors(u, v, span, span, Scale())
    x = (u @ v.T).astype(np.float32)
    errors = components.relative_errors(x, factors)
    assert errors[0] == 1
    assert errors[3] == 0
    first = components.first_components(factors, 2)
    assert errors[2] == pytest.approx(np.linalg.norm(x - first.u @ first.v.T) / np.linalg.norm(x))


def test_a_component_that_does_not_help_is_found():
    span = Range(-16, 31)
    one = np.ones((2, 1), np.int32)
    factors = IntegerFactors(one, one * 17, span, span, Scale())
    plane = components.Plane("Y", factors, np.array([1.0, 1.2]), ((1, 2), (1, 2)))
    assert [finding.held for finding in components.findings([plane])] == [False, False]


@pytest.mark.slow
def test_classes_are_counted_and_kept(request_of, stand_in, monkeypatch, tmp_path, capsys):
    labels = tmp_path / "labels.csv"
    labels.write_text("image,label\n0.png,7\n")
    request = request_of(2, labels)
    outcome = classification.run(request)
    assert stand_in.num_images == 2 * (1 + 6)
    assert "1 images have no label, such as 1.png" in capsys.readouterr().out
    (finding,) = outcome.findings
    assert finding.held is None
    assert "at most" in finding.figures
    page = _write(outcome, request.out)
    assert sum(f"{metric}\n" in page for metric in ("## Accuracy, top-1", "## Agreement, top-5"))
    assert len(outcome.figures) == 4

    # Nothing is encoded or classified again, whatever was cut off at the end.
    kept = request.out / "classes.jsonl"
    lines = kept.read_text().splitlines()
    assert len(lines) == 2 * (1 + 6)
    with kept.open("a") as file:
        file.write(lines[0][:30])
    _forbid_encoding(monkeypatch, classification.LEVELS)
    again = classification.run(request)
    assert stand_in.num_images == len(lines)
    assert again.parts == outcome.parts
    assert kept.read_text().splitlines() == lines

    # Of what is missing, that alone is done.
    gone = [n for n, line in enumerate(lines) if json.loads(line)["method"] == "original"]
    kept.write_text("".join(line + "\n" for n, line in enumerate(lines) if n not in gone))
    assert classification.run(request).parts == outcome.parts
    assert stand_in.num_images == len(lines) + len(gone)


def test_a_codec_that_fails_is_skipped(request_of, stand_in, monkeypatch, capsys):
    def refuse(*_, **__):
        raise InputError("no such image")

    methods = classification.METHODS
    refusing = {"imf-paper": replaced(methods["imf-paper"], sweep=refuse)}
    monkeypatch.setattr(classification, "METHODS", {**methods, **refusing})
    monkeypatch.setattr(classification, "LEVELS", {"imf-paper": (5,), "jpeg": (5,)})
    outcome = classification.run(request_of(1))
    assert "skipped 0.png with IMF, paper: no such image" in capsys.readouterr().out
    assert outcome.findings[0].held is None
    _write(outcome, request_of(1).out)


def test_a_missing_classifier_stops_before_anything(request_of, monkeypatch):
    def fail():
        raise InputError("no package")

    monkeypatch.setattr(classification, "load_classifier", fail)
    request = request_of(1)
    with pytest.raises(InputError, match="no package"):
        classification.run(request)
    assert list(request.out.iterdir()) == []


def test_the_largest_rate_not_above_counts():
    found = class_shares.at_rates([(0.24, 1.0), (0.12, 0.0), (0.3, 0.0)])
    expected = [np.nan, 0, 0, 1, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(found, expected)


def test_shares_leave_out_what_does_not_reach():
    shares = class_shares.Shares(np.array([[np.nan, 1.0], [np.nan, 0.0], [1.0, 0.0]]))
    assert shares.count.tolist() == [1, 3]
    np.testing.assert_allclose(shares.mean, [1, 1 / 3])
    np.testing.assert_allclose(shares.standard_error, [np.nan, np.std([1, 0, 0], ddof=1) / 3**0.5])


@pytest.mark.parametrize(
    ("imf", "jpeg", "held"), [(1, 0, True), (0, 1, False), (1, 1, False), (1, np.nan, None)]
)
def test_the_finding_compares_the_same_images(imf, jpeg, held):
    def shares(value):
        # Only the first six images are the same; JPEG does not reach the others, where IMF fails.
        hits = np.full((20, len(class_shares.RATES)), np.nan)
        hits[:6] = value
        return class_shares.Shares(hits)

    own = shares(imf)
    own.hits[6:] = 0
    found = classification.low_rate_finding({"imf-paper": own, "jpeg": shares(jpeg)})
    assert found.held is held
    assert "top-5" in found.claim
    assert ("6 images" in found.figures) is (held is not None)


@pytest.mark.parametrize(
    "line", ["{}", "[1]", "no", '{"image": "a", "digest": "b", "method": "c", "level": 1}']
)
def test_a_file_of_something_else_is_refused(tmp_path, line):
    path = tmp_path / "classes.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match="line 1 is not a row"):
        class_rows.ClassRows(path)
    assert path.read_text() == line + "\n"
