"""Codecs from outside that fail or lie: each failure is a row, and the run goes on."""

import json
import re
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

import lrfjax
from lrfjax.cli.main import main
from lrfjax.errors import InputError, InputTypeError, SolverError
from lrfjax.evaluation.methods import Method, choose_methods
from lrfjax.evaluation.results import measured, read_rows
from lrfjax.evaluation.runner import evaluate

pytestmark = pytest.mark.unoptimized

LEVELS = (10.0, 50.0)


@dataclass(frozen=True)
class Outside(lrfjax.Codec):
    """A codec of another package that does what it should, by Pillow."""

    name = "outside, mine"
    label = "Outside"
    levels = LEVELS

    def encode(self, image, rate):
        return lrfjax.pil_encode(image, quality=rate.quality)

    def decode(self, data):
        return lrfjax.pil_decode(data)


def _raise(error):
    raise error


FAILURES = {
    "raises": ("encode", lambda *_: _raise(KeyError("no such thing")), "KeyError: 'no such thing'"),
    "raises nothing said": ("encode", lambda *_: _raise(ValueError()), "ValueError"),
    "refuses": ("encode", lambda *_: _raise(SolverError("no\n luck")), "no luck"),
    "needs too much": ("encode", lambda *_: _raise(MemoryError()), "MemoryError"),
    "says a lot": ("encode", lambda *_: _raise(OSError("x" * 999)), "OSError: xxx"),
    "returns no bytes": ("encode", lambda *_: b"", "the encoder must return bytes, got none"),
    "returns None": ("encode", lambda *_: None, "the encoder must return bytes, got NoneType"),
    "cannot decode": ("decode", lambda *_: _raise(IndexError("1")), "IndexError: 1"),
    "decodes another shape": (
        "decode",
        lambda _, data: lrfjax.pil_decode(data)[1:],
        "the decoder must return shape (32, 48, 3), got (31, 48, 3)",
    ),
    "decodes floats": (
        "decode",
        lambda _, data: lrfjax.pil_decode(data) * np.nan,
        "the decoder must return uint8, got float64",
    ),
    "decodes nothing": (
        "decode",
        lambda *_: None,
        "the decoder must return shape (32, 48, 3), got ()",
    ),
    "changes the image": (
        "encode",
        lambda _, image, rate: image.fill(0) or b"1",
        "ValueError: ",
    ),
}


def _failing(name):
    function, does, _ = FAILURES[name]
    return type("Failing", (Outside,), {function: does, "name": name, "label": name})()


@pytest.fixture
def folder(photo, tmp_path):
    data = tmp_path / "images"
    data.mkdir()
    for number in range(2):
        Image.fromarray(photo[8 * number : 8 * number + 32, :48]).save(data / f"{number}.png")
    return data


def _run(folder, out, codecs):
    lines = []
    methods = [Method.of(codec) for codec in codecs]
    summary = evaluate(folder, methods, out, warn=lines.append, show_progress=False)
    assert lines == [f"skipped {what}: {reason}" for what, reason in summary.skipped]
    return summary, read_rows(out)


