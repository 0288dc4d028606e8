"""Six codecs on the sample photograph of `lrfjax compare`.

python -m benchmarks.photograph
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.harness import Benchmark, Rows, group, run
from lrfjax.evaluation import compare
from lrfjax.evaluation.page import table
from lrfjax.evaluation.pictures import nearest_rate
from lrfjax.evaluation.rate_distortion import restrict_rates
from lrfjax.evaluation.sample import SAMPLE_NOTE, sample_image

ABOUT = f"""\
{SAMPLE_NOTE}. {" ".join(compare.NOTE)} Each cell has the PSNR over RGB at the setting whose rate is
nearest to that of the column, and its actual rate in bpp. BD-rates are against JPEG in percent
(PSNR, PCHIP, {compare.BD_RATES[0]:g} to {compare.BD_RATES[1]:g} bpp); negative numbers mean fewer
bits."""

COLUMNS = {
    "bpp": "bit rate (bpp)",
    "psnr_db": "PSNR (dB)",
    "ssim": "SSIM",
    "encode_ms": "encoding time (ms)",
    "decode_ms": "decoding time (ms)",
}
"""Columns of the rows and keys of ``eval_compression``."""


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each codec and setting."""
    image, codecs = sample_image(), compare.CODECS
    if options.quick:
        image = image[100:164, 200:296]
        few = {name: codecs[name] for name in ("DCT dictionary", compare.PAPER, "JPEG")}
        codecs = {name: replace(codec, levels=codec.levels[1:4:2]) for name, codec in few.items()}
    with (
        mock.patch.object(compare, "CODECS", codecs),
        tqdm(total=compare.num_steps(), leave=False) as bar,
    ):

        def progress(step: str) -> None:
            bar.set_postfix_str(step, refresh=False)
            bar.update()

        comparison = compare.compare_image(image, progress)
    if options.figures:
        figure = compare.draw_collage(comparison)
        figure.savefig(options.figures / "collage.png", dpi=100, pil_kwargs={"optimize": True})
        plt.close(figure)
    return [
        {"codec": name, **{column: row[key] for column, key in COLUMNS.items()}}
        for name, curve in comparison.curves.items()
        for row in curve
    ]


def show(rows: Rows) -> str:
    """Return PSNR at three rates and the BD-rate of each codec."""
    curves = {name: found for (name,), found in group(rows, "codec").items()}
    lines = []
    for name, found in curves.items():
        named = [{COLUMNS["bpp"]: row["bpp"], **row} for row in found]
        near = [nearest_rate(named, target) for target in compare.TARGET_BPPS]
        cells = [f"{row['psnr_db']:.2f} dB at {row['bpp']:.3f}" for row in near]
        lines.append([name, *cells, bd_rate(curves, name) if name != "JPEG" else ""])
    heads = ["codec", *(f"near {target:g} bpp" for target in compare.TARGET_BPPS), "BD-rate"]
    return table(heads, lines)


def bd_rate(curves: Mapping[str, Rows], name: str) -> str:
    """Return the BD-rate of a codec against JPEG as text; empty if it has none."""
    parts: list[np.ndarray] = []
    for rows in (curves["JPEG"], curves[name]):
        lossy = [row for row in rows if row["psnr_db"] is not None]
        points = [row["bpp"] for row in lossy], [row["psnr_db"] for row in lossy]
        parts += restrict_rates(*points, *compare.BD_RATES)
    value = lrfjax.bd_rate(*parts)
    return f"{value:+.1f} %" if np.isfinite(value) else ""


BENCHMARK = Benchmark("photograph", ABOUT, measure, show, folders=(), packages=("pillow",))

if __name__ == "__main__":
    run(BENCHMARK)
