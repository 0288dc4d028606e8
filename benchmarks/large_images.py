"""Time and memory that images of many megapixels take, to encode and to decode.

    python -m benchmarks.large_images --data KODAK [--megapixels 10 100] [--quality 25]
        [--target-bpp B] [--repeats 1] [--json FILE]

The pictures are walls of mirrored copies of the first image of a folder. Each is encoded in a
process of its own and decoded in another, after a warm-up on its first rows, which are so many that
every program of the whole picture is compiled for them; that warm-up is the column "first". Peaks
are those of the whole process, interpreter, pixels and file included. A picture takes as many
bytes again as a temporary file.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import lrfjax
from benchmarks.report import environment, images, seconds, write_json
from lrfjax.cli.batch import tile_bar
from lrfjax.codec import tiles
from lrfjax.codec.parallel import num_workers

ASPECT = 1.5
PATCH = 16
# Only the first and the last tile differ in what is compiled for them: one has nothing above it,
# the other has fewer rows.
WARM_TILES = 4


def wall(path: Path, megapixels: float) -> np.ndarray:
    """Return mirrored copies of an image beside and below each other, without seams.

    Args:
        path: of the image.
        megapixels: of the result, three wide by two high.
    """
    image = lrfjax.read_image(path)
    height = max(round(math.sqrt(1e6 * megapixels / ASPECT)), 1)
    for axis, length in enumerate((height, round(ASPECT * height))):
        doubled = np.concatenate([image, np.flip(image, axis)], axis)
        image = np.take(doubled, np.arange(length) % doubled.shape[axis], axis)
    return image


def warm_rows(height: int, width: int) -> int:
    """Return how many rows have tiles of all the shapes that there are in an image."""
    rows = PATCH * tiles.tile_rows(-(-width // PATCH))
    last = height - (-(-height // rows) - 1) * rows
    return min((WARM_TILES - 1) * rows + last, height)


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found * (1 if sys.platform == "darwin" else 1024)


def encode(folder: Path, setting: dict[str, float], repeats: int) -> dict[str, Any]:
    """Encode the picture of a folder, and return what that took."""
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
                lrfjax.imf_encode(pixels, max_pixels=num_pixels, progress=progress, **setting)
            ]

    first = seconds(lambda: call(image[: warm_rows(*image.shape[:2])]))
    (folder / "warm").write_bytes(files[0])
    attempts = 0
    times = [seconds(lambda: call(image)) for _ in range(repeats)]
    (folder / "file").write_bytes(files[0])
    return {"times": times, "first_s": first, "peak_bytes": peak(), "attempts": attempts / repeats}


def decode(folder: Path, repeats: int) -> dict[str, Any]:
    """Decode the file of a folder, and return what that took and how close it is."""
    image = np.load(folder / "image.npy", mmap_mode="r")
    num_pixels = image.shape[0] * image.shape[1]
    decoded: list[np.ndarray] = []

    def call(data: bytes) -> None:
        decoded.clear()
        with tile_bar() as progress:
            decoded.append(lrfjax.decode(data, max_pixels=num_pixels, progress=progress))

    warm, data = ((folder / name).read_bytes() for name in ("warm", "file"))
    first = seconds(lambda: call(warm))
    times = [seconds(lambda: call(data)) for _ in range(repeats)]
    found = {"times": times, "first_s": first, "peak_bytes": peak()}
    error = 0.0
    for top in range(0, len(image), 256):
        a, b = (x[top : top + 256].astype(np.int32) for x in (image, decoded[0]))
        error += float(np.square(a - b).sum(dtype=np.int64))
    psnr = 10 * math.log10(255**2 / (error / image.size)) if error else math.inf
    return {**found, "bpp": 8 * len(data) / num_pixels, "psnr": psnr}


def run_case(options: argparse.Namespace, case: str, folder: Path) -> None:
    """Do the work of one process, and print what it found as JSON."""
    if case == "prepare":
        image = wall(images(options.data)[0], options.megapixels[0])
        np.save(folder / "image.npy", image)
        print(json.dumps({"shape": image.shape}))
    elif case == "encode":
        print(json.dumps(encode(folder, setting_of(options), options.repeats)))
    else:
        print(json.dumps(decode(folder, options.repeats)))


def setting_of(options: argparse.Namespace) -> dict[str, float]:
    """Return what is asked of the encoder."""
    if options.target_bpp is not None:
        return {"target_bpp": options.target_bpp}
    return {"quality": options.quality}


def measure(options: argparse.Namespace, megapixels: float) -> list[dict[str, Any]]:
    """Return a row on encoding a picture of some size and one on decoding it."""
    # On Linux a child's peak begins at what its parent held, so this process holds no picture.
    with tempfile.TemporaryDirectory() as name:

        def run(case: str) -> dict[str, Any]:
            command = [sys.executable, "-m", "benchmarks.large_images", "--case", case, name]
            command += ["--data", str(options.data.resolve()), "--megapixels", str(megapixels)]
            command += ["--repeats", str(options.repeats)]
            for key, value in setting_of(options).items():
                command += [f"--{key.replace('_', '-')}", str(value)]
            root = Path(__file__).parents[1]
            done = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
            found: dict[str, Any] = json.loads(done.stdout)
            return found

        height, width = run("prepare")["shape"][:2]
        coded, shown = run("encode"), run("decode")
    quality = {"bpp": shown.pop("bpp"), "psnr": shown.pop("psnr")}
    rows = []
    for case, found in (("encode", coded), ("decode", shown)):
        times = found.pop("times")
        size = {"case": case, "height": height, "width": width, "megapixels": height * width / 1e6}
        spent = {"median_s": statistics.median(times), "min_s": min(times), **found}
        rows.append(
            {"benchmark": "large_images", **size, **setting_of(options), **spent, **quality}
        )
    return rows


def show(row: dict[str, Any]) -> None:
    """Print one line of the table."""
    size = f"{row['width']} x {row['height']}"
    per_pixel = row["median_s"] / row["megapixels"]
    print(
        f"{size:<15}{row['case']:<8}{row['median_s']:>9.2f}{per_pixel:>9.3f}"
        f"{row['first_s']:>8.2f}{row['peak_bytes'] / 2**30:>11.2f}{row['bpp']:>8.3f}"
        f"{row['psnr']:>8.2f}{row.get('attempts', 1):>10g}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[10.0, 100.0])
    parser.add_argument("--quality", type=float, default=25.0)
    parser.add_argument("--target-bpp", type=float, help="a rate to search for, not a quality")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the rows")
    # For the processes that this one starts.
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()

    if options.case:
        run_case(options, options.case[0], Path(options.case[1]))
        return
    print(environment())
    ((name, value),) = setting_of(options).items()
    print(f"\n{name} {value:g}, {num_workers()} tiles at a time, medians of {options.repeats}")
    print(
        f"{'pixels':<15}{'':<8}{'s':>9}{'s / MP':>9}{'first':>8}{'peak (GiB)':>11}{'bpp':>8}"
        f"{'PSNR':>8}{'attempts':>10}"
    )
    rows = []
    for megapixels in sorted(options.megapixels):
        for row in measure(options, megapixels):
            rows.append(row)
            show(row)
    if len(options.megapixels) > 1:
        print("\ntime per pixel, largest / smallest")
        for case in ("encode", "decode"):
            found = [row["median_s"] / row["megapixels"] for row in rows if row["case"] == case]
            print(f"  {case} {found[-1] / found[0]:.3f}")
    if options.json is not None:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
