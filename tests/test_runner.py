"""A folder through codecs: what is measured, what is skipped, and resuming at any moment."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrfjax import pil_decode, pil_encode
from lrfjax.errors import InputError, SolverError
from lrfjax.evaluation import results
from lrfjax.evaluation.dataset import find_images, load
from lrfjax.evaluation.methods import choose_methods
from lrfjax.evaluation.results import measured, read_rows, to_line
from lrfjax.evaluation.runner import evaluate
from tests.replaced import replaced

pytestmark = pytest.mark.unoptimized

CHOSEN = choose_methods(["jpeg", "imf-paper"], {"jpeg": [10, 80], "imf-paper": [2, 25]})
GOOD = ["a.png", "gray.png", "sub/b.npy"]
BAD = ["broken.png", "clear.png", "wide.npy"]


@pytest.fixture(scope="module")
def folder(photo, tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    (root / "sub").mkdir()
    Image.fromarray(photo[:32, :48]).save(root / "a.png")
    np.save(root / "sub" / "b.npy", photo[32:64, 40:88])
    Image.fromarray(photo[:24, :32, 1]).save(root / "gray.png")
    (root / "broken.png").write_bytes((root / "a.png").read_bytes()[:300])
    Image.new("RGBA", (48, 32), (9, 8, 7, 50)).save(root / "clear.png")
    np.save(root / "wide.npy", np.zeros((8, 8), np.uint16))
    (root / "notes.txt").write_text("not an image")
    (root / ".hidden.png").write_text("not an image")
    return root


def _run(folder, out, methods=CHOSEN):
    lines = []
    summary = evaluate(folder, methods, out, warn=lines.append, show_progress=False)
    assert lines == [f"skipped {what}: {reason}" for what, reason in summary.skipped]
    return summary


def _comparable(rows):
    """Return the rows without their times, as a set; each must be there once."""
    lines = [to_line(replace(row, encode_ms=0.0, decode_ms=0.0)) for row in rows]
    assert len(set(lines)) == len(lines)
    return set(lines)


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory):
    """Return the results of a run that nothing interrupted, and its summary."""
    out = tmp_path_factory.mktemp("results") / "r.jsonl"
    return out, _run(folder, out)


def test_all_that_can_be_used_is_measured(undisturbed):
    out, summary = undisturbed
    rows = read_rows(out)
    expected = {(i, m.name, level) for i in GOOD for m in CHOSEN for level in m.levels}
    assert {(row.image, row.method, row.level) for row in rows} == expected
    assert summary.num_rows == summary.num_new == len(rows) == len(expected)
    assert [what for what, _ in summary.skipped] == BAD
    assert [("transparency" in reason) for _, reason in summary.skipped] == [False, True, False]


def test_rows_say_what_the_codecs_did(folder, undisturbed):
    rows = read_rows(undisturbed[0])
    sizes = {row.image: (row.height, row.width, row.channels) for row in rows}
    assert sizes == {"a.png": (32, 48, 3), "gray.png": (24, 32, 1), "sub/b.npy": (32, 48, 3)}
    by_key = {(row.image, row.method, row.level): row for row in rows}
    images = {name: load(folder / name) for name in GOOD}
    for (name, method, level), row in by_key.items():
        assert not row.encode_ms <= 0  # NaN where the levels of a sweep share the work
        assert row.decode_ms > 0
        assert -1 < row.ssim < 1
        assert np.isnan(row.ms_ssim)
        assert set(row.versions) > {"jax", "python"}
        batched = method == "imf-paper" and name != "gray.png"
        assert row.batch == 1 + batched
        if method == "jpeg":
            data = pil_encode(images[name], "JPEG", quality=level)
            error = np.mean((pil_decode(data).astype(float) - images[name]) ** 2)
            assert row.num_bytes == len(data)
            assert row.psnr_db == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
    for name in GOOD:
        for method in CHOSEN:
            low, high = (by_key[name, method.name, level] for level in method.levels)
            assert low.num_bytes < high.num_bytes
            assert low.psnr_db < high.psnr_db


def _refuse(*_, **__):
    raise AssertionError("encoded again")


def test_a_second_run_measures_nothing(folder, undisturbed):
    out, first = undisturbed
    before = out.read_bytes()
    idle = [replaced(m, encode=_refuse, sweep=_refuse) for m in CHOSEN]
    second = _run(folder, out, idle)
    assert out.read_bytes() == before
    assert (second.num_rows, second.num_new) == (first.num_rows, 0)


class _Interrupt:
    """Stands for Ctrl-C: raises on one of the calls that it wraps."""

    def __init__(self, calls=-1):
        self.calls = self.left = calls

    def __call__(self):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1

    def wrap(self, function):
        def wrapped(*args, **settings):
            self()
            return function(*args, **settings)

        return wrapped

    def wrap_sweep(self, sweep):
        def wrapped(*args, **settings):
            for files in sweep(*args, **settings):
                self()
                yield files

        return wrapped

    def methods(self):
        return [
            replaced(
                m,
                encode=self.wrap(m.codec.encode),
                decode=self.wrap(m.codec.decode),
                sweep=self.wrap_sweep(m.codec.sweep),
            )
            for m in CHOSEN
        ]


@pytest.fixture(scope="module")
def num_moments(folder, undisturbed, tmp_path_factory):
    """Return on how many calls a run can be interrupted, everything being compiled."""
    counter = _Interrupt()
    _run(folder, tmp_path_factory.mktemp("counted") / "r.jsonl", counter.methods())
    return counter.calls - counter.left


@pytest.mark.parametrize("seed", range(20))
def test_a_run_resumes_from_any_moment(folder, undisturbed, num_moments, tmp_path, seed):
    rng = np.random.default_rng(seed)
    out = tmp_path / "r.jsonl"
    with pytest.raises(KeyboardInterrupt):
        _run(folder, out, _Interrupt(int(rng.integers(num_moments))).methods())
    kept = len(read_rows(out))
    assert kept < undisturbed[1].num_rows
    # A crash, which takes part of what was written, and another interrupt.
    os.truncate(out, int(rng.integers(out.stat().st_size + 1)))
    with contextlib.suppress(KeyboardInterrupt):
        _run(folder, out, _Interrupt(int(rng.integers(num_moments))).methods())
    resumed = _run(folder, out)
    assert resumed.num_rows == undisturbed[1].num_rows
    assert _comparable(read_rows(out)) == _comparable(read_rows(undisturbed[0]))


@pytest.mark.parametrize("seed", range(5))
def test_a_run_resumes_from_within_a_write(folder, undisturbed, tmp_path, monkeypatch, seed):
    rng = np.random.default_rng(seed)
    write, writes_left = os.write, int(rng.integers(8))

    def cut(file, data):
        nonlocal writes_left
        if writes_left == 0:
            write(file, data[: int(rng.integers(len(data) + 1))])
            raise KeyboardInterrupt
        writes_left -= 1
        return write(file, data)

    out = tmp_path / "r.jsonl"
    monkeypatch.setattr(results.os, "write", cut)
    with pytest.raises(KeyboardInterrupt):
        _run(folder, out)
    monkeypatch.undo()
    _run(folder, out)
    assert _comparable(read_rows(out)) == _comparable(read_rows(undisturbed[0]))


def test_another_image_of_the_same_name_is_measured_again(folder, undisturbed, tmp_path):
    copy = tmp_path / "images"
    shutil.copytree(folder, copy)
    out = Path(shutil.copy(undisturbed[0], tmp_path))
    Image.fromarray(255 - load(copy / "a.png")).save(copy / "a.png")
    summary = _run(copy, out)
    assert summary.num_new == sum(len(m.levels) for m in CHOSEN)
    new = read_rows(out)[undisturbed[1].num_rows :]
    assert {row.image for row in new} == {"a.png"}
    assert len({row.digest for row in read_rows(out) if row.image == "a.png"}) == 2


def test_a_new_level_measures_that_level_alone(folder, undisturbed, tmp_path):
    out = Path(shutil.copy(undisturbed[0], tmp_path))
    more = choose_methods(["jpeg"], {"jpeg": [10, 40, 80]})
    summary = _run(folder, out, more)
    assert (summary.num_new, summary.num_rows) == (len(GOOD), 3 * len(GOOD))
    assert {row.level for row in read_rows(out)[-len(GOOD) :]} == {40.0}


def test_what_a_codec_refuses_is_told_and_the_rest_done(folder, undisturbed, tmp_path):
    def no_gray(image, rate):
        if image.ndim == 2:
            raise InputError("image is gray")
        return pil_encode(image, "JPEG", quality=rate.quality)

    def refuse(*_):
        raise SolverError("no luck")
        yield

    def fail(*_):
        raise SolverError("no luck")

    jpeg, imf = CHOSEN
    methods = [replaced(imf, sweep=refuse, encode=fail), replaced(jpeg, encode=no_gray)]
    summary = _run(folder, tmp_path / "r.jsonl", methods)
    skipped = dict(summary.skipped)
    assert skipped["gray.png with JPEG"] == "image is gray"
    assert [skipped[f"{name} with IMF, paper"] for name in GOOD] == ["no luck"] * len(GOOD)
    rows = read_rows(tmp_path / "r.jsonl")
    assert len(rows) == sum(len(GOOD) * len(m.levels) for m in methods)
    done = measured(rows)
    assert summary.num_rows == len(done) == 4
    assert {(row.image, row.method) for row in done} == {("a.png", "jpeg"), ("sub/b.npy", "jpeg")}


def test_a_format_without_gray_is_measured_in_gray(folder, undisturbed, tmp_path):
    shutil.copy(folder / "gray.png", tmp_path)
    _run(tmp_path, tmp_path / "r.jsonl", choose_methods(["webp"], {"webp": [50]}))
    (row,) = read_rows(tmp_path / "r.jsonl")
    assert row.channels == 1
    assert 20 < row.psnr_db < 60


@pytest.mark.parametrize("content", [None, "notes.txt", "broken.png"])
def test_a_folder_without_images_is_named_before_any_work(folder, tmp_path, content):
    data = tmp_path / "data"
    data.mkdir()
    if content:
        shutil.copy(folder / content, data)
    reason = "has no image that can be used" if content == "broken.png" else "has no images"
    with pytest.raises(InputError, match=f"data .*{reason}"):
        evaluate(data, CHOSEN, tmp_path / "r.jsonl", warn=lambda _: None, show_progress=False)


def test_a_folder_that_is_none_is_named(folder, tmp_path):
    for path in (tmp_path / "missing", folder / "a.png"):
        with pytest.raises(InputError, match=f"data .*{path.name}' is not a folder"):
            _run(path, tmp_path / "r.jsonl")
    assert not (tmp_path / "r.jsonl").exists()


def test_results_that_are_none_stop_the_run_before_any_work(folder, tmp_path):
    out = tmp_path / "r.jsonl"
    out.write_text("garbage\n")
    methods = [replaced(m, encode=_refuse, sweep=_refuse) for m in CHOSEN]
    with pytest.raises(InputError, match="line 1 is not a row"):
        _run(folder, out, methods)


def test_images_are_found_by_their_suffix_and_sorted(folder):
    names = [path.relative_to(folder).as_posix() for path in find_images(folder)]
    assert names == sorted(GOOD + BAD)


PROCESS = """
import sys
import jax

