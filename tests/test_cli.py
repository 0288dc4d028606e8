"""The command line: what it writes, what it prints, and one line for every failure."""

import numpy as np
import pytest
from PIL import Image

import lrfjax
from lrfjax import cli


@pytest.fixture
def picture(tmp_path, photo):
    path = tmp_path / "in.png"
    Image.fromarray(photo).save(path)
    return path


@pytest.mark.parametrize("method", ["imf", "svd", "nmf"])
def test_encode_info_decode(method, picture, photo, tmp_path, capsys):
    coded, out = tmp_path / "x.lrfj", tmp_path / "out.png"
    assert cli.main(["encode", str(picture), str(coded), "--method", method, "--rank", "6"]) == 0
    data = coded.read_bytes()
    assert data == getattr(lrfjax, f"{method}_encode")(photo, rank=6)
    assert f"{len(data)} bytes" in capsys.readouterr().out
    assert cli.main(["info", str(coded)]) == 0
    text = capsys.readouterr().out
    for part in (method, "120 x 96", "rank 6", "rank 3", "8 x 8", f"{len(data)} bytes", "deflate"):
        assert part in text
    assert cli.main(["decode", str(coded), str(out)]) == 0
    assert np.array_equal(lrfjax.read_image(out), lrfjax.decode(data))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.png", "out.png", "x.lrfj"]


def _fails(capsys, *arguments):
    assert cli.main([str(a) for a in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_failures_are_one_line_and_leave_nothing(picture, tmp_path, capsys):
    out = tmp_path / "out.lrfj"
    text = tmp_path / "text.png"
    text.write_text("no image")
    assert "does not exist" in _fails(capsys, "encode", tmp_path / "no.png", out, "--rank", 2)
    assert "not a readable image" in _fails(capsys, "encode", text, out, "--rank", 2)
    assert "rank" in _fails(capsys, "encode", picture, out, "--rank", 0)
    assert "quality" in _fails(capsys, "encode", picture, out, "--quality", 101)
    assert "written" in _fails(capsys, "encode", picture, tmp_path / "no" / "x", "--rank", 1)
    assert "not an lrfjax file" in _fails(capsys, "decode", picture, tmp_path / "y.png")
    assert "not an lrfjax file" in _fails(capsys, "info", picture)
    assert "suffix" in _fails(capsys, "decode", picture, tmp_path / "y")
    assert "cannot be read" in _fails(capsys, "info", tmp_path / "none")
    assert "does not exist" in _fails(capsys, "compare", tmp_path / "none")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.png", "text.png"]


@pytest.mark.parametrize("shape", [(16, 16, 3), (1, 1)])
def test_compare_survives_images_that_are_coded_without_error(shape, tmp_path, capsys):
    Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / "black.png")
    out = tmp_path / "out"
    assert cli.main(["compare", str(tmp_path / "black.png"), "--out", str(out)]) == 0
    assert "inf dB" in capsys.readouterr().out
    assert len(list(out.iterdir())) == 3


def test_outputs_that_cannot_be_written_are_found_early(picture, tmp_path, capsys, monkeypatch):
    coded = tmp_path / "x.lrfj"
    coded.write_bytes(lrfjax.imf_encode(lrfjax.read_image(picture), rank=1))
    monkeypatch.setitem(cli._ENCODERS, "imf", None)  # would fail if it were called
    for target in (tmp_path, "", tmp_path / "no" / "x"):
        assert "cannot be written" in _fails(capsys, "encode", picture, target, "--rank", 1)
    assert "cannot hold the image" in _fails(capsys, "decode", coded, tmp_path / "y.xbm")
    assert not (tmp_path / "y.xbm").exists()


def test_pipes_are_written_to_and_links_followed(picture, tmp_path, capsys):
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    cli.main(["encode", str(picture), str(link), "--rank", "1"])
    assert link.is_symlink()
    assert target.read_bytes()[:4] == b"LRFJ"
    cli.main(["encode", str(picture), "/dev/null", "--rank", "1"])
    from pathlib import Path

    assert Path("/dev/null").is_char_device()


def test_a_damaged_file_is_one_line(picture, tmp_path, capsys):
    coded = tmp_path / "x.lrfj"
    cli.main(["encode", str(picture), str(coded), "--rank", "1"])
    coded.write_bytes(coded.read_bytes()[:-3])
    capsys.readouterr()
    assert "ends inside the F chunk" in _fails(capsys, "decode", coded, tmp_path / "y.png")
    assert not (tmp_path / "y.png").exists()


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    from lrfjax.image import reading

    path = tmp_path / "x"
    path.write_bytes(b"old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(reading.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        reading.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("arguments", [[], ["encode"], ["encode", "a", "b"], ["nonsense"]])
def test_usage_errors_exit_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(arguments)
    assert error.value.code == 2
    assert "usage" in capsys.readouterr().err
