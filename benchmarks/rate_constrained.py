"""IMF with the entropy of its factors in the objective, against IMF that chooses its rank.

python -m benchmarks.rate_constrained --data KODAK
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import images
from benchmarks.workloads import luma_of
from lrfjax.evaluation.page import table
from lrfjax.evaluation.plots import save_figure

ABOUT = """\
IMF of luma patches with a fitted scale and offset from the balanced start, 20 sweeps. Bits are the
empirical entropy of both factors, with an ideal code for each column. "Plain" chooses the rank;
"with rate" has rank 64 and chooses the weight of a bit (`rate`). For each image and each error that
a rank reaches, the bits with rate are interpolated (log bits over log error) and divided by those
of the rank. The table shows the change of bits, as geometric means."""

RANKS: tuple[int, ...] = (4, 6, 8, 12, 16, 24, 32, 48)
RATES: tuple[float, ...] = tuple(float(rate) for rate in 8000 * 0.55 ** np.arange(14))
TARGET = -25.0
"""Percent of the bits that the geometric mean should reach."""


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each image and each rank or rate."""
    ranks, rates, width, num_iters = RANKS, RATES, 64, 20
    paths = images(options.data)
    if options.quick:
        ranks, rates, width, num_iters, paths = (4, 8), RATES[:6:2], 8, 2, paths[:1]
    rows: list[Row] = []
    for path in tqdm(paths, leave=False):
        x = luma_of(path)
        settings = [("plain", rank, 0.0) for rank in ranks]
        settings += [("with rate", min(width, *x.shape), rate) for rate in rates]
        for kind, rank, rate in settings:
            result = lrfjax.imf(
                x, rank, num_iters=num_iters, init="balanced", fit_scale=True, fit_offset=True,
                rate=rate, record=(), record_every=num_iters,
            )  # fmt: skip
            rows.append(
                {
                    "image": path.stem,
                    "kind": kind,
                    "rank": rank,
                    "rate": rate,
                    "relative_error": float(result.history.relative_error[-1]),
                    "bits_per_entry": float(lrfjax.factor_bits(result)) / x.size,
                }
            )
    if options.figures:
        save_figure(draw(rows), Path(options.figures) / "rate_constrained.png")
    return rows


def changes(rows: Rows) -> dict[tuple[str, int], float]:
    """Return the log of the ratio of bits at the error of each image and rank."""
    found = {}
    for (image,), mine in group(rows, "image").items():
        coded = sorted(
            (np.log(r["relative_error"]), np.log(r["bits_per_entry"]))
            for r in mine
            if r["kind"] == "with rate" and r["bits_per_entry"] > 0
        )
        errors, bits = zip(*coded, strict=True)
        for row in mine:
            error = np.log(row["relative_error"])
            if row["kind"] == "plain" and errors[0] <= error <= errors[-1]:
                there = float(np.interp(error, errors, bits))
                found[image, row["rank"]] = there - float(np.log(row["bits_per_entry"]))
    return found


def mean_change(rows: Rows) -> float:
    """Return the geometric mean of the change of bits over all images and errors, in percent."""
    found = list(changes(rows).values())
    return float(100 * np.expm1(np.mean(found))) if found else float("nan")


def draw(rows: Rows) -> plt.Figure:
    """Return the curves of the first images."""
    figure, ax = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    for index, ((image,), mine) in enumerate(list(group(rows, "image").items())[:3]):
        for (kind,), points in group(mine, "kind").items():
            dashes = "-" if kind == "with rate" else "--"
            line = sorted((p["bits_per_entry"], p["relative_error"]) for p in points)
            bits, errors = zip(*line, strict=True)
            ax.plot(bits, errors, f"C{index}{dashes}", marker=".", label=f"{image}, {kind}")
    ax.set(xscale="log", yscale="log", xlabel="bits per pixel of luma", ylabel="relative error")
    ax.grid(alpha=0.3, which="both")
    ax.legend(fontsize=8)
    return figure


def show(rows: Rows) -> str:
    """Return the change of bits by rank, and its geometric mean."""
    found = changes(rows)
    ranks = sorted({rank for _, rank in found})
    lines = []
    for rank in ranks:
        logs = [value for (_, r), value in found.items() if r == rank]
        errors = [r["relative_error"] for r in rows if r["kind"] == "plain" and r["rank"] == rank]
        cells = [f"{100 * np.expm1(value):+.1f}" for value in (np.mean(logs), min(logs), max(logs))]
        lines.append([str(rank), f"{np.mean(errors):.4f}", str(len(logs)), *cells])
    heads = ["rank", "mean relative error", "images", "change of bits (%)", "best", "worst"]
    mean = mean_change(rows)
    text = f"Geometric mean over all images and errors: {mean:+.1f} % (target {TARGET:.0f} %)."
    return "\n\n".join([table(heads, lines), text])


BENCHMARK = Benchmark("rate_constrained", ABOUT, measure, show)

if __name__ == "__main__":
    run(BENCHMARK)