def test_each_failure_is_a_row_with_its_reason(folder, tmp_path):
    codecs = [Outside(), *map(_failing, FAILURES)]
    summary, rows = _run(folder, tmp_path / "r.jsonl", codecs)
    assert len(rows) == 2 * len(LEVELS) * len(codecs)
    good = measured(rows)
    assert {row.method for row in good} == {"outside, mine"}
    assert summary.num_rows == summary.num_new == len(good)
    for row in rows:
        if row.error:
            assert row.error.startswith(FAILURES[row.method][2])
            assert "\n" not in row.error
            assert len(row.error) < 320
            assert (row.num_bytes, row.bpp, row.batch) == (0, 0, 1)
            assert np.isnan(
                [row.psnr_db, row.ssim, row.ms_ssim, row.encode_ms, row.decode_ms]
            ).all()
    # One line for an image and a codec, whatever the number of levels.
    assert len(summary.skipped) == 2 * len(FAILURES)
    for line in (tmp_path / "r.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=_raise)


def test_rows_with_an_error_are_measured_again(folder, tmp_path):
    out = tmp_path / "r.jsonl"
    broken = type("Outside", (Outside,), {"decode": FAILURES["cannot decode"][1]})()
    first, rows = _run(folder, out, [broken])
    assert (first.num_rows, first.num_new, len(measured(rows))) == (0, 0, 0)
    second, rows = _run(folder, out, [Outside()])
    assert (second.num_rows, second.num_new) == (4, 4)
    assert len(measured(rows)) == len(rows) == 4
    # A later failure takes nothing away, and nothing is measured twice.
    third, again = _run(folder, out, [broken])
    assert (third.num_rows, third.num_new, again) == (4, 0, rows)


def test_a_level_at_fault_leaves_the_others(folder, tmp_path):
    def encode(self, image, rate):
        if rate.quality > 20:
            raise RuntimeError("too good")
        return Outside().encode(image, rate)

    codec = type("Partly", (Outside,), {"encode": encode})()
    _, rows = _run(folder, tmp_path / "r.jsonl", [codec])
    assert {row.level: row.error for row in rows} == {10.0: "", 50.0: "RuntimeError: too good"}


@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_image_that_a_sweep_fails_on_leaves_the_others(folder, tmp_path, at):
    """The sweep fails when it starts, at its first level, or at its second."""

    def sweep(self, images, levels, largest=None):
        for number, level in enumerate(levels, 1):
            if at == 0 or (number == at and len(levels) > 1):
                raise ZeroDivisionError
            yield [self.encode(image, lrfjax.Rate(quality=level)) for image in images]

    def encode(self, image, rate):
        if image[0, 0, 0] == first:
            raise ZeroDivisionError("the first one")
        return Outside().encode(image, rate)

    first = np.array(Image.open(folder / "0.png"))[0, 0, 0]
    codec = type("Batched", (Outside,), {"sweep": sweep, "encode": encode})()
    _, rows = _run(folder, tmp_path / "r.jsonl", [codec])
    assert {(row.image, row.level) for row in rows if row.error} == {("0.png", n) for n in LEVELS}
    assert {row.batch for row in rows} == {1}


@pytest.mark.parametrize("name", [n for n in FAILURES if n.startswith(("returns", "decodes"))])
def test_one_image_through_a_codec_that_lies_is_refused(photo, name):
    codec, message = _failing(name), FAILURES[name][2]

    def encode(image):
        return codec.encode(image, lrfjax.Rate(quality=50))

    for warm_up in (False, True):
        with pytest.raises((InputError, InputTypeError), match=re.escape(message)):
            lrfjax.eval_compression(photo[:32, :48], encode, codec.decode, warm_up=warm_up)


def _bad(**changes):
    return type("Bad", (Outside,), changes)()


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        (_bad(name="jpeg"), "codec 'jpeg' is the name of both Bad and JPEG"),
        (_bad(levels=()), r"levels of 'outside, mine' must be numbers, got \(\)"),
        (_bad(levels=(1.0, float("nan"))), "levels of 'outside, mine' must be numbers"),
        (_bad(levels=("high",)), "codec 'outside, mine' cannot be measured: could not convert"),
        (_bad(changed=lambda _: {"weights": object()}), "cannot be measured: .* JSON"),
        (_bad(check_available=lambda _: _raise(OSError("no driver"))), "measured: no driver"),
    ],
)
def test_a_codec_that_no_run_can_use_is_named_before_it(codec, message):
    with pytest.raises(InputError, match=message):
        choose_methods([codec])


def test_two_codecs_of_one_name_are_refused():
    with pytest.raises(InputError, match="is the name of both Bad and Outside"):
        choose_methods([Outside(), _bad()])


def test_a_command_takes_a_codec_of_another_package(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "elsewhere.py").write_text(
        f"from {__name__} import Outside, _failing\nbroken = _failing('decodes floats')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "elsewhere", None)
    del sys.modules["elsewhere"]  # what is imported now is gone after the test
    out = tmp_path / "r.jsonl"
    arguments = ["evaluate", "--data", str(folder), "--out", str(out)]
    names = "elsewhere:Outside, elsewhere:broken,jpeg"
    levels = [
        "--levels",
        "outside, mine=30,60",
        "--levels",
        "decodes floats=5",
        "--levels",
        "jpeg=5",
    ]
    assert main([*arguments, "--methods", names, *levels]) == 0
    rows = read_rows(out)
    assert {(r.method, r.level) for r in measured(rows)} == {
        ("outside, mine", 30.0),
        ("outside, mine", 60.0),
        ("jpeg", 5.0),
    }
    assert {r.error for r in rows} == {"", "the decoder must return uint8, got float64"}
    assert "6 rows, 6 of them new, 2 skipped" in capsys.readouterr().out
    # A name with a comma is quoted; it is not known by that name here.
    assert main([*arguments, "--methods", '"outside, mine",jpeg']) == 1
    assert "codec 'outside, mine' is unknown" in capsys.readouterr().err
    assert main([*arguments, "--methods", "jpeg\nwebp"]) == 1
    assert "--methods must be names" in capsys.readouterr().err
