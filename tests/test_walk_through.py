"""The published walk-through, with the names of the package and nothing else changed."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import lrfjax
from lrfjax.errors import FormatError, InputError, InputTypeError

pytestmark = pytest.mark.unoptimized


class torch:
    """Stands for PyTorch: its types are known by their text alone."""

    class _Int8:
        def __str__(self):
            return "torch.int8"

    int8 = _Int8()


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def path(photo, tmp_path):
    Image.fromarray(photo[:64, :80]).save(tmp_path / "small.png")
    return tmp_path / "small.png"


@pytest.mark.parametrize("counts", [(3, 3, 3), pytest.param((25, 50, 75), marks=pytest.mark.slow)])
def test_the_published_walk_through_runs_as_published(path, tmp_path, counts):
    num_jpeg, num_svd, num_imf = counts
    save_dir, prefix = tmp_path / "pictures" / "new", "small"

    image = lrfjax.read_image(path)
    lrfjax.vis_image(image, save_dir=save_dir, prefix=prefix, format="pdf")

    results = []
    for quality in range(0, 25, 25 // num_jpeg):
        params = {"quality": quality}
        config = {"data": prefix, "method": "JPEG", **params}
        log = lrfjax.eval_compression(
            image,
            lrfjax.pil_encode,
            lrfjax.pil_decode,
            reconstruct=True,
            format="JPEG",
            **params,
        )
        results.append({**config, **log})

    for quality in np.linspace(0.0, 4, num_svd):
        params = {"color_space": "RGB", "quality": quality, "patch": True, "patch_size": (8, 8)}
        config = {"data": prefix, "method": "SVD", **params}
        log = lrfjax.eval_compression(
            image, lrfjax.svd_encode, lrfjax.svd_decode, reconstruct=True, **params
        )
        results.append({**config, **log})

    for quality in np.linspace(0, 25, num_imf):
        params = {
            "color_space": "YCbCr",
            "scale_factor": (0.5, 0.5),
            "quality": (quality, quality / 2, quality / 2),
            "patch": True,
            "patch_size": (8, 8),
            "bounds": (-16, 15),
            "dtype": torch.int8,
            "num_iters": 10,
            "verbose": False,
        }
        config = {"data": prefix, "method": "IMF", **params}
        log = lrfjax.eval_compression(
            image, lrfjax.imf_encode, lrfjax.imf_decode, reconstruct=True, **params
        )
        results.append({**config, **log})

    lrfjax.vis_collage(results, bpps=[0.2], save_dir=save_dir, prefix=prefix, format="pdf")

    shown = {
        method: min(
            (row for row in results if row["method"] == method),
            key=lambda row: abs(np.log(row["bit rate (bpp)"] / 0.2)),
        )
        for method in ("JPEG", "SVD", "IMF")
    }
    pictures = {
        f"small-{method}-{row['bit rate (bpp)']:.3f}bpp-{row['PSNR (dB)']:.2f}dB.pdf"
        for method, row in shown.items()
    }
    assert {p.name for p in save_dir.iterdir()} == {"small.pdf", "small-collage.pdf", *pictures}
    assert all(p.read_bytes().startswith(b"%PDF") for p in save_dir.iterdir())
    assert len(results) == len(range(0, 25, 25 // num_jpeg)) + num_svd + num_imf
    for row in results:
        assert row["reconstructed"].shape == image.shape

    # What the last call of IMF writes: both factors are integers within the bounds, solved for.
    data = lrfjax.imf_encode(image, **params)
    contents = lrfjax.read_factors(data)
    assert contents.header.method == "imf"
    assert [f.u.shape[1] for f in contents.factors] == [16, 2, 2]  # 25 % of 64, 12.5 % of 20
    for found in contents.factors:
        for factor in (found.u, found.v):
            assert np.issubdtype(factor.dtype, np.integer)
            assert -16 <= factor.min() < factor.max() <= 15
    assert np.array_equal(lrfjax.imf_decode(data), results[-1]["reconstructed"])
    with pytest.raises(FormatError):
        lrfjax.svd_decode(data)


@pytest.fixture(scope="module")
def rows(photo):
    """Return rows of two methods, each with a name that no file can have."""
    image = photo[:32, :48]
    return [
        {
            "method": method,
            "data": "a",
            **lrfjax.eval_compression(
                image,
                lrfjax.pil_encode,
                lrfjax.pil_decode,
                True,
                warm_up=False,
                format=format,
                quality=q,
            ),
        }
        for method, format in (("a/b: c", "JPEG"), ("a_b_c", "JPEG"))
        for q in (10, 60)
    ]


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_rows_and_rows_by_method_give_one_collage(rows, tmp_path):
    by_method = {}
    for row in rows:
        by_method.setdefault(row["method"], []).append(row)
    for name, given in (("flat", rows), ("grouped", by_method)):
        lrfjax.vis_collage(given, [0.5, 9], save_dir=tmp_path / name, format="svg")
    first, second = (
        {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()}
        for name in ("flat", "grouped")
    )
    assert first == second
    # Both methods show the same pictures, under names of which the second ones get a number.
    assert sum(name.endswith("-2.svg") for name in first) == 2
    assert len(first) == 1 + 4


def test_saved_pictures_have_the_pixels_that_are_shown(rows, tmp_path):
    crop = slice(3, 20), slice(5, 46)
    given = {"JPEG": rows[:1]}
    lrfjax.vis_collage(given, [1, 2], crop=crop, save_dir=tmp_path, prefix="x", format="png")
    name = f"x-JPEG-{rows[0]['bit rate (bpp)']:.3f}bpp-{rows[0]['PSNR (dB)']:.2f}dB.png"
    # One picture, since both rates have the same nearest row.
    assert _names(tmp_path) == sorted(["x-collage.png", name])
    with Image.open(tmp_path / name) as saved:
        assert np.array_equal(saved.convert("RGB"), rows[0]["reconstructed"][crop])
    gray = {"JPEG": [{**rows[0], "reconstructed": rows[0]["reconstructed"][..., 1]}]}
    lrfjax.vis_collage(gray, [1], save_dir=tmp_path / "gray", format="png")
    with Image.open(tmp_path / "gray" / name.removeprefix("x-")) as saved:
        assert np.array_equal(saved.convert("L"), gray["JPEG"][0]["reconstructed"])


def test_an_image_is_saved_under_its_prefix(photo, tmp_path):
    for options in ({}, {"format": "png"}, {"prefix": "mine", "format": "svg"}):
        lrfjax.vis_image(photo, save_dir=tmp_path / "new", **options)
    assert _names(tmp_path / "new") == ["image.pdf", "image.png", "mine.svg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "bmp"}, "format must be one of 'pdf', 'svg', 'png', got 'bmp'"),
        ({"format": None}, "format must be one of"),
        ({"save_dir": None, "prefix": "a"}, "prefix 'a' needs save_dir"),
        ({"save_dir": None, "prefix": "", "format": "png"}, "format 'png' needs save_dir"),
        ({"prefix": "../a"}, r"prefix must be the beginning of a file name, got '\.\./a'"),
        ({"prefix": "a\0"}, "prefix must be the beginning of a file name"),
        ({"prefix": 3}, "prefix must be a string, got 3"),
    ],
)
def test_where_nothing_can_be_saved_nothing_is_drawn(photo, rows, tmp_path, options, message):
    given = {"save_dir": tmp_path / "new", "prefix": "a", **options}
    calls = (
        lambda: lrfjax.vis_image(photo, **given),
        lambda: lrfjax.vis_collage(rows, [0.5], **given),
    )
    for call in calls:
        with pytest.raises((InputError, InputTypeError), match=message):
            call()
    assert not plt.get_fignums()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named(photo, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"save_dir '.*file' cannot be made"):
        lrfjax.vis_image(photo, save_dir=tmp_path / "file")


def _without(rows, key):
    return [{k: v for k, v in row.items() if k != key} for row in rows]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [], "results and bpps must not be empty"),
        (lambda rows: "rows", "results must be rows, or rows by method, got 'rows'"),
        (lambda rows: [*rows, 3], r"results\[4\] must be a row, got 3"),
        (lambda rows: _without(rows, "method"), r"results\[0\] must have a 'method', got \['MS"),
        (lambda rows: _without(rows, "PSNR (dB)"), r"has rows without 'PSNR \(dB\)'"),
        (lambda rows: _without(rows, "reconstructed"), "use reconstruct=True"),
        (lambda rows: [*rows, {**rows[0], "data": "b"}], "must be of one image, got data 'a', 'b'"),
    ],
)
def test_rows_that_make_no_collage_are_named(rows, change, message):
    with pytest.raises((InputError, InputTypeError), match=message):
        lrfjax.vis_collage(change(rows), [0.5])
    assert not plt.get_fignums()


@pytest.mark.parametrize("bpps", [[0], [-1.0], [float("nan")], [0.5, None]])
def test_rates_that_are_none_are_named(rows, bpps):
    with pytest.raises((InputError, InputTypeError), match="bpps must be"):
        lrfjax.vis_collage(rows, bpps)


def test_prefix_in_the_way_of_a_folder_leaves_no_part(rows, tmp_path):
    (tmp_path / "a-collage.pdf").mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        lrfjax.vis_collage(rows, [0.5], save_dir=tmp_path, prefix="a")
    assert _names(tmp_path) == ["a-collage.pdf"]


def test_saving_takes_paths_of_both_kinds(photo, tmp_path):
    lrfjax.vis_image(photo, save_dir=str(tmp_path), prefix="s", format="png")
    lrfjax.vis_image(photo, save_dir=Path(tmp_path), prefix="p", format="png")
    assert _names(tmp_path) == ["p.png", "s.png"]
