"""Every mode of Pillow is read as what the file shows, or refused by name."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

import lrfjax
from lrfjax.image.reading import read_picture


@pytest.fixture
def wide(photo):
    """Return gray of 16 bits."""
    return photo[..., 0].astype(np.uint16) * 256 + photo[..., 1]


def _tiff_of_gray(path, pixels, bits, is_signed=False, white=1):
    """Write a TIFF with two pixels of gray, in the bytes that the caller packs."""
    tags = [(256, 2), (257, 1), (258, bits), (259, 1), (262, white), (273, 134), (277, 1), (278, 1)]
    tags += [(279, len(pixels)), (339, 1 + is_signed)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    path.write_bytes((head + entries).ljust(134, b"\0") + pixels)


@pytest.mark.filterwarnings("ignore:IM image format is deprecated")
def test_integers_whose_white_is_unknown_are_refused(tmp_path, photo, wide):
    path = tmp_path / "x.tiff"
    gray = photo[..., 0]
    for values in (gray, wide, wide * -1.0):
        for suffix in (".tiff", ".im"):
            Image.fromarray(values.astype(np.int32)).save(path.with_suffix(suffix))
            for read in (read_picture, lrfjax.read_image):
                with pytest.raises(lrfjax.InputError, match=r"mode 'I;32S', whose white"):
                    read(path.with_suffix(suffix))
    for bits, is_signed, mode in ((12, False, "I;12"), (16, True, "I;16S"), (32, False, "I;32N")):
        _tiff_of_gray(path, bytes(2 * bits // 8), bits, is_signed)
        with pytest.raises(lrfjax.InputError, match=f"mode '{mode}', whose white"):
            read_picture(path)
    _tiff_of_gray(path, b"\0\0\1\2", 16)
    assert read_picture(path).pixels.tolist() == [[0, 513]]
    _tiff_of_gray(path, b"\0\0\1\2", 16, white=0)
    with pytest.raises(lrfjax.InputError, match="0 is white"):
        read_picture(path)
    _tiff_of_gray(path, b"\0\1", 8, white=0)
    assert read_picture(path).pixels.tolist() == [[255, 254]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_turned_gray_is_read_in_any_byte_order(tmp_path, photo, wide, order, compression):
    path = tmp_path / "x.tiff"
    gray = wide[:8, :6]
    exif = Image.Exif()
    exif[0x0112] = 6
    mode = {"<": "I;16", ">": "I;16B"}[order]
    image = Image.frombytes(mode, gray.shape[::-1], gray.astype(f"{order}u2").tobytes())
    image.save(path, compression=compression, exif=exif)
    assert np.array_equal(read_picture(path).pixels, np.rot90(gray, -1))
    Image.fromarray(photo[:8, :6, 0]).save(path, compression=compression, exif=exif)
    assert np.array_equal(lrfjax.read_image(path), np.rot90(photo[:8, :6, 0], -1))


@pytest.mark.parametrize(("largest", "white"), [(1, 255), (200, 255), (255, 255), (1000, 65535)])
@pytest.mark.parametrize("is_plain", [False, True], ids=["raw", "plain"])
def test_the_largest_value_of_pgm_is_white(tmp_path, largest, white, is_plain):
    path = tmp_path / "x.pgm"
    values = [0, largest // 2, largest]
    dtype = ">u2" if largest > 255 else "u1"
    body = " ".join(map(str, values)).encode() if is_plain else np.array(values, dtype).tobytes()
    path.write_bytes(b"P%d 3 1 %d\n" % (2 if is_plain else 5, largest) + body)
    found = read_picture(path).pixels
    assert found.dtype == (np.uint8 if white == 255 else np.uint16)
    expected = np.array([values]) * white / largest
    assert np.abs(found - expected).max() <= 0.5


def test_every_other_mode_is_read_or_refused_by_name(tmp_path, photo):
    path = tmp_path / "x.tiff"
    image = Image.fromarray(photo)
    for mode in ("1", "CMYK", "YCbCr"):
        image.convert(mode).save(path)
        expected = image.convert(mode).convert("L" if mode == "1" else "RGB")
        assert np.array_equal(read_picture(path).pixels, np.asarray(expected))
        assert np.array_equal(lrfjax.read_image(path), np.asarray(expected))
    palette = image.convert("P").convert("PA")
    palette.putalpha(100)
    palette.save(path)
    found = read_picture(path).pixels
    assert np.array_equal(found[..., :3], np.asarray(image.convert("P").convert("RGB")))
    assert (found[..., 3] == 100).all()
    with pytest.raises(lrfjax.InputError, match="transparency"):
        lrfjax.read_image(path)
    lab = ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    for other, mode in ((image.convert("F"), "F"), (lab, "LAB")):
        other.save(path)
        for read in (read_picture, lrfjax.read_image):
            with pytest.raises(lrfjax.InputError, match=f"mode {mode}, which would lose"):
                read(path)
