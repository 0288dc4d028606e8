"""Memory to encode and decode a large picture, beyond that of a tiny one.

python -m benchmarks.codec_memory --data KODAK
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.coding_process import run_case
from benchmarks.harness import Benchmark, Rows, run
from benchmarks.report import images
from lrfjax.evaluation.page import table

ABOUT = """\
The picture is a wall of mirrored copies of the first image. It is encoded in a process of its own
and decoded in another one. The baseline is the peak of a process that decodes 16 x 16 pixels. The
last column divides the memory beyond the baseline by the bytes of the pixels, which it includes."""

BASELINE = "decode 16 x 16 pixels (baseline)"


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each process."""
    path = images(options.data)[0]
    height, width = (64, 96) if options.quick else options.size
    size: dict[str, Any] = {"image": str(path.resolve()), "height": height, "width": width}
    once = {"repeats": 1, "warm_up": False}
    setting = {"quality": options.quality}
    apart = not options.quick
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shared = run_case("prepare", folder, apart, **size)
        found = {
            BASELINE: run_case("decode", folder, apart, name="tiny", **once),
            "encode": run_case("encode", folder, apart, setting=setting, **once),
            "decode": run_case("decode", folder, apart, name="file", **once),
        }
    shared |= {"height": height, "width": width, **setting, "bpp": found["decode"]["bpp"]}
    return [
        {"process": case, "peak_bytes": spent["peak_bytes"], **shared}
        for case, spent in found.items()
    ]


def show(rows: Rows) -> str:
    """Return the peaks, their differences from the baseline, and these over the pixels' bytes."""
    height, width = rows[0]["height"], rows[0]["width"]
    pixels = rows[0]["pixel_bytes"]
    lines = []
    for row in rows:
        extra = row["peak_bytes"] - rows[0]["peak_bytes"]
        cells = (
            [f"{extra / 2**20:.0f}", f"{extra / pixels:.2f}"] if row is not rows[0] else ["", ""]
        )
        lines.append([row["process"], f"{row['peak_bytes'] / 2**20:.0f}", *cells])
    return "\n\n".join(
        [
            f"{width} x {height} pixels, {pixels / 2**20:.0f} MiB, quality {rows[0]['quality']:g}, "
            f"{rows[0]['bpp']:.3f} bpp:",
            table(["process", "peak (MiB)", "minus baseline (MiB)", "over pixels"], lines),
        ]
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the size of the picture and the quality."""
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        default=(3000, 4000),
        metavar=("ROWS", "COLUMNS"),
        help="size of the picture in pixels",
    )
    parser.add_argument("--quality", type=float, default=25.0, help="quality of the encoder")


BENCHMARK = Benchmark("codec_memory", ABOUT, measure, show, add_arguments)

if __name__ == "__main__":
    run(BENCHMARK)
