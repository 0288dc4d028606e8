"""The commands on files: encode, decode, info."""

from __future__ import annotations

import argparse
import ast
import textwrap
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from lrfjax import checks
from lrfjax.cli.batch import Job, plan, run_all, tile_bar
from lrfjax.codec.codec import Codec
from lrfjax.codec.decode import decode, read_metadata
from lrfjax.codec.doors import kind_with
from lrfjax.codec.encode import encode
from lrfjax.codec.file.chunks import SIGNATURE
from lrfjax.codec.file_codec import FileCodec
from lrfjax.codec.registry import codecs, find
from lrfjax.errors import InputError
from lrfjax.evaluation.describe import describe
from lrfjax.image.metrics import bits_per_pixel
from lrfjax.image.reading import MAX_PIXELS, Picture, check_image, read_picture
from lrfjax.image.writing import check_suffix, picture_bytes, write_atomically

_SUFFIX = ".lrfj"


def add_commands(commands: Any) -> None:
    """Add encode, decode and info to the subparsers of the command line."""
    encode = commands.add_parser(
        "encode",
        help="compress image files",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_codec_help(),
    )
    encode.add_argument("inputs", nargs="+", metavar="IN", help="image files, or arrays as .npy")
    encode.add_argument(
        "output", metavar="OUT", help=f"a file, or for several IN a folder of {_SUFFIX} files"
    )
    rate = encode.add_mutually_exclusive_group(required=True)
    rate.add_argument(
        "--target-bpp", type=float, metavar="BPP", help="largest bit rate, in bits per pixel"
    )
    rate.add_argument("--target-psnr", type=float, metavar="DB", help="PSNR in dB, within 0.1")
    rate.add_argument(
        "--quality", type=float, metavar="Q", help="0 to 100: steps from 256 down to 1 gray levels"
    )
    rate.add_argument("--rank", type=int, metavar="R", help="number of columns of the luma factors")
    encode.add_argument(
        "--method",
        default="dct",
        metavar="CODEC",
        help="a codec from the list below, or package.module:object (default: %(default)s)",
    )
    encode.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the codec, such as effort=3; may be repeated",
    )
    encode.add_argument(
        "--keep-metadata", action="store_true", help="keep the colour profile and EXIF"
    )
    _add_max_pixels(encode)
    encode.set_defaults(run=_encode)

    decoder = commands.add_parser("decode", help="decode compressed files to images")
    decoder.add_argument("inputs", nargs="+", metavar="IN")
    decoder.add_argument(
        "output",
        metavar="OUT",
        help="a file, whose suffix sets the format (such as .png), or for several IN a folder",
    )
    decoder.add_argument(
        "--format", metavar="SUFFIX", help="format in a folder, such as tiff (default: png)"
    )
    decoder.add_argument(
        "--method",
        default=None,
        metavar="CODEC",
        help="the codec of files with another format than lrfjax's",
    )
    _add_max_pixels(decoder)
    decoder.set_defaults(run=_decode)

    info = commands.add_parser(
        "info", help="print the contents of compressed files, and the bits of each part"
    )
    info.add_argument("inputs", nargs="+", metavar="FILE")
    _add_max_pixels(info)
    info.set_defaults(run=_info)


def _add_max_pixels(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--max-pixels",
        type=int,
        default=MAX_PIXELS,
        metavar="N",
        help="refuse larger images, before any allocation (default: %(default)s)",
    )


def _codec_help() -> str:
    """Return the codecs and their settings, a line each."""
    lines = ["codecs and their settings:"]
    for codec in codecs().values():
        if isinstance(codec, FileCodec):
            settings = ", ".join(f"{f.name}={f.default!r}" for f in fields(codec))
            lines += textwrap.wrap(
                f"{codec.name:<10} {codec.label}: {settings or 'none'}",
                width=96,
                initial_indent="  ",
                subsequent_indent=" " * 13,
                break_on_hyphens=False,
            )
    return "\n".join(lines)


