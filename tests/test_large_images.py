"""Images of many tiles: threads that change nothing, bounded memory, progress, limits of size."""

import io
import itertools
import sys
import threading

import jax
import numpy as np
import pytest
from PIL import Image

import lrfjax
from lrfjax import cli
from lrfjax.cli.batch import tile_bar
from lrfjax.codec import parallel, planes
from lrfjax.codec.dictionary import tiles
from lrfjax.codec.dictionary.decode import decode_tiles
from lrfjax.codec.dictionary.encode import ImageEncoder
from lrfjax.image import reading

NUM_TILES = 6
SECONDS = 60
"""Limit for what other threads do."""


@pytest.fixture
def image(photo, monkeypatch):
    """An image of six tiles, the last of them cut."""
    monkeypatch.setattr(tiles, "PATCHES_PER_TILE", 8)
    return photo[:91, :117]


@pytest.fixture
def workers(monkeypatch):
    """What sets the number of threads."""
    return lambda count: monkeypatch.setattr(parallel, "num_workers", lambda: count)


def test_no_number_or_order_of_threads_changes_bytes_or_pixels(image, workers, monkeypatch):
    workers(1)
    data = lrfjax.dct_encode(image, quality=40)
    pixels = lrfjax.decode(data)
    assert len(lrfjax.read_factors(data).header.grids) == NUM_TILES
    ended = []

    def late(function):
        calls, second_ended = itertools.count(), threading.Event()

        def call(*arguments):
            index = next(calls)
            result = function(*arguments)
            # The first call of the threads ends after the second one.
            assert index != 1 or second_ended.wait(SECONDS)
            ended.append(index)
            if index == 2:
                second_ended.set()
            return result

        return call

    for count in (2, 4):
        workers(count)
        with monkeypatch.context() as patch:
            for name in ("code_tile", "read_tile"):
                patch.setattr(tiles, name, late(getattr(tiles, name)))
            assert lrfjax.dct_encode(image, quality=40) == data
            assert np.array_equal(lrfjax.decode(data), pixels)
    for order in np.reshape(ended, (4, NUM_TILES)).tolist():
        assert sorted(order) == list(range(NUM_TILES))
        assert order.index(1) > order.index(2)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_results_come_in_order_and_few_are_held(count, workers):
    workers(count)
    began, ended, told = [], [], []
    beginnings = threading.Semaphore(0)
    ends = [threading.Event() for _ in range(9)]

    def call(item):
        began.append(item)
        beginnings.release()
        # With several threads, every second call ends after the next one.
        assert count == 1 or item % 2 == 0 or ends[item + 1].wait(SECONDS)
        ended.append(item)
        ends[item].set()
        return item

    results = parallel.in_order(call, range(9), lambda *both: told.append(both))
    known = 0
    for taken, item in enumerate(results, 1):
        assert item == taken - 1
        # The first call runs alone; from then on, so many calls are ahead.
        ahead = count if count > 1 and taken > 1 else 0
        while known < min(taken + ahead, 9):
            assert beginnings.acquire(timeout=SECONDS)
            known += 1
        assert len(began) == known
    assert (ended == sorted(ended)) == (count == 1)
    assert told == [(n, 9) for n in range(10)]


def test_errors_and_ends_leave_no_call(workers):
    workers(2)
    begun, running, failed = [], [], threading.Event()

    def work(item):
        begun.append(item)
        running.append(item)
        assert item <= 3 or failed.wait(SECONDS)
        running.remove(item)
        return item

    def fail(item):
        if item == 3:
            failed.set()
            raise KeyError("three")
        return work(item)

    def stop(done, _):
        if done == 2:
            raise KeyboardInterrupt

    found = []
    with pytest.raises(KeyError, match="three"):
        found.extend(parallel.in_order(fail, range(100)))
    assert found == [0, 1, 2]
    assert max(begun) <= 5
    assert not running
    begun.clear()
    with pytest.raises(KeyboardInterrupt) as caught:
        list(parallel.in_order(work, range(9), stop))
    # While what holds the frames of the error is still there.
    assert caught.value is not None
    assert (not running, max(begun) <= 3) == (True, True)
    begun.clear()
    left = parallel.in_order(work, range(9))
    assert [next(left), next(left)] == [0, 1]
    left.close()
    assert (not running, max(begun) <= 3) == (True, True)


def test_calls_share_their_threads(workers):
    workers(2)
    used = {
        thread
        for _ in range(4)
        for thread in list(parallel.in_order(lambda _: threading.current_thread(), range(5)))[1:]
    }
    assert 1 <= len(used) <= 2


def test_threads_have_the_device_of_the_caller(workers):
    workers(2)
    device = jax.devices()[0]
    with jax.default_device(device):
        found = list(parallel.in_order(lambda _: jax.config.jax_default_device, range(3)))
    assert found == [device] * 3


