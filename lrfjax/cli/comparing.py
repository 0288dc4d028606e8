"""The command compare, on one image at a time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lrfjax.cli.batch import check_targets, make_folder
from lrfjax.errors import InputError
from lrfjax.evaluation.compare import (
    PICTURES,
    compare_image,
    format_tables,
    num_steps,
    write_pictures,
)
from lrfjax.evaluation.sample import SAMPLE_NOTE, sample_image
from lrfjax.image.reading import read_image


def add_commands(commands: Any) -> None:
    """Add compare to the subparsers of the command line."""
    compare = commands.add_parser(
        "compare",
        help="compare the DCT dictionary, IMF, SVD, NMF, the paper's IMF and JPEG on images; print "
        "tables, write pictures",
    )
    compare.add_argument("images", nargs="*", type=Path, metavar="IMAGE")
    compare.add_argument(
        "--out",
        type=Path,
        default=Path("lrfjax-compare"),
        metavar="DIR",
        help="folder for the pictures (default: %(default)s); several images get a subfolder each",
    )
    compare.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> int:
    folders = [options.out]
    if len(options.images) > 1:
        folders = [options.out / path.stem for path in options.images]
        if len(set(folders)) < len(folders):
            raise InputError("images must have different names: each becomes a folder")
    check_targets([folder / name for folder in folders for name in PICTURES], options.images)
    if options.images:
        images = [(str(path), read_image(path)) for path in options.images]
    else:
        images = [(SAMPLE_NOTE, sample_image())]
    for folder in folders:
        make_folder(folder)
    for (title, image), folder in zip(images, folders, strict=True):
        with tqdm(total=num_steps(), unit="step", leave=False, disable=None) as bar:

            def progress(step: str, bar: Any = bar) -> None:
                bar.set_postfix_str(step, refresh=False)
                bar.update()

            comparison = compare_image(image, progress)
        print(f"{title}\n\n{format_tables(comparison)}\n")
        for path in write_pictures(comparison, folder):
            print(f"wrote {path}")
    return 0
