"""The `lrfjax` command: compare, encode, decode, info."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from lrfjax.codec.decode import decode, read_factors
from lrfjax.codec.encode import imf_encode, nmf_encode, svd_encode
from lrfjax.errors import InputError, LrfError
from lrfjax.image.metrics import bits_per_pixel
from lrfjax.image.reading import check_writable, read_image, write_atomically

_ENCODERS: dict[str, Callable[..., bytes]] = {
    "imf": imf_encode,
    "svd": svd_encode,
    "nmf": nmf_encode,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 1 after an error that it printed in one line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except LrfError as error:
        print(f"lrfjax {options.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has gone; nothing more can be said, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"lrfjax {options.command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lrfjax", description="Low-rank factorization solvers and image codecs."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    compare = commands.add_parser(
        "compare", help="compare IMF, SVD, NMF and JPEG on images; print tables, write pictures"
    )
    compare.add_argument("images", nargs="*", type=Path, metavar="IMAGE")
    compare.add_argument(
        "--out",
        type=Path,
        default=Path("lrfjax-compare"),
        metavar="DIR",
        help="folder for the pictures (default: %(default)s); one below it for each image "
        "where there are several",
    )
    compare.set_defaults(run=_compare)

    encode = commands.add_parser("encode", help="compress an image file")
    encode.add_argument("input", type=Path, metavar="IN")
    encode.add_argument("output", type=Path, metavar="OUT")
    encode.add_argument("--method", choices=sorted(_ENCODERS), default="imf")
    rate = encode.add_mutually_exclusive_group(required=True)
    rate.add_argument("--quality", type=float, help="0 to 100, the rank as a share of the largest")
    rate.add_argument("--rank", type=int, help="of the luma matrix")
    encode.add_argument("--color-space", choices=("YCbCr", "RGB"), default="YCbCr")
    encode.set_defaults(run=_encode)

    decoder = commands.add_parser("decode", help="decode a file into an image file")
    decoder.add_argument("input", type=Path, metavar="IN")
    decoder.add_argument(
        "output", type=Path, metavar="OUT", help="its suffix names the format, such as .png"
    )
    decoder.set_defaults(run=_decode)

    info = commands.add_parser("info", help="print what a compressed file holds")
    info.add_argument("input", type=Path, metavar="FILE")
    info.set_defaults(run=_info)
    return parser


def _compare(options: argparse.Namespace) -> None:
    # Imported here: matplotlib's pyplot and SciPy would double the start of the other commands.
    from tqdm import tqdm

    from lrfjax.evaluation.compare import compare_image, format_tables, num_steps, write_pictures
    from lrfjax.evaluation.sample import SAMPLE_NOTE, sample_image

    if options.images:
        images = [(str(path), read_image(path)) for path in options.images]
    else:
        images = [(SAMPLE_NOTE, sample_image())]
    folders = [options.out]
    if len(images) > 1:
        folders = [options.out / path.stem for path in options.images]
        if len(set(folders)) < len(folders):
            raise InputError("images must have different names, their pictures share a folder")
    for folder in folders:
        _make_folder(folder)
    for (title, image), folder in zip(images, folders, strict=True):
        with tqdm(total=num_steps(), unit="step", leave=False, disable=None) as bar:

            def progress(step: str, bar: Any = bar) -> None:
                bar.set_postfix_str(step, refresh=False)
                bar.update()

            comparison = compare_image(image, progress)
        print(f"{title}\n\n{format_tables(comparison)}\n")
        for path in write_pictures(comparison, folder):
            print(f"wrote {path}")


def _encode(options: argparse.Namespace) -> None:
    image = read_image(options.input)
    check_writable(options.output)
    data = _ENCODERS[options.method](
        image, rank=options.rank, quality=options.quality, color_space=options.color_space
    )
    write_atomically(options.output, data)
    print(f"wrote {options.output}: {len(data)} bytes, {bits_per_pixel(image.shape, data):.4f} bpp")


def _decode(options: argparse.Namespace) -> None:
    Image.init()
    suffix = options.output.suffix.lower()
    if suffix not in Image.EXTENSION or Image.EXTENSION[suffix] not in Image.SAVE:
        raise InputError(f"output {str(options.output)!r} has no suffix that Pillow can write")
    check_writable(options.output)
    pixels = decode(_read_bytes(options.input))
    buffer = io.BytesIO()
    try:
        Image.fromarray(pixels).save(buffer, format=Image.EXTENSION[suffix])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"output {str(options.output)!r} cannot hold the image: {error}"
        ) from error
    write_atomically(options.output, buffer.getvalue())
    print(f"wrote {options.output}: {pixels.shape[1]} x {pixels.shape[0]} pixels")


def _info(options: argparse.Namespace) -> None:
    data = _read_bytes(options.input)
    header, factors, sizes = read_factors(data)
    layout = header.layout
    height, width = layout.size
    patch = "none" if layout.patch_size is None else "{} x {}".format(*layout.patch_size)
    total = sum(map(sum, sizes))
    print(f"method       {header.method}, factors coded by {header.entropy}")
    print(f"image        {width} x {height} pixels (width x height), {layout.color_space}")
    if layout.color_space == "YCbCr":
        print(f"chroma       {layout.chroma_size[1]} x {layout.chroma_size[0]} pixels")
    print(f"patches      {patch}")
    print(f"size         {len(data)} bytes, {8 * len(data) / (height * width):.4f} bpp")
    print(f"framing      {len(data) - total} bytes")
    for index, (f, parts) in enumerate(zip(factors, sizes, strict=True)):
        rank = f.u.shape[1]
        u, v = parts[:rank], parts[rank:]
        print(
            f"matrix {index}     {f.u.shape[0]} x {f.v.shape[0]}, rank {rank}, "
            f"scale {float(f.scale):g}, {sum(parts)} bytes"
        )
        print(
            f"  U in [{f.range_u.lower}, {f.range_u.lower + f.range_u.span}], bytes by column: {u}"
        )
        print(
            f"  V in [{f.range_v.lower}, {f.range_v.lower + f.range_v.span}], bytes by column: {v}"
        )


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"path {str(path)!r} cannot be read: {error.strerror}") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder {str(folder)!r} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"folder {str(folder)!r} cannot be written to")
