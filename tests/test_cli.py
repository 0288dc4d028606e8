"""The command line: what it writes, what it prints, and one line for every failure."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lrfjax
from lrfjax import cli
from lrfjax.cli import coding
from lrfjax.evaluation import compare
from lrfjax.image.reading import read_picture
from tests.processes import wait_until

pytestmark = pytest.mark.unoptimized

PROFILE = b"a colour profile"
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def picture(tmp_path, photo):
    path = tmp_path / "in.png"
    Image.fromarray(photo).save(path)
    return path


def _run(*arguments):
    return cli.main([str(a) for a in arguments])


def _fails(capsys, *arguments):
    assert _run(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def _names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("method", "options", "settings", "words"),
    [
        ("dct", ["--quality", "30"], {"quality": 30}, ["V is a dictionary", "columns 1-2"]),
        ("svd", ["--quality", "20"], {"quality": 20}, ["V is learned", "16 x 16", "V 0"]),
        (
            "imf-paper",
            ["--rank", "6", "--set", "entropy=context", "--set=bounds=(-9, 7)"],
            {"rank": 6, "entropy": "context", "bounds": (-9, 7)},
            ["rank 6", "rank 3", "column 5", "60 x 48"],
        ),
    ],
)
def test_encode_info_decode(method, options, settings, words, picture, photo, tmp_path, capsys):
    coded, out, name = tmp_path / "x.lrfj", tmp_path / "out.png", method.partition("-")[0]
    assert _run("encode", picture, coded, "--method", method, *options) == 0
    data = coded.read_bytes()
    assert data == getattr(lrfjax, f"{name}_encode")(photo, **settings)
    bpp = lrfjax.bits_per_pixel(photo.shape, data)
    assert f"{len(data)} bytes, {bpp:.4f} bpp" in capsys.readouterr().out
    assert _run("info", coded) == 0
    text = capsys.readouterr().out
    sizes = lrfjax.read_factors(data).sizes
    chunks = [f"{chunk:<12}{size} bytes" for chunk, size in sizes.items()]
    for part in (name, "120 x 96", f"{len(data)} bytes", "context", "rest", *chunks, *words):
        assert part in text
    assert _run("decode", coded, out) == 0
    assert np.array_equal(lrfjax.read_image(out), lrfjax.decode(data))
    assert _names(tmp_path) == ["in.png", "out.png", "x.lrfj"]


def test_targets_and_settings_reach_the_encoder(picture, photo, tmp_path):
    coded = tmp_path / "x.lrfj"
    assert _run("encode", picture, coded, "--target-bpp", 1.5, "--set", "effort=1") == 0
    assert coded.read_bytes() == lrfjax.dct_encode(photo, target_bpp=1.5, effort=1)
    assert _run("encode", picture, coded, "--target-psnr", 30, "--set=color_space=YCbCr") == 0
    assert coded.read_bytes() == lrfjax.dct_encode(photo, target_psnr=30, color_space="YCbCr")


def test_failures_are_one_line_and_leave_nothing(picture, tmp_path, capsys):
    out = tmp_path / "out.lrfj"
    text = tmp_path / "text.png"
    text.write_text("no image")
    assert "does not exist" in _fails(capsys, "encode", tmp_path / "no.png", out, "--rank", 2)
    assert "not a readable image" in _fails(capsys, "encode", text, out, "--rank", 2)
    assert "not a readable image" in _fails(capsys, "encode", tmp_path, out, "--rank", 2)
    assert "rank" in _fails(capsys, "encode", picture, out, "--rank", 0)
    assert "quality" in _fails(capsys, "encode", picture, out, "--quality", 101)
    assert "target_bpp" in _fails(capsys, "encode", picture, out, "--target-bpp", -1)
    assert "this image takes at least" in _fails(
        capsys, "encode", picture, out, "--target-bpp", 0.01
    )
    assert "target_psnr" in _fails(capsys, "encode", picture, out, "--target-psnr", "nan")
    target = ("--method", "svd-paper", "--target-bpp", 1)
    assert "not taken by svd-paper" in _fails(capsys, "encode", picture, out, *target)
    effort = ("--method", "nmf", "--rank", 1, "--set", "effort=2")
    assert "effort is a setting of dct" in _fails(capsys, "encode", picture, out, *effort)
    assert "NAME=VALUE" in _fails(capsys, "encode", picture, out, "--rank", 1, "--set", "effort")
    assert "written" in _fails(capsys, "encode", picture, tmp_path / "no" / "x", "--rank", 1)
    assert "not an lrfjax file" in _fails(capsys, "decode", picture, tmp_path / "y.png")
    assert "not an lrfjax file" in _fails(capsys, "info", picture)
    assert "suffix" in _fails(capsys, "decode", picture, tmp_path / "y")
    assert "suffix" in _fails(capsys, "decode", picture, tmp_path, "--format", "nope")
    assert "--format" in _fails(capsys, "decode", picture, tmp_path / "y.png", "--format", "png")
    assert "cannot be read" in _fails(capsys, "info", tmp_path / "none")
    assert "does not exist" in _fails(capsys, "compare", tmp_path / "none")
    assert _names(tmp_path) == ["in.png", "text.png"]


def test_a_machine_out_of_memory_is_one_line(picture, tmp_path, capsys, monkeypatch):
    def refuse(*_, **__):
        raise MemoryError

    monkeypatch.setattr(coding, "encode", refuse)
    assert "not enough memory" in _fails(capsys, "encode", picture, tmp_path / "x", "--rank", 1)


def test_several_files_go_to_a_folder_and_a_bad_one_stops_none(photo, tmp_path, capsys):
    for name in ("a.png", "b.bmp"):
        Image.fromarray(photo).save(tmp_path / name)
    (tmp_path / "bad.png").write_text("no image")
    inputs = [tmp_path / name for name in ("a.png", "bad.png", "b.bmp")]
    coded, decoded = tmp_path / "coded", tmp_path / "decoded"
    assert _run("encode", *inputs, coded, "--quality", 30) == 1
    captured = capsys.readouterr()
    assert captured.out.count("wrote") == 2
    assert captured.err.count("\n") == 1
    assert "bad.png" in captured.err
    assert _names(coded) == ["a.lrfj", "b.lrfj"]
    files = [coded / "a.lrfj", coded / "b.lrfj"]
    assert _run("decode", *files, decoded) == 0
    assert _run("decode", files[0], decoded, "--format", ".npy") == 0
    assert _names(decoded) == ["a.npy", "a.png", "b.png"]
    pixels = lrfjax.dct_decode(files[0].read_bytes())
    assert np.array_equal(lrfjax.read_image(decoded / "b.png"), pixels)
    assert np.array_equal(np.load(decoded / "a.npy"), pixels)
    capsys.readouterr()
    assert _run("info", files[0], tmp_path / "bad.png", files[1]) == 1
    captured = capsys.readouterr()
    assert captured.out.count("column 0") == 2
    assert captured.out.startswith(str(files[0]))
    assert captured.err.count("\n") == 1


def test_clashes_are_refused_before_any_work(picture, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(coding, "encode", None)  # would fail if it were called
    twin, folder = tmp_path / "other" / "in.bmp", tmp_path / "out"
    twin.parent.mkdir()
    twin.write_bytes(b"")
    rank = ("--rank", 1)
    assert "both be written" in _fails(capsys, "encode", picture, twin, folder, *rank)
    assert "both be written" in _fails(capsys, "encode", picture, picture, folder, *rank)
    assert "an input as well" in _fails(capsys, "encode", picture, picture, *rank)
    link = tmp_path / "link"
    link.symlink_to(picture)
    assert "an input as well" in _fails(capsys, "encode", picture, link, *rank)
    assert "an input as well" in _fails(capsys, "decode", picture, tmp_path)
    assert "File exists" in _fails(capsys, "encode", picture, link, twin, *rank)
    assert not folder.exists()
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_compare_does_not_write_over_its_images(picture, tmp_path, capsys):
    source = tmp_path / "collage.png"
    picture.rename(source)
    assert "an input as well" in _fails(capsys, "compare", source, "--out", tmp_path)
    again = tmp_path / "collage" / "convergence.png"
    again.parent.mkdir()
    again.symlink_to(source)
    assert "an input as well" in _fails(capsys, "compare", source, again, "--out", tmp_path)
    assert _names(tmp_path) == ["collage.png", "collage/convergence.png"]


def test_outputs_that_cannot_be_written_are_found_early(picture, tmp_path, capsys, monkeypatch):
    coded = tmp_path / "x.lrfj"
    coded.write_bytes(lrfjax.dct_encode(lrfjax.read_image(picture), quality=30))
    monkeypatch.setattr(coding, "encode", None)  # would fail if it were called
    (tmp_path / "full" / "in.lrfj").mkdir(parents=True)
    for target in ("", tmp_path / "no" / "x", tmp_path / "full"):
        assert "cannot be written" in _fails(capsys, "encode", picture, target, "--rank", 1)
    assert "cannot hold the image" in _fails(capsys, "decode", coded, tmp_path / "y.xbm")
    assert not (tmp_path / "y.xbm").exists()


def test_profile_and_exif_are_kept_when_asked(photo, tmp_path, capsys):
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Ada"
    source = tmp_path / "turned.png"
    Image.fromarray(np.rot90(photo)).save(source, exif=exif, icc_profile=PROFILE)
    kept, bare = tmp_path / "kept.lrfj", tmp_path / "bare.lrfj"
    assert _run("encode", source, kept, "--quality", 30, "--keep-metadata") == 0
    assert _run("encode", source, bare, "--quality", 30) == 0
    nothing = lrfjax.read_metadata(bare.read_bytes())
    assert (nothing.icc_profile, nothing.exif) == (None, None)
    metadata = lrfjax.read_metadata(kept.read_bytes())
    assert metadata.icc_profile == PROFILE
    assert b"Ada" in metadata.exif
    capsys.readouterr()
    assert _run("info", kept) == 0
    assert "icc_profile 16 bytes" in capsys.readouterr().out
    for suffix in (".png", ".tiff", ".webp"):
        assert _run("decode", kept, tmp_path / f"out{suffix}") == 0
        found = read_picture(tmp_path / f"out{suffix}")
        assert found.pixels.shape == np.rot90(np.rot90(photo), -1).shape
        assert found.icc_profile == PROFILE
        with Image.open(tmp_path / f"out{suffix}") as image:
            assert image.getexif()[0x013B] == "Ada"
            assert 0x0112 not in image.getexif()
    capsys.readouterr()
    assert _run("decode", kept, tmp_path / "out.bmp") == 0
    assert "without its colour profile and EXIF" in capsys.readouterr().out


def test_alpha_and_16_bits_go_both_ways(photo, tmp_path, capsys):
    rgba = np.dstack([photo, photo[..., 1]])
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    gray = photo[..., 0].astype(np.uint16) * 256 + photo[..., 1]
    Image.fromarray(gray).save(tmp_path / "gray.png")
    color = photo.astype(np.uint16) * 257
    np.save(tmp_path / "color.npy", color)
    inputs = [tmp_path / name for name in ("rgba.png", "gray.png", "color.npy")]
    coded, out = tmp_path / "coded", tmp_path / "out"
    assert _run("encode", *inputs, coded, "--target-psnr", 40) == 0
    files = [coded / f"{name}.lrfj" for name in ("rgba", "gray", "color")]
    capsys.readouterr()
    assert _run("decode", *files, out) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert _names(out) == ["gray.png", "rgba.png"]
    assert np.array_equal(read_picture(out / "rgba.png").pixels[..., 3], rgba[..., 3])
    error = read_picture(out / "gray.png").pixels.astype(float) - gray
    assert 0 < np.sqrt(np.square(error).mean()) < 65535 / 90
    assert ".npy" in _fails(capsys, "decode", files[2], tmp_path / "color.tiff")
    assert "16 bits can be written" in _fails(capsys, "decode", files[1], tmp_path / "gray.jpg")
    assert "cannot hold" in _fails(capsys, "decode", files[0], tmp_path / "rgba.jpg")
    assert _run("decode", files[2], tmp_path / "back.npy") == 0
    assert np.load(tmp_path / "back.npy").dtype == np.uint16


@pytest.mark.parametrize(
    ("shape", "names"), [((16, 16, 3), ["SVD", "JPEG"]), ((1, 1), ["DCT dictionary", "JPEG"])]
)
def test_compare_survives_images_that_are_coded_without_error(
    shape, names, tmp_path, capsys, monkeypatch
):
    few = {name: replace(compare.CODECS[name], levels=(0, 50)) for name in names}
    monkeypatch.setattr(compare, "CODECS", few)
    Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / "black.png")
    out = tmp_path / "out"
    assert _run("compare", tmp_path / "black.png", "--out", out) == 0
    assert "inf dB" in capsys.readouterr().out
    assert len(list(out.iterdir())) == 3


def test_pipes_are_written_to_and_links_followed(picture, tmp_path):
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    _run("encode", picture, link, "--quality", 30)
    assert link.is_symlink()
    assert target.read_bytes()[:4] == b"LRFJ"
    _run("encode", picture, "/dev/null", "--quality", 30)
    assert Path("/dev/null").is_char_device()


def test_a_damaged_file_is_one_line(picture, tmp_path, capsys):
    coded = tmp_path / "x.lrfj"
    _run("encode", picture, coded, "--quality", 30)
    coded.write_bytes(coded.read_bytes()[:-3])
    capsys.readouterr()
    assert "ends inside the chunk" in _fails(capsys, "decode", coded, tmp_path / "y.png")
    assert not (tmp_path / "y.png").exists()


@pytest.mark.skipif(os.name == "nt", reason="names of POSIX are bytes")
def test_a_name_that_the_terminal_cannot_show_does_not_end_a_batch(picture, tmp_path):
    strange = tmp_path / os.fsdecode(b"\xff\xe9.png")
    strange.write_bytes(picture.read_bytes())
    missing, out = tmp_path / os.fsdecode(b"\xfe.png"), tmp_path / "out"
    command = [sys.executable, "-m", "lrfjax", "encode", strange, missing, picture, out]
    done = subprocess.run(
        [*command, "--rank", "1"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
    )
    assert done.returncode == 1
    assert len(_names(out)) == 2
    assert b"Traceback" not in done.stderr
    assert b"does not exist" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_terminated_process_leaves_whole_files_only(photo, tmp_path):
    inputs, out = [], tmp_path / "out"
    for i in range(200):
        inputs.append(tmp_path / f"{i}.bmp")
        Image.fromarray(photo).save(inputs[-1])
    command = [sys.executable, "-m", "lrfjax", "encode", *inputs, out, "--quality", "90"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_until(lambda: len(list(out.glob("*.lrfj"))) > 2, process, 120)
        process.send_signal(signal.SIGTERM)
        error = process.communicate()[1].decode()
    assert process.returncode == 130
    assert error.splitlines()[-1] == "lrfjax encode: interrupted"
    found = _names(out)
    assert all(name.endswith(".lrfj") for name in found)
    assert 2 < len(found) < len(inputs)
    assert len({(out / name).read_bytes() for name in found}) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="devices of Linux")
@pytest.mark.parametrize(
    ("shell", "code", "errors"),
    [
        ("{} | true; exit ${{PIPESTATUS[0]}}", 1, ""),
        ("{} > /dev/full", 1, "lrfjax info: [Errno 28] No space left on device\n"),
        pytest.param("{} >&-", 0, "", marks=pytest.mark.slow),
        pytest.param("{} 2>&-", 0, "", marks=pytest.mark.slow),
    ],
    ids=["broken pipe", "full disk", "no output", "no errors"],
)
def test_output_that_nobody_takes_ends_in_no_traceback(shell, code, errors):
    command = f"{sys.executable} -m lrfjax info {GOLDEN / 'dct_constant.lrfj'}"
    # Python buffers what it writes to a pipe or a file.
    buffered = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        ["bash", "-c", shell.format(command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=buffered,
    )
    assert (done.returncode, done.stderr) == (code, errors)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["encode"],
        ["encode", "a", "b"],
        ["encode", "a", "b", "--rank", "1", "--quality", "2"],
        ["encode", "a", "b", "--rank", "1", "--set"],
        ["nonsense"],
    ],
)
def test_usage_errors_exit_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(arguments)
    assert error.value.code == 2
    assert "usage" in capsys.readouterr().err