def test_progress_counts_tiles_and_begins_again_with_each_attempt(image):
    told = []
    whole = [(n, NUM_TILES) for n in range(NUM_TILES + 1)]

    def progress(*both):
        told.append(both)

    data = lrfjax.dct_encode(image, quality=40, progress=progress)
    assert told == whole
    told.clear()
    lrfjax.decode(data, progress=progress)
    assert told == whole
    told.clear()
    lrfjax.dct_encode(image, target_bpp=1.7, progress=progress)
    attempts, rest = divmod(len(told), len(whole))
    assert (attempts > 1, rest) == (True, 0)
    assert told == whole * attempts


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_has_a_bar_for_each_attempt_at_several_tiles(is_terminal, monkeypatch):
    said = io.StringIO()
    said.isatty = lambda: is_terminal
    monkeypatch.setattr(sys, "stderr", said)
    with tile_bar() as progress:
        for done in (0, 1):
            progress(done, 1)
        assert said.getvalue() == ""
        for _ in range(2):
            for done in range(NUM_TILES + 1):
                progress(done, NUM_TILES)
    lines = [line.strip() for line in said.getvalue().split("\r") if line.strip()]
    heads = [line.split("%")[0].split() for line in lines if f" 0/{NUM_TILES} " in line]
    assert heads == ([["0"], ["attempt", "2:", "0"]] if is_terminal else [])
    # Of how many is known from the first line on, and nothing is left at the end.
    assert all(f"/{NUM_TILES} [" in line for line in lines)
    assert said.getvalue()[-1:] == ("\r" if is_terminal else "")


def test_what_is_measured_is_what_the_file_decodes_to(image):
    encoder = ImageEncoder(image, "rotated", 2, None)
    for dial in (100.0, 700.5):
        encoded, error = encoder.measure(dial)
        assert encoded == encoder.encode(dial)
        assert (
            error
            == np.square(decode_tiles(encoded.header, encoded.bodies) - image.astype(float)).mean()
        )


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (301, 203), (5, 30001)])
@pytest.mark.parametrize("axis", [0, 1])
def test_differences_in_parts_are_those_of_the_whole_image(size, axis, monkeypatch):
    monkeypatch.setattr(planes, "_PARTS_AT_A_TIME", 2)
    image = np.random.default_rng(0).integers(0, 2**16, (*size, 3)).astype(np.uint16)
    parts = list(planes._difference_parts(image, axis))
    assert np.array_equal(
        np.concatenate(parts), np.diff(image.astype(np.float32), axis=axis).reshape(-1, 3)
    )
    assert all(2**14 <= len(part) < 2**15 for part in parts[1:])


@pytest.mark.parametrize(
    "encode", [lrfjax.dct_encode, lrfjax.imf_encode, lrfjax.svd_encode, lrfjax.nmf_encode]
)
def test_encoders_refuse_what_is_too_large_before_they_touch_it(encode):
    # So many pixels that are all one: there is no memory for a copy.
    huge = np.broadcast_to(np.zeros(3, np.uint8), (10**6, 10**6, 3))
    with pytest.raises(lrfjax.InputError, match=r"89478485 .*max_pixels.*1000000, 1000000, 3"):
        encode(huge, quality=40)
    with pytest.raises(lrfjax.InputError, match=r"at most 11 .*max_pixels.*\(3, 4\)"):
        encode(np.zeros((3, 4), np.uint8), quality=40, max_pixels=11)


def test_the_limit_of_pillow_is_lifted_for_a_call_only(tmp_path, photo, monkeypatch):
    path = tmp_path / "x.png"
    Image.fromarray(photo).save(path)
    monkeypatch.setattr(reading, "MAX_PIXELS", 100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(lrfjax.InputError, match=r"max_pixels is 100: .*11520 pixels"):
        lrfjax.read_image(path, max_pixels=100)
    assert np.array_equal(lrfjax.read_image(path, max_pixels=photo[..., 0].size), photo)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_the_command_takes_a_limit(tmp_path, image, capsys):
    path, data, out = (str(tmp_path / name) for name in ("in.png", "in.lrfj", "out.png"))
    Image.fromarray(image).save(path)
    limit, less = f"--max-pixels={image[..., 0].size}", f"--max-pixels={image[..., 0].size - 1}"
    encode = ["encode", path, data, "--quality", "40"]
    for command in (encode, ["decode", data, out], ["info", data]):
        assert cli.main([*command, less]) == 1
        said = capsys.readouterr().err
        assert all(word in said for word in ("max_pixels", less[-5:], "117"))
        assert cli.main([*command, limit]) == 0
    assert np.array_equal(
        lrfjax.read_image(out), lrfjax.decode((tmp_path / "in.lrfj").read_bytes())
    )