port, process, folder, bad, out = sys.argv[1:]
jax.distributed.initialize(f"localhost:{port}", 2, int(process))

from lrfjax.errors import InputError
from lrfjax.evaluation.methods import choose_methods
from lrfjax.evaluation.runner import evaluate
from tests.replaced import replaced

methods = choose_methods(["jpeg", "svd-paper"], {"jpeg": [10, 80], "svd-paper": [1, 5]})
try:
    evaluate(folder, methods, bad, show_progress=False)
except InputError as error:
    print("refused:", error)
summary = evaluate(folder, methods, out, show_progress=False)
print("summary:", summary.num_rows, summary.num_new)
"""


@pytest.mark.slow
def test_two_processes_share_the_work(folder, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    bad, out = tmp_path / "bad.jsonl", tmp_path / "r.jsonl"
    bad.write_text("garbage\n")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, port, str(k), str(folder), str(bad), str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )
        for k in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [p.returncode for p in processes] == [0, 0], outputs
    first, second = (text for text, _ in outputs)
    assert "line 1 is not a row" in first
    assert "bad.jsonl' could not be opened by process 0" in second
    # Each has images of its own, and both know of all.
    total = 4 * len(GOOD)
    assert f"summary: {total} {total}" in first
    assert f"summary: {total} {total}" in second
    assert out.read_bytes().count(b"\n") == total

    alone = tmp_path / "alone.jsonl"
    methods = choose_methods(["jpeg", "svd-paper"], {"jpeg": [10, 80], "svd-paper": [1, 5]})
    _run(folder, alone, methods)
    shared, expected = ([replace(r, batch=1) for r in read_rows(path)] for path in (out, alone))
    assert _comparable(shared) == _comparable(expected)
