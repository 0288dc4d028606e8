"""A sweep over the paper's 80 qualities beside as many separate cold calls.

    python -m benchmarks.sweep_speed --data KODAK [--cold N]

The sweep encodes the first image at every quality (``imf_sweep``), decodes all files and measures
PSNR, SSIM and MS-SSIM, compilation included. A cold call is ``imf_encode`` alone, after
``jax.clear_caches()``: a new process would add what importing takes. ``--cold`` spreads so many of
them over the qualities and takes their mean for the others, all 80 by default.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.report import environment, images
from lrfjax.evaluation.methods import PAPER_IMF_QUALITIES
from lrfjax.evaluation.timing import compilations
from lrfjax.image.metrics import fidelity


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cold", type=int, default=len(PAPER_IMF_QUALITIES))
    options = parser.parse_args()

    print(environment("pillow"))
    image = lrfjax.read_image(images(options.data)[0])
    compilations()
    jax.clear_caches()
    before, start = compilations(), time.perf_counter()
    files = [batch[0] for batch in lrfjax.imf_sweep([image], PAPER_IMF_QUALITIES)]
    encoded = time.perf_counter()
    for file in files:
        jax.block_until_ready(fidelity(image[None], lrfjax.imf_decode(file)[None]))
    sweep, encoding = time.perf_counter() - start, encoded - start
    count = compilations() - before

    picks = np.unique(np.linspace(0, len(files) - 1, options.cold).round().astype(int))
    seconds, same = [], 0
    for k in tqdm(picks, desc="cold calls", leave=False):
        jax.clear_caches()
        start = time.perf_counter()
        file = lrfjax.imf_encode(image, quality=PAPER_IMF_QUALITIES[k], **lrfjax.PAPER_SETTINGS)
        seconds.append(time.perf_counter() - start)
        same += file == files[k]
    cold = float(np.mean(seconds)) * len(files)
    print(
        f"sweep of {len(files)} qualities: {sweep:.1f} s with decoding and metrics, "
        f"{encoding:.1f} s of it encoding; {count} programs compiled"
    )
    print(f"{len(files)} cold calls: {cold:.1f} s ({len(picks)} measured, {same} files the same)")
    print(f"sweep / cold calls: {sweep / cold:.3f}")


if __name__ == "__main__":
    main()
