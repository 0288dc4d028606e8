"""Image files: what is read from them, what is written, and what is refused."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

import lrfjax
from lrfjax.image import writing
from lrfjax.image.exif import add_prefix, strip_prefix, without_orientation
from lrfjax.image.reading import Picture, read_picture


def test_images_are_read_whatever_their_mode(tmp_path, photo):
    for mode, name in (("L", "a.png"), ("RGB", "b.png"), ("P", "c.png"), ("CMYK", "d.tiff")):
        Image.fromarray(photo).convert(mode).save(tmp_path / name)
        pixels = lrfjax.read_image(tmp_path / name)
        assert pixels.dtype == np.uint8
        assert pixels.shape == (photo.shape[:2] if mode == "L" else photo.shape)
    assert np.array_equal(lrfjax.read_image(tmp_path / "b.png"), photo)


def test_opaque_alpha_is_dropped_and_transparency_refused(tmp_path, photo):
    rgba = Image.fromarray(photo).convert("RGBA")
    rgba.save(tmp_path / "opaque.png")
    assert np.array_equal(lrfjax.read_image(tmp_path / "opaque.png"), photo)
    rgba.putalpha(100)
    rgba.save(tmp_path / "clear.png")
    with pytest.raises(lrfjax.InputError, match="transparency"):
        lrfjax.read_image(tmp_path / "clear.png")


def test_a_transparent_color_is_refused_too(tmp_path, photo):
    color = tuple(int(c) for c in photo[0, 0])
    Image.fromarray(photo).save(tmp_path / "color.png", transparency=color)
    with pytest.raises(lrfjax.InputError, match="transparency"):
        lrfjax.read_image(tmp_path / "color.png")


def test_orientation_is_applied(tmp_path, photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(lrfjax.read_image(tmp_path / "turned.png"), np.rot90(photo, -1))


def _png_of_16_bits(pixels):
    """Return a PNG with 16 bits a channel, which Pillow does not write for colours."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]

    def chunk(tag, body):
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _wide(photo):
    return photo[..., 0].astype(np.uint16) * 256 + photo[..., 1]


def _exif(**tags):
    exif = Image.Exif()
    for name, value in tags.items():
        exif[{"orientation": 0x0112, "artist": 0x013B}[name]] = value
    exif[0x8769] = {0x829A: (1, 50)}
    return exif


def test_pictures_keep_transparency_of_every_kind(tmp_path, photo):
    path = tmp_path / "x.png"
    rgba = np.dstack([photo, photo[..., 1]])
    Image.fromarray(rgba).save(path)
    assert np.array_equal(read_picture(path).pixels, rgba)
    gray_alpha = np.dstack([photo[..., 0], photo[..., 1]])
    Image.fromarray(gray_alpha, "LA").save(path)
    found = read_picture(path).pixels
    assert np.array_equal(found, np.dstack([*3 * [photo[..., 0]], photo[..., 1]]))
    palette = Image.fromarray(photo).quantize(4)
    palette.save(path, transparency=bytes([0, 100, 255, 255]))
    found = read_picture(path).pixels
    assert np.array_equal(found[..., :3], np.asarray(palette.convert("RGB")))
    assert np.array_equal(found[..., 3], np.array([0, 100, 255, 255])[np.asarray(palette)])
    palette.save(path)
    assert read_picture(path).pixels.shape == photo.shape
    Image.fromarray(photo).save(path, transparency=tuple(int(c) for c in photo[0, 0]))
    assert read_picture(path).pixels[0, 0].tolist() == [*photo[0, 0].tolist(), 0]
    palette.save(tmp_path / "x.gif", transparency=1)
    assert set(np.unique(read_picture(tmp_path / "x.gif").pixels[..., 3])) == {0, 255}


def test_opaque_palettes_with_transparency_are_read_as_rgb(tmp_path, photo):
    path = tmp_path / "x.png"
    Image.fromarray(photo).quantize(4).save(path, transparency=b"\xff" * 4)
    assert lrfjax.read_image(path).shape == photo.shape
    Image.fromarray(photo).convert("LA").save(path)
    assert lrfjax.read_image(path).shape == photo.shape[:2]


