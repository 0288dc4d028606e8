"""CompressAI's results files, in the variants that its repository holds."""

import json
from dataclasses import replace

import numpy as np
import pytest

import lrfjax
from lrfjax.evaluation.compressai import read_compressai, write_compressai
from lrfjax.evaluation.results import Row


def _row(image, level, num_bytes, psnr, **fields):
    values = {
        "image": image,
        "digest": image,
        "method": "imf",
        "level": level,
        "height": 64,
        "width": 50,
        "channels": 3,
        "num_bytes": num_bytes,
        "psnr_db": psnr,
        "ssim": 0.8,
        "ms_ssim": psnr / 50,
        "encode_ms": 30.0,
        "decode_ms": 4.0,
        "versions": {"lrfjax": "0.0"},
    }
    return Row(**values | fields)


ROWS = [
    _row("a", 2.0, 400, 30.0),
    _row("a", 1.0, 200, 27.0),
    _row("b", 1.0, 300, 29.0),
    _row("b", 2.0, 500, 34.0),
]


def _write(path, **results):
    path.write_text(json.dumps({"name": "X", "description": "d", "results": results}))
    return path


@pytest.mark.parametrize("psnr", ["psnr", "psnr-rgb"])
@pytest.mark.parametrize("similarity", ["ms-ssim", "ms-ssim-rgb", "msssim"])
def test_names_of_metrics_over_the_years(tmp_path, psnr, similarity):
    lists = {psnr: [36, 30.5], similarity: [0.99, 0.9], "bpp": [1.25, 0.5]}
    curve = read_compressai(_write(tmp_path / "x.json", **lists, encoding_time=[1, 2, 3]))
    assert (curve.name, curve.description) == ("X", "d")
    assert curve.bpp.tolist() == [0.5, 1.25]
    assert sorted(curve.metrics) == ["ms_ssim", "ms_ssim_db", "psnr_db"]
    assert curve.metrics["psnr_db"].tolist() == [30.5, 36]
    assert curve.metrics["ms_ssim"].tolist() == [0.9, 0.99]
    assert np.allclose(curve.metrics["ms_ssim_db"], [10, 20])


def test_similarities_in_decibels_and_other_keys(tmp_path):
    path = tmp_path / "paper.json"
    results = {"bpp": [0.1, 0.2], "ms-ssim-db-rgb": [10.0, 20.0]}
    path.write_text(json.dumps({"meta": {"device": None}, "results": results}))
    curve = read_compressai(path)
    assert (curve.name, curve.description) == ("paper", "")
    assert curve.metrics["ms_ssim_db"].tolist() == [10, 20]
    assert np.allclose(curve.metrics["ms_ssim"], [0.9, 0.99])
    assert "psnr_db" not in curve.metrics


def test_means_over_the_images_come_back(tmp_path):
    path = tmp_path / "imf.json"
    write_compressai(path, [*ROWS, replace(ROWS[0], method="jpeg")], "imf")
    curve = read_compressai(path)
    assert curve.name == "imf"
    assert curve.description == "mean over 2 images, lrfjax 0.0"
    assert np.allclose(curve.bpp, [8 * 250 / 3200, 8 * 450 / 3200])
    assert np.allclose(curve.metrics["psnr_db"], [28, 32])
    assert np.allclose(curve.metrics["ms_ssim"], [0.56, 0.64])
    results = json.loads(path.read_text())["results"]
    assert list(results) == ["psnr-rgb", "ms-ssim-rgb", "bpp", "encoding_time", "decoding_time"]
    assert np.allclose(results["encoding_time"], 0.03)
    assert np.allclose(results["decoding_time"], 0.004)
    assert [p.name for p in tmp_path.iterdir()] == ["imf.json"]


def test_times_that_no_level_has_are_left_out(tmp_path):
    path = tmp_path / "svd.json"
    write_compressai(path, [replace(row, encode_ms=float("nan")) for row in ROWS], "imf")
    results = json.loads(path.read_text())["results"]
    assert list(results) == ["psnr-rgb", "ms-ssim-rgb", "bpp", "decoding_time"]