def _encode(options: argparse.Namespace) -> int:
    codec = _codec(options)
    rate = _rate(options)
    max_pixels = checks.integer("max_pixels", options.max_pixels, 1)

    def encode_file(job: Job) -> str:
        picture = read_picture(job.source, max_pixels=max_pixels)
        metadata: dict[str, Any] = {}
        if options.keep_metadata:
            metadata = {"icc_profile": picture.icc_profile, "exif": picture.exif}
        with tile_bar() as progress:
            data = encode(
                picture.pixels, codec, max_pixels=max_pixels, progress=progress, **rate, **metadata
            )
        write_atomically(job.target, data)
        bpp = bits_per_pixel(picture.pixels.shape, data)
        return f"wrote {job.target}: {len(data)} bytes, {bpp:.4f} bpp"

    return run_all("encode", plan(options.inputs, options.output, _SUFFIX), encode_file)


def _codec(options: argparse.Namespace) -> Codec:
    """Return the codec with its settings."""
    codec = find(options.method)
    settings: dict[str, Any] = {}
    for text in options.set:
        name, has_sign, value = text.partition("=")
        if not has_sign:
            raise InputError(f"--set must be NAME=VALUE, got {text!r}")
        try:
            settings[name.strip()] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            settings[name.strip()] = value  # a word needs no quotes
    kind_with(f"--method {options.method}", [type(codec)], settings)
    return replace(codec, **settings)


def _rate(options: argparse.Namespace) -> dict[str, Any]:
    """Return the rate as an argument of ``encode``, after the checks that need no image."""
    if options.quality is not None:
        return {"quality": checks.real("quality", options.quality, 0.0, 100.0)}
    if options.rank is not None:
        return {"rank": checks.integer("rank", options.rank, 1)}
    if options.target_psnr is not None:
        return {"target_psnr": checks.real("target_psnr", options.target_psnr, 0.0)}
    return {"target_bpp": checks.real("target_bpp", options.target_bpp, 0.0)}


def _decode(options: argparse.Namespace) -> int:
    suffix = f".{(options.format or 'png').lstrip('.')}"
    check_suffix(suffix, f"--format {options.format!r}")
    max_pixels = checks.integer("max_pixels", options.max_pixels, 1)
    other = None if options.method is None else find(options.method)
    jobs = plan(options.inputs, options.output, suffix)
    is_file = str(jobs[0].target) == str(Path(options.output))
    if is_file and options.format is not None:
        raise InputError("--format is for a folder; the suffix of a file OUT sets its format")
    check_suffix(jobs[0].target.suffix, f"output {str(jobs[0].target)!r}")

    def decode_file(job: Job) -> str:
        if other is not None and not isinstance(other, FileCodec):
            pixels = other.decode(job.source.read_bytes())
            picture = Picture(check_image(pixels, max_pixels=max_pixels))
        else:
            data = _read_bytes(job.source)
            metadata = read_metadata(data, max_pixels=max_pixels)
            with tile_bar() as progress:
                own = decode if other is None else other.decode
                pixels = own(data, max_pixels=max_pixels, progress=progress)
            picture = Picture(pixels, metadata.icc_profile, metadata.exif)
        file, lost = picture_bytes(picture, job.target.suffix)
        write_atomically(job.target, file)
        height, width = picture.pixels.shape[:2]
        without = f", without its {' and '.join(lost)}" if lost else ""
        return f"wrote {job.target}: {width} x {height} pixels{without}"

    return run_all("decode", jobs, decode_file)


def _info(options: argparse.Namespace) -> int:
    has_titles = len(options.inputs) > 1
    max_pixels = checks.integer("max_pixels", options.max_pixels, 1)

    def tell(job: Job) -> str:
        title = f"{job.source}\n" if has_titles else ""
        text = describe(_read_bytes(job.source), max_pixels=max_pixels)
        return title + text + "\n" * has_titles

    return run_all("info", [Job(Path(p), Path(p)) for p in options.inputs], tell)


def _read_bytes(path: Path) -> bytes:
    """Return the bytes of a file, or only its first bytes if the signature is not ours."""
    try:
        with path.open("rb") as file:
            head = file.read(len(SIGNATURE))
            return head + file.read() if head == SIGNATURE else head
    except OSError as error:
        raise InputError(f"path {str(path)!r} cannot be read: {error.strerror}") from error