def test_16_bit_gray_is_read_whole(tmp_path, photo):
    gray = _wide(photo)
    for suffix in (".png", ".tiff", ".jp2", ".pgm"):
        Image.fromarray(gray).save(tmp_path / f"x{suffix}")
        found = read_picture(tmp_path / f"x{suffix}").pixels
        assert found.dtype == np.uint16
        assert np.array_equal(found, gray)
        with pytest.raises(lrfjax.InputError, match="would lose data"):
            lrfjax.read_image(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_that_would_lose_bits_are_refused(tmp_path, photo, channels):
    path = tmp_path / "x.png"
    path.write_bytes(_png_of_16_bits(np.zeros((4, 5, channels))))
    (tmp_path / "x.ppm").write_bytes(b"P6 2 1 65535\n" + bytes(12))
    for read in (read_picture, lrfjax.read_image):
        for source in (path, tmp_path / "x.ppm"):
            with pytest.raises(lrfjax.InputError, match=r"16 bits.*lost"):
                read(source)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_animations_and_pages_are_refused(tmp_path, photo, suffix):
    frames = [Image.fromarray(photo), Image.fromarray(photo[::-1])]
    path = tmp_path / f"frames.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    for read in (lrfjax.read_image, read_picture):
        with pytest.raises(lrfjax.InputError, match=f"frames.{suffix}' has 2 frames"):
            read(path)


def test_arrays_are_pictures_if_they_are_images(tmp_path, photo):
    path = tmp_path / "x.npy"
    for pixels in (photo, photo[..., 0].copy(), np.dstack([photo, photo[..., 0]]), _wide(photo)):
        np.save(path, pixels)
        found = read_picture(path).pixels
        assert type(found) is np.ndarray
        assert found.dtype == pixels.dtype
        assert np.array_equal(found, pixels)
    np.save(path, np.asfortranarray(photo))
    assert read_picture(path).pixels.flags.c_contiguous
    np.save(path, photo.astype(np.float32))
    with pytest.raises(lrfjax.InputTypeError, match="float32"):
        read_picture(path)
    np.save(path, photo[..., :2])
    with pytest.raises(lrfjax.InputError, match="shape"):
        read_picture(path)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:20], b"", b"no array"):
        path.write_bytes(damaged)
        with pytest.raises(lrfjax.InputError, match="not a readable array"):
            read_picture(path)
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(lrfjax.InputError, match="not a readable array"):
        read_picture(path)
    with pytest.raises(lrfjax.InputError, match="does not exist"):
        read_picture(tmp_path / "none.npy")


def test_a_header_cannot_ask_for_more_than_the_file_holds(tmp_path):
    path = tmp_path / "x.npy"
    buffer = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6)}
    np.lib.format.write_array_header_1_0(buffer, header)
    path.write_bytes(buffer.getvalue() + bytes(100))
    with pytest.raises(lrfjax.InputError, match="not a readable array"):
        read_picture(path)
    Image.new("L", (101, 1)).save(tmp_path / "x.png")
    for read in (read_picture, lrfjax.read_image):
        with pytest.raises(lrfjax.InputError, match="101 x 1 pixels, more than max_pixels"):
            read(tmp_path / "x.png", max_pixels=100)


def test_orientation_is_applied_and_taken_out_of_the_exif(tmp_path, photo):
    small = photo[:16, :24]
    for suffix in (".png", ".tiff"):
        path = tmp_path / f"x{suffix}"
        Image.fromarray(small).save(path, exif=_exif(orientation=6, artist="Ada").tobytes())
        picture = read_picture(path)
        assert np.array_equal(picture.pixels, np.rot90(small, -1))
        found = Image.Exif()
        found.load(picture.exif)
        assert found[0x013B] == "Ada"
        assert 0x0112 not in found
        assert found.get_ifd(0x8769)[0x829A] == (1, 50) or float(found.get_ifd(0x8769)[0x829A])
    Image.fromarray(small).save(tmp_path / "bare.tiff")
    assert read_picture(tmp_path / "bare.tiff").exif is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_orientation_is_cut_out_where_it_is(order):
    exif = _exif(orientation=3, artist="someone with a long name")
    exif.endian = order
    block = strip_prefix(exif.tobytes())
    cut = without_orientation(block)
    assert len(cut) == len(block)
    assert cut[:4] == (b"II*\0" if order == "<" else b"MM\0*")
    found = Image.Exif()
    found.load(add_prefix(cut))
    assert found[0x013B] == "someone with a long name"
    assert 0x0112 not in found
    assert found.get_ifd(0x8769)
    assert without_orientation(cut) == cut


