"""Fidelity to the published numbers.

    python -m benchmarks.fidelity --data KODAK --reference REFERENCE

REFERENCE holds published_kodak.csv (columns image, method, quality, bpp, psnr_db) and
imf_objective.csv (image, channel, rank, sweep, relative_error).
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import images
from benchmarks.workloads import plane_matrices
from lrfjax.evaluation.page import table

ABOUT = """\
`imf_encode` with `PAPER_SETTINGS` against the published bit rate and PSNR of each image at
qualities from 2 to 40, and `imf` against the published relative error after each sweep. The last
row codes the same factors with contexts (`entropy="context"`) instead of deflate; the pixels are
equal."""

SWEEPS = (1, 2, 5, 10)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the lines of a CSV file by their columns."""
    with path.open() as file:
        return list(csv.DictReader(file))


def codec_rows(data: Path, reference: Path, count: int) -> Iterator[Row]:
    """Yield a row for each image and quality: PSNR, rate and bytes beside the published ones."""
    published: dict[str, dict[float, tuple[float, float]]] = defaultdict(dict)
    for line in read_csv(reference / "published_kodak.csv"):
        if line["method"] == "IMF" and 2 <= float(line["quality"]) <= 40:
            point = float(line["bpp"]), float(line["psnr_db"])
            published[line["image"]][float(line["quality"])] = point
    for path in tqdm(images(data), desc="codec", leave=False):
        image = lrfjax.read_image(path)
        qualities = sorted(published[path.name])
        for index in np.linspace(0, len(qualities) - 1, count).round().astype(int):
            bpp, psnr = published[path.name][qualities[index]]
            settings: dict[str, Any] = dict(lrfjax.PAPER_SETTINGS)
            encoded = lrfjax.imf_encode(image, quality=qualities[index], **settings)
            decoded = lrfjax.imf_decode(encoded)
            settings["entropy"] = "context"
            smaller = lrfjax.imf_encode(image, quality=qualities[index], **settings)
            if not np.array_equal(lrfjax.imf_decode(smaller), decoded):
                raise SystemExit(f"{path.name}: contexts decode to other pixels than deflate")
            yield {
                "kind": "codec",
                "image": path.stem,
                "quality": qualities[index],
                "psnr_minus_published_db": float(lrfjax.psnr(image, decoded)) - psnr,
                "rate_over_published": lrfjax.bits_per_pixel(image.shape, encoded) / bpp,
                "bytes": len(encoded),
                "context_bytes": len(smaller),
            }


def sweep_rows(data: Path, reference: Path) -> Iterator[Row]:
    """Yield a row for each published relative error after some sweeps."""
    published: dict[tuple[str, str, int], dict[int, float]] = defaultdict(dict)
    for line in read_csv(reference / "imf_objective.csv"):
        key = line["image"], line["channel"], int(line["rank"])
        published[key][int(line["sweep"])] = float(line["relative_error"])
    for path in tqdm(images(data), desc="sweeps", leave=False):
        planes = dict(zip(("Y", "Cb"), plane_matrices(lrfjax.read_image(path)), strict=False))
        for (image, channel, rank), errors in published.items():
            if image == path.stem and channel in planes:
                history = lrfjax.imf(planes[channel], rank).history
                for sweep in SWEEPS:
                    yield {
                        "kind": "sweep",
                        "image": image,
                        "channel": channel,
                        "rank": rank,
                        "sweep": sweep,
                        "error_over_published": float(history.relative_error[sweep])
                        / errors[sweep],
                    }


def measure(options: argparse.Namespace) -> Rows:
    """Return the rows of the codec and of the solver."""
    count = 2 if options.quick else options.qualities
    points = list(codec_rows(options.data, options.reference, count))
    return points + list(sweep_rows(options.data, options.reference))


def show(rows: Rows) -> str:
    """Return means and worst cases as a table."""
    kinds = group(rows, "kind")
    points, sweeps = kinds["codec",], kinds["sweep",]
    psnr = np.array([row["psnr_minus_published_db"] for row in points])
    rate = np.array([row["rate_over_published"] for row in points])
    share = np.array([row["context_bytes"] / row["bytes"] for row in points])
    lines = [
        [
            f"PSNR minus published, dB ({len(psnr)} points)",
            f"{psnr.mean():+.4f}",
            f"{psnr.min():+.4f}",
        ],
        ["bit rate over published", f"{rate.mean():.4f}", f"{rate.max():.4f}"],
    ]
    for (sweep,), found in group(sweeps, "sweep").items():
        over = np.array([row["error_over_published"] for row in found]) - 1
        name = f"relative error over published after sweep {sweep} ({len(found)} matrices)"
        lines.append([name, f"{over.mean():+.3%}", f"{over.max():+.2%}"])
    lines.append(
        ["bytes with contexts over bytes with deflate", f"{share.mean():.4f}", f"{share.max():.4f}"]
    )
    together = sum(r["context_bytes"] for r in points) / sum(r["bytes"] for r in points)
    return table(["", "mean", "worst"], lines) + (
        f"\n\nWith contexts all files together take {together:.4f} of the bytes."
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the number of qualities."""
    parser.add_argument("--qualities", type=int, default=12, help="qualities of each image")


BENCHMARK = Benchmark(
    "fidelity", ABOUT, measure, show, add_arguments, ("data", "reference"), ("pillow",)
)

if __name__ == "__main__":
    run(BENCHMARK)
