"""Time and memory to encode and decode images of many megapixels.

python -m benchmarks.large_images --data KODAK
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from pathlib import Path

from benchmarks.coding_process import run_case
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import images
from lrfjax.codec.parallel import num_workers
from lrfjax.evaluation.page import table

ABOUT = """\
The pictures are walls of mirrored copies of the first image, three wide by two high. Each is
encoded in a process of its own and decoded in another one. Times are medians of warm calls in s.
The warm-up codes as many rows of the picture as need all of its programs. Peaks are those of the
whole process, with interpreter, pixels and file."""

ASPECT = 1.5
QUICK_MEGAPIXELS = (0.01,)


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each size, encoded and decoded."""
    sizes = QUICK_MEGAPIXELS if options.quick else sorted(options.megapixels)
    path = images(options.data)[0]
    setting = {"quality": options.quality}
    if options.target_bpp is not None:
        setting = {"target_bpp": options.target_bpp}
    repeats = 1 if options.quick else options.repeats
    rows: list[Row] = []
    for megapixels in sizes:
        height = round(math.sqrt(1e6 * megapixels / ASPECT))
        width = round(ASPECT * height)
        size = {"image": str(path.resolve()), "height": height, "width": width}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            run_case("prepare", folder, not options.quick, **size)
            warm = {"repeats": repeats, "warm_up": True}
            found = {
                "encode": run_case("encode", folder, True, setting=setting, **warm),
                "decode": run_case("decode", folder, not options.quick, name="file", **warm),
            }
        for case, spent in found.items():
            rows.append(
                {
                    "case": case,
                    "height": height,
                    "width": width,
                    **setting,
                    "num_workers": num_workers(),
                    "median_s": statistics.median(spent["times"]),
                    "warm_up_s": spent["first_s"],
                    "peak_bytes": spent["peak_bytes"],
                    "attempts": spent.get("attempts"),
                    "bpp": found["decode"]["bpp"],
                    "psnr_db": found["decode"]["psnr_db"],
                }
            )
    return rows


def show(rows: Rows) -> str:
    """Return a line for each size and direction, and how the time grows with the size."""
    lines = [
        [
            f"{row['width']} x {row['height']}, {row['case']}",
            f"{row['median_s']:.2f}",
            f"{per_megapixel(row):.3f}",
            f"{row['warm_up_s']:.2f}",
            f"{row['peak_bytes'] / 2**30:.2f}",
            f"{row['bpp']:.3f}",
            "" if row["psnr_db"] is None else f"{row['psnr_db']:.2f}",
            "" if row["attempts"] is None else f"{row['attempts']:g}",
        ]
        for row in rows
    ]
    heads = ["pixels", "s", "s / MP", "warm-up (s)", "peak (GiB)", "bpp", "PSNR (dB)", "attempts"]
    name = "target_bpp" if "target_bpp" in rows[0] else "quality"
    parts = [
        f"`{name}={rows[0][name]:g}`, {rows[0]['num_workers']} tiles at a time:",
        table(heads, lines),
    ]
    growth = {
        case: per_megapixel(found[-1]) / per_megapixel(found[0])
        for (case,), found in group(rows, "case").items()
        if len(found) > 1
    }
    if growth:
        ratios = " and ".join(f"{ratio:.2f} to {case}" for case, ratio in growth.items())
        parts.append(f"Time per pixel, largest over smallest picture: {ratios}.")
    return "\n\n".join(parts)


def per_megapixel(row: Row) -> float:
    """Return the seconds for a megapixel."""
    return float(row["median_s"]) / (row["height"] * row["width"] / 1e6)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sizes, the setting of the encoder and the number of repeats."""
    parser.add_argument(
        "--megapixels", type=float, nargs="+", default=[10.0, 100.0], help="sizes of the pictures"
    )
    parser.add_argument("--quality", type=float, default=25.0, help="quality of the encoder")
    parser.add_argument("--target-bpp", type=float, help="rate to search for, not a quality")
    parser.add_argument("--repeats", type=int, default=1, help="timed calls of each direction")


BENCHMARK = Benchmark("large_images", ABOUT, measure, show, add_arguments)

if __name__ == "__main__":
    run(BENCHMARK)
