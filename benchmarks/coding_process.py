"""A large picture prepared, encoded or decoded in a process of its own, for its peak of memory.

``large_images`` and ``codec_memory`` start it through ``run_case``:

    python -m benchmarks.coding_process CASE FOLDER ARGUMENTS-AS-JSON
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lrfjax
from benchmarks.report import seconds
from lrfjax.cli.batch import tile_bar
from lrfjax.codec.dictionary import tiles
from lrfjax.codec.dictionary.atoms import SIDE

WARM_TILES = 4
"""Tiles of the warm-up. Programs are compiled for the first, the last and any tile in between."""


def wall(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return mirrored copies of an image beside and below each other, without seams."""
    for axis, length in enumerate((height, width)):
        doubled = np.concatenate([image, np.flip(image, axis)], axis)
        image = np.take(doubled, np.arange(length) % doubled.shape[axis], axis)
    return image


def warm_rows(height: int, width: int) -> int:
    """Return a number of rows whose tiles have all shapes of the tiles of an image."""
    rows = SIDE * tiles.tile_rows(-(-width // SIDE))
    last = height - (-(-height // rows) - 1) * rows
    return min((WARM_TILES - 1) * rows + last, height)


def peak() -> int:
    """Return the peak of the memory of this process in bytes."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found * (1 if sys.platform == "darwin" else 1024)


def prepare(folder: Path, image: str, height: int, width: int) -> dict[str, Any]:
    """Write a wall of an image file, and the tiny file of its first 16 x 16 pixels."""
    pixels = lrfjax.read_image(image)
    (folder / "tiny").write_bytes(lrfjax.dct_encode(pixels[:16, :16], quality=25))
    picture = wall(pixels, height, width)
    np.save(folder / "image.npy", picture)
    return {"pixel_bytes": picture.nbytes}


def encode(folder: Path, setting: Mapping[str, Any], repeats: int, warm_up: bool) -> dict[str, Any]:
    """Encode the picture and return times, peak and attempts of the search for a target."""
    image = np.load(folder / "image.npy")
    num_pixels = image.shape[0] * image.shape[1]
    files: list[bytes] = []
    attempts = 0

    def call(pixels: np.ndarray) -> None:
        with tile_bar() as draw:

            def progress(done: int, total: int) -> None:
                nonlocal attempts
                attempts += done == 0
                draw(done, total)

            files[:] = [
                lrfjax.dct_encode(pixels, max_pixels=num_pixels, progress=progress, **setting)
            ]

    first = None
    if warm_up:
        first = seconds(lambda: call(image[: warm_rows(*image.shape[:2])]))
        (folder / "warm").write_bytes(files[0])
        attempts = 0
    times = [seconds(lambda: call(image)) for _ in range(repeats)]
    (folder / "file").write_bytes(files[0])
    return {"times": times, "first_s": first, "peak_bytes": peak(), "attempts": attempts / repeats}


def decode(folder: Path, name: str, repeats: int, warm_up: bool) -> dict[str, Any]:
    """Decode a file and return times and peak, rate and PSNR if it is that of the picture."""
    image = np.load(folder / "image.npy", mmap_mode="r")
    num_pixels = image.shape[0] * image.shape[1]
    decoded: list[np.ndarray] = []

    def call(data: bytes) -> None:
        decoded.clear()
        with tile_bar() as progress:
            decoded.append(lrfjax.decode(data, max_pixels=num_pixels, progress=progress))

    first = seconds(lambda: call((folder / "warm").read_bytes())) if warm_up else None
    data = (folder / name).read_bytes()
    times = [seconds(lambda: call(data)) for _ in range(repeats)]
    found = {"times": times, "first_s": first, "peak_bytes": peak()}
    if decoded[0].shape != image.shape:
        return found
    error = 0.0
    for top in range(0, len(image), 256):
        a, b = (x[top : top + 256].astype(np.int32) for x in (image, decoded[0]))
        error += float(np.square(a - b).sum(dtype=np.int64))
    psnr = 10 * math.log10(255**2 / (error / image.size)) if error else None
    return {**found, "bpp": 8 * len(data) / num_pixels, "psnr_db": psnr}


CASES: dict[str, Callable[..., dict[str, Any]]] = {
    "prepare": prepare,
    "encode": encode,
    "decode": decode,
}


def run_case(case: str, folder: Path, new_process: bool, **arguments: Any) -> dict[str, Any]:
    """Run a case and return its results.

    On Linux the peak of a child begins at the memory of its parent, so the caller must stay small:
    even the preparation belongs in a process of its own.

    Args:
        case: name in ``CASES``.
        folder: existing folder that the cases share.
        new_process: whether to start a process; a trial run can do without.
        **arguments: keyword arguments of the case.
    """
    if not new_process:
        return CASES[case](folder, **arguments)
    command = [sys.executable, "-m", "benchmarks.coding_process"]
    command += [case, str(folder), json.dumps(arguments)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main(arguments: Sequence[str]) -> None:
    """Run the case of a command line and print its results as JSON."""
    case, folder, given = arguments
    print(json.dumps(CASES[case](Path(folder), **json.loads(given))))


if __name__ == "__main__":
    main(sys.argv[1:])