def test_blocks_that_are_no_exif_stay_as_they_are():
    whole = strip_prefix(_exif(orientation=3).tobytes())
    for block in (b"", b"II", b"nonsense" * 9, b"II*\0\xff\xff\xff\xff", whole[:9], whole[:12]):
        assert without_orientation(block) == block


def test_profiles_of_other_colours_are_left_out(tmp_path, photo):
    path = tmp_path / "x.tiff"
    for mode, space, is_kept in (
        ("RGB", b"RGB ", True),
        ("L", b"GRAY", True),
        ("LA", b"GRAY", False),
        ("CMYK", b"CMYK", False),
    ):
        profile = bytes(16) + space + bytes(20)
        Image.fromarray(photo).convert(mode).save(path, icc_profile=profile)
        assert read_picture(path).icc_profile == (profile if is_kept else None)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp"])
def test_profile_and_exif_are_written(suffix, tmp_path, photo):
    exif = strip_prefix(_exif(artist="Ada").tobytes())
    file, lost = writing.picture_bytes(Picture(photo, b"a profile", exif), suffix)
    assert lost == []
    path = tmp_path / f"x{suffix}"
    path.write_bytes(file)
    found = read_picture(path)
    assert found.icc_profile == b"a profile"
    assert b"Ada" in found.exif
    assert found.exif == exif or suffix == ".tiff"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp"])
def test_metadata_that_is_none_is_written_or_refused(suffix, photo):
    for metadata in (b"", b"nonsense", b"II*\0\x08\0\0\0\xff\xff" + bytes(20), bytes(70_000)):
        with contextlib.suppress(lrfjax.InputError):
            writing.picture_bytes(Picture(photo[:8, :8], None, metadata), suffix)
        with contextlib.suppress(lrfjax.InputError):
            writing.picture_bytes(Picture(photo[:8, :8], metadata, None), suffix)


def test_what_a_format_cannot_hold_is_said_or_refused(photo):
    picture = Picture(photo, b"a profile", None)
    assert writing.picture_bytes(picture, ".bmp")[1] == ["colour profile"]
    assert writing.picture_bytes(picture, ".NPY")[1] == ["colour profile"]
    wide = Picture(_wide(photo))
    for suffix, pixels, message in (
        (".jpg", wide.pixels, "16 bits can be written as"),
        (".png", photo.astype(np.uint16), "only be written as .npy"),
        (".jpg", np.dstack([photo, photo[..., 0]]), "cannot hold"),
        (".nope", photo, "suffix"),
        ("", photo, "suffix"),
    ):
        with pytest.raises(lrfjax.InputError, match=message):
            writing.picture_bytes(Picture(pixels), suffix)


@pytest.mark.parametrize("cut", [30, 200, 2000])
def test_damaged_images_raise_one_family_of_errors(tmp_path, photo, cut):
    for suffix in (".png", ".jpg", ".tiff", ".webp", ".gif", ".jp2", ".bmp"):
        path = tmp_path / f"x{suffix}"
        Image.fromarray(photo).save(path)
        data = bytearray(path.read_bytes()[:-cut])
        data[len(data) // 2 :: 7] = bytes(len(data[len(data) // 2 :: 7]))
        path.write_bytes(data)
        # Pillow makes something of some of them; the others raise this, and nothing warns.
        with contextlib.suppress(lrfjax.InputError):
            assert read_picture(path).pixels.shape[:2] == photo.shape[:2]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        writing.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