def test_levels_without_a_mean_are_left_out(tmp_path):
    path = tmp_path / "imf.json"
    more = [_row("a", 3.0, 900, 40.0), _row("a", 4.0, 999, np.inf), _row("b", 4.0, 999, 50.0)]
    write_compressai(path, ROWS + more, "imf", "as measured")
    assert len(read_compressai(path).bpp) == 2
    assert read_compressai(path).description == "as measured"
    with pytest.raises(lrfjax.InputError, match="no lossy level that all 2 images have"):
        write_compressai(path, [ROWS[0], ROWS[2]], "imf")
    assert len(read_compressai(path).bpp) == 2


def test_small_and_gray_images(tmp_path):
    path = tmp_path / "imf.json"
    rows = [replace(row, ms_ssim=np.nan, channels=1) for row in ROWS]
    write_compressai(path, rows, "imf")
    results = json.loads(path.read_text())["results"]
    assert "psnr" in results
    assert not any(key.startswith(("psnr-rgb", "ms-ssim")) for key in results)


def test_what_cannot_be_written(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(lrfjax.InputError, match=r"method 'svd' is not among \['imf'\]"):
        write_compressai(path, ROWS, "svd")
    with pytest.raises(lrfjax.InputError, match="mix parameters"):
        write_compressai(path, [*ROWS, replace(ROWS[0], parameters={"bounds": 8})], "imf")
    with pytest.raises(lrfjax.InputError, match="no such folder"):
        write_compressai(tmp_path / "none" / "x.json", ROWS, "imf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({"psnr": [30]}, "has no 'bpp' among"),
        ({"bpp": [0.1], "qp": [20]}, "has none of psnr-rgb, psnr, .* among"),
        ({"bpp": [0.1, 0.2], "psnr": [30]}, "has 2 rates and 1 of 'psnr'"),
        ({"bpp": [0.1], "psnr": ["30"]}, "finite numbers as 'psnr', got '30'"),
        ({"bpp": [0.1], "psnr": [None]}, "finite numbers as 'psnr', got None"),
        ({"bpp": [0.1], "psnr": [True]}, "finite numbers as 'psnr', got True"),
        ({"bpp": [0.1], "psnr": [np.inf]}, "finite numbers as 'psnr', got inf"),
        ({"bpp": [np.nan], "psnr": [30]}, "finite numbers as 'bpp', got nan"),
        ({"bpp": [0.1], "psnr": [10**400]}, "finite numbers as 'psnr', got 1000"),
        ({"bpp": [0.0], "psnr": [30]}, "rate that is not positive: 0 bpp"),
        ({"bpp": 0.1, "psnr": [30]}, "list of numbers as 'bpp', got 0.1"),
        ({"bpp": [], "psnr": []}, r"list of numbers as 'bpp', got \[\]"),
        ({"bpp": [0.1], "ms-ssim": [15.0]}, "similarity above 1: 'ms-ssim' of 15"),
    ],
)
def test_impossible_results(tmp_path, results, message):
    path = _write(tmp_path / "x.json", **results)
    with pytest.raises(lrfjax.InputError, match=message) as caught:
        read_compressai(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe\xfa", "is not JSON"),
        (b"[" * 100000, "is not JSON"),
        (b"[]", "an object 'results'"),
        (b"{}", "an object 'results'"),
        (b'{"results": [1]}', "an object 'results'"),
        (b'{"name": 5, "results": {"bpp": [1], "psnr": [30]}}', "texts as name"),
    ],
)
def test_what_is_no_results_file(tmp_path, data, message):
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(lrfjax.InputError, match=message):
        read_compressai(path)
    with pytest.raises(lrfjax.InputError, match="cannot be read"):
        read_compressai(tmp_path / "none.json")
