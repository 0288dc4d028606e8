"""A process that meets many sizes of images: what it compiles, and how it grows.

python -m benchmarks.many_sizes --data KODAK
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, run
from benchmarks.report import images
from lrfjax.evaluation.page import table
from lrfjax.evaluation.timing import compilations

ABOUT = """\
One process for each codec encodes and decodes crops of the first image. All have different sizes,
with sides drawn evenly from 1 to the sides of the image. "Compiled" counts the programs of the
process. Growth is from the end of the first crop to the end of the last one: of the resident
memory, and of the number of mappings, which Linux limits to 65,530 by default."""

ROOT = Path(__file__).parents[1]
QUALITIES = {"dct": 30, "imf": 30, "imf-paper": 7}
"""The qualities of the codecs, by their names."""
LIMITS = {"num_compiled": 60, "growth_bytes": 150 * 2**20}
"""Upper limits for 1,000 sizes."""


def sizes(count: int, largest: tuple[int, int]) -> list[tuple[int, int]]:
    """Return different sizes of crops, the same for the same arguments."""
    height, width = largest
    places = np.random.default_rng(0).choice(height * width, count, replace=False)
    return [(int(k) // width + 1, int(k) % width + 1) for k in places]


def resident_bytes() -> int:
    """Return the resident memory of this process, on Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def num_maps() -> int:
    """Return the number of memory mappings of this process, on Linux."""
    return len(Path("/proc/self/maps").read_text().splitlines())


def crops_here(path: str, codec: str, count: int) -> Row:
    """Return the row of a codec, measured in this process, which must be fresh."""
    image = lrfjax.read_image(Path(path))
    compiled = compilations()
    for number, (height, width) in enumerate(sizes(count, image.shape[:2])):
        data = lrfjax.encode(image[:height, :width], codec, quality=QUALITIES[codec])
        lrfjax.decode(data)
        if number == 0:
            resident, maps, start = resident_bytes(), num_maps(), time.perf_counter()
    return {
        "codec": codec,
        "num_sizes": count,
        "num_compiled": compilations() - compiled,
        "growth_bytes": resident_bytes() - resident,
        "growth_maps": num_maps() - maps,
        "seconds": time.perf_counter() - start,
    }


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each codec."""
    path = str(images(options.data)[0].resolve())
    count = 3 if options.quick else options.count
    names = list(QUALITIES)[:1] if options.quick else options.codecs
    rows = []
    for name in names:
        code = (
            "import json; from benchmarks.many_sizes import crops_here; "
            f"print(json.dumps(crops_here({path!r}, {name!r}, {count})))"
        )
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    return rows


def show(rows: Rows) -> str:
    """Return the table of the codecs, with the limits."""
    lines = [
        [
            row["codec"],
            str(row["num_sizes"]),
            str(row["num_compiled"]),
            f"{row['growth_bytes'] / 2**20:.0f}",
            str(row["growth_maps"]),
            f"{row['seconds']:.0f}",
        ]
        for row in rows
    ]
    limits = ["limit", "1000", str(LIMITS["num_compiled"])]
    lines.append([*limits, f"{LIMITS['growth_bytes'] / 2**20:.0f}", "", ""])
    heads = ["codec", "sizes", "compiled", "growth (MiB)", "growth (mappings)", "time (s)"]
    return table(heads, lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the number of sizes."""
    parser.add_argument("--count", type=int, default=1000, help="number of sizes")
    parser.add_argument(
        "--codecs", nargs="+", choices=QUALITIES, default=list(QUALITIES), help="codecs to run"
    )


BENCHMARK = Benchmark("many_sizes", ABOUT, measure, show, add_arguments)

if __name__ == "__main__":
    run(BENCHMARK)
