"""Results files: what is written comes back, whatever an interruption leaves of it."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from lrfjax.errors import InputError
from lrfjax.evaluation import results
from lrfjax.evaluation.results import ResultsFile, Row, by_method, from_line, read_rows, to_line

ROW = Row(
    image="été/a b.png",
    digest="0123456789abcdef",
    method="imf-paper",
    level=7.5,
    height=40,
    width=50,
    channels=3,
    num_bytes=250,
    psnr_db=31.25,
    ssim=0.875,
    ms_ssim=0.9375,
    encode_ms=12.5,
    decode_ms=1.25,
    batch=2,
    parameters={"bounds": [-16, 15], "patch": True},
    versions={"jax": "1.2"},
    device="cpu, cpu",
)
ROWS = [replace(ROW, level=float(level)) for level in range(4)]


def _strict(line):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(line, parse_constant=refuse)


def _write(path, rows=ROWS):
    with ResultsFile(path) as file:
        file.append(rows)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"psnr_db": math.inf},
        {"ssim": math.nan, "ms_ssim": math.nan},
        {"encode_ms": math.nan},
        {"parameters": {}, "versions": {}, "device": ""},
        {"image": 'quote " and \u2028 line.png'},
    ],
)
def test_a_row_goes_through_a_line_of_strict_json(changes):
    row = replace(ROW, **changes)
    line = to_line(row)
    assert "\n" not in line
    values = _strict(line)
    assert values["bpp"] == 1.0
    assert values["psnr_db"] == (None if "psnr_db" in changes else 31.25)
    # By their text, since NaN is not equal to itself.
    assert repr(from_line(line)) == repr(row)


def test_rows_go_through_a_file_and_each_counts_once(tmp_path):
    path = _write(tmp_path / "r.jsonl")
    with ResultsFile(path) as file:
        assert file.rows == ROWS
        file.append([replace(ROWS[1], num_bytes=999), replace(ROW, level=9.0)])
        file.append([replace(ROW, level=9.0)])
    assert read_rows(path) == [*ROWS, replace(ROW, level=9.0)]
    assert path.read_bytes().count(b"\n") == 5


def test_tuples_and_lists_are_one_parameter(tmp_path):
    path = _write(tmp_path / "r.jsonl")
    with ResultsFile(path) as file:
        assert replace(ROWS[0], parameters={"patch": True, "bounds": (-16, 15)}).key in file.done


def test_of_two_rows_with_one_key_the_first_counts(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text("".join(to_line(replace(ROW, num_bytes=n)) + "\n" for n in (5, 6)))
    assert [row.num_bytes for row in read_rows(path)] == [5]


NOT_MEASURED = replace(
    ROW,
    num_bytes=0,
    psnr_db=math.nan,
    ssim=math.nan,
    ms_ssim=math.nan,
    encode_ms=math.nan,
    decode_ms=math.nan,
    error="ValueError: no such colour",
)


def test_a_row_with_an_error_goes_through_a_line_and_counts_as_no_measurement():
    line = to_line(NOT_MEASURED)
    assert _strict(line)["psnr_db"] is None
    assert repr(from_line(line)) == repr(NOT_MEASURED)
    assert by_method([NOT_MEASURED]) == {}
    assert by_method([NOT_MEASURED, ROW]) == {"imf-paper": [ROW]}


@pytest.mark.parametrize(
    ("written", "kept"),
    [("EEM", "M"), ("EME", "M"), ("ME", "M"), ("MM", "M"), ("EE", "E")],
)
def test_a_measurement_takes_the_place_of_an_error_and_no_error_that_of_it(tmp_path, written, kept):
    path = tmp_path / "r.jsonl"
    rows = {
        "M": lambda n: replace(ROW, num_bytes=n),
        "E": lambda n: replace(NOT_MEASURED, error=str(n)),
    }
    lines = [to_line(rows[kind](n)) + "\n" for n, kind in enumerate(written, 1)]
    path.write_text("".join(lines))
    (row,) = read_rows(path)
    # The first measurement, or the last error.
    expected = written.index("M") + 1 if kept == "M" else len(written)
    assert (row.num_bytes, row.error) == ((expected, "") if kept == "M" else (0, str(expected)))
    with ResultsFile(path) as file:
        assert file.done == ({ROW.key} if kept == "M" else set())


@pytest.mark.parametrize(
    "changes", [{"error": ["no"]}, {"error": 1}, {"num_bytes": 5}, {"error": ""}, {"level": None}]
)
def test_a_line_with_an_impossible_error_is_no_row(changes):
    values = {**_strict(to_line(NOT_MEASURED)), **changes}
    with pytest.raises(ValueError, match=r"missing|must be"):
        from_line(json.dumps(values))


@pytest.mark.parametrize(
    "changes", [{"digest": "f"}, {"method": "jpeg"}, {"level": 8.0}, {"parameters": {}}]
)
def test_what_makes_another_measurement_makes_another_key(changes):
    assert replace(ROW, **changes).key != ROW.key


def test_a_file_cut_anywhere_in_its_last_line_keeps_the_others(tmp_path):
    path = _write(tmp_path / "r.jsonl")
    whole = path.read_bytes()
    last = len(to_line(ROWS[-1]).encode()) + 1
    for length in range(len(whole) - last, len(whole)):
        path.write_bytes(whole[:length])
        assert read_rows(path) == ROWS[:-1]
        with ResultsFile(path) as file:
            assert file.rows == ROWS[:-1]
            file.append(ROWS)
        assert path.read_bytes() == whole


def test_only_the_owner_drops_an_unfinished_line(tmp_path):
    path = _write(tmp_path / "r.jsonl")
    cut = path.read_bytes()[:-9]
    path.write_bytes(cut)
    with ResultsFile(path, is_owner=False) as file:
        assert file.rows == ROWS[:-1]
    assert path.read_bytes() == cut


@pytest.mark.parametrize("content", [b"\x89PNG\r", b'{"name": "a"}', b"image,psnr", b"\0\0"])
def test_a_file_of_something_else_is_left_alone(tmp_path, content):
    path = tmp_path / "precious"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"precious', line 1 is not a row"), ResultsFile(path):
        pass
    assert path.read_bytes() == content


GOOD = json.loads(to_line(ROW))


@pytest.mark.parametrize(
    "line",
    [
        "garbage",
        "[]",
        "{}",
        "[" * 100_000,
        "null",
        '{"image": "cut off{"image": "a.png"}',
        *(
            json.dumps(GOOD | change)
            for change in (
                {"height": 0},
                {"num_bytes": -1},
                {"width": "50"},
                {"level": None},
                {"level": math.nan},
                {"level": 10**400},
                {"decode_ms": None},
                {"image": ["a"]},
                {"digest": None},
                {"method": {}},
                {"parameters": []},
                {"versions": None},
            )
        ),
        json.dumps({name: value for name, value in GOOD.items() if name != "num_bytes"}),
    ],
)
def test_a_finished_line_that_is_no_row_is_named(tmp_path, line):
    path = _write(tmp_path / "r.jsonl")
    text = path.read_text()
    path.write_text(text + "\n" + line + "\n" + text)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"r\.jsonl', line 6 is not a row: "):
        read_rows(path)
    with pytest.raises(InputError, match="line 6 is not a row"), ResultsFile(path):
        pass
    assert path.read_bytes() == before


def test_fields_of_later_versions_are_passed_over():
    assert from_line(json.dumps(GOOD | {"energy_joules": 3})) == ROW


def test_bytes_that_are_no_text_are_no_row(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(to_line(ROW).encode() + b"\n\xff\xfe\x85\x0c\n")
    with pytest.raises(InputError, match="line 2 is not a row"):
        read_rows(path)


def test_a_second_run_is_kept_out_until_the_first_is_done(tmp_path):
    pytest.importorskip("fcntl")
    path = tmp_path / "r.jsonl"
    with ResultsFile(path) as file:
        with pytest.raises(InputError, match=r"r\.jsonl' is in use by another run"):
            _write(path)
        with ResultsFile(path, is_owner=False) as other:
            other.append(ROWS[:1])
        file.append(ROWS[1:2])
    with ResultsFile(path) as file:
        assert file.rows == ROWS[:2]


def test_a_file_system_without_locks_goes_without(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert read_rows(_write(tmp_path / "r.jsonl")) == ROWS


def test_a_file_that_is_refused_is_closed(tmp_path, monkeypatch):
    closed = []
    close = os.close
    monkeypatch.setattr(results.os, "close", lambda file: (closed.append(file), close(file)))
    path = tmp_path / "r.jsonl"
    path.write_text("garbage\n")
    with pytest.raises(InputError), ResultsFile(path):
        pass
    assert len(closed) == 1


@pytest.mark.parametrize("where", ["folder", "missing/r.jsonl", "file/r.jsonl"])
def test_a_place_without_room_for_a_file_is_named(tmp_path, where):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    path = tmp_path / where
    with pytest.raises(InputError, match=f"results .*{Path(where).name}' cannot be written: "):
        _write(path)
    with pytest.raises(InputError, match=f"results .*{Path(where).name}' cannot be read: "):
        read_rows(path)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_read_only_is_named(tmp_path, monkeypatch, what):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "r.jsonl"
    if what == "file":
        _write(path)
    locked = path if what == "file" else folder
    mode = locked.stat().st_mode
    locked.chmod(0o555)
    if os.access(locked, os.W_OK):  # nothing is read-only to the superuser

        def refuse(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(results.os, "open", refuse)
    try:
        with pytest.raises(InputError, match=r"r\.jsonl' cannot be written: Permission denied"):
            _write(path)
    finally:
        locked.chmod(mode)


def test_a_full_disk_is_an_error_and_costs_no_row(tmp_path, monkeypatch):
    path = _write(tmp_path / "r.jsonl", ROWS[:2])
    write = os.write
    with ResultsFile(path) as file:
        monkeypatch.setattr(results.os, "write", lambda f, data: write(f, data[:50]))
        with pytest.raises(InputError, match="the disk is full"):
            file.append(ROWS[2:])
        assert ROWS[2].key not in file.done
    monkeypatch.undo()
    assert read_rows(_write(path)) == ROWS


def test_rows_by_method_keep_their_order():
    rows = [replace(ROW, method=m, level=n) for n, m in enumerate(["b", "a", "b"])]
    assert by_method(rows) == {"b": [rows[0], rows[2]], "a": [rows[1]]}
