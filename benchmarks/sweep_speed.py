"""Speed of a sweep over the paper's 80 qualities against separate cold calls.

python -m benchmarks.sweep_speed --data KODAK
"""

from __future__ import annotations

import argparse
import time

import jax
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import images
from lrfjax.evaluation.methods import METHODS
from lrfjax.evaluation.page import table
from lrfjax.evaluation.timing import compilations
from lrfjax.image.metrics import fidelity

ABOUT = """\
The sweep encodes the first image at every quality of the paper (`PaperIMFCodec().sweep`), decodes
all files and measures PSNR, SSIM and MS-SSIM. Its time includes compilation. A cold call is one
`imf_encode` with `PAPER_SETTINGS` after all compiled programs were dropped; a new process would
need the time of the imports as well. Cold calls are measured at a few qualities, and their mean
stands for the others."""


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for the sweep and one for each cold call."""
    path = images(options.data)[0]
    image = lrfjax.read_image(path)
    qualities = METHODS["imf-paper"].levels[:: 40 if options.quick else 1]
    count = 1 if options.quick else options.cold

    def drop_programs() -> None:
        if not options.quick:
            jax.clear_caches()

    compilations()
    drop_programs()
    before, start = compilations(), time.perf_counter()
    files = [batch[0] for batch in lrfjax.PaperIMFCodec().sweep([image], qualities)]
    encoding = time.perf_counter() - start
    for file in files:
        jax.block_until_ready(fidelity(image[None], lrfjax.imf_decode(file)[None]))
    sweep: Row = {
        "kind": "sweep",
        "image": path.stem,
        "num_qualities": len(files),
        "seconds": time.perf_counter() - start,
        "encoding_s": encoding,
        "num_programs": compilations() - before,
    }

    rows = [sweep]
    picks = np.unique(np.linspace(0, len(files) - 1, count).round().astype(int))
    for k in tqdm(picks, desc="cold calls", leave=False):
        drop_programs()
        start = time.perf_counter()
        file = METHODS["imf-paper"].encode_at(image, qualities[k])
        seconds = time.perf_counter() - start
        rows.append(
            {
                "kind": "cold call",
                "image": path.stem,
                "quality": qualities[k],
                "seconds": seconds,
                "is_same_file": file == files[k],
            }
        )
    return rows


def show(rows: Rows) -> str:
    """Return the times of the sweep and of as many cold calls, and their ratio."""
    kinds = group(rows, "kind")
    ((sweep,), calls) = kinds["sweep",], kinds["cold call",]
    count = sweep["num_qualities"]
    cold = count * float(np.mean([row["seconds"] for row in calls]))
    same = sum(row["is_same_file"] for row in calls)
    lines = [
        [f"sweep of {count} qualities, decoding and metrics included", f"{sweep['seconds']:.1f}"],
        ["encoding alone, as part of the sweep", f"{sweep['encoding_s']:.1f}"],
        [f"{count} cold calls of the encoder ({len(calls)} measured)", f"{cold:.1f}"],
    ]
    return table([sweep["image"], "s"], lines) + (
        f"\n\nThe sweep takes {sweep['seconds'] / cold:.3f} of the time of the cold calls and "
        f"compiles {sweep['num_programs']} programs. {same} of the {len(calls)} files of the cold "
        "calls equal those of the sweep."
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the number of cold calls."""
    parser.add_argument("--cold", type=int, default=8, help="cold calls to measure")


BENCHMARK = Benchmark("sweep_speed", ABOUT, measure, show, add_arguments)

if __name__ == "__main__":
    run(BENCHMARK)
