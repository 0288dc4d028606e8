"""Speed of the paper's codec against the same pipeline in eager PyTorch with zlib.

python -m benchmarks.paper_codec --data KODAK
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, group, is_installed, run
from benchmarks.report import geometric_mean, images
from benchmarks.report import measure as time_calls
from lrfjax.evaluation.page import table

ABOUT = """\
Both convert to YCbCr, halve the chroma planes, cut 8 x 8 patches, factorize each plane from its SVD
in ten sweeps within [-16, 15], and deflate the factors column by column as bytes, at level 9. Both
decode to uint8. The sweeps in PyTorch take the steps of the published program. Its files have no
header, but six more bytes in each column. Times are medians of warm calls in ms. The ratio is
PyTorch's time over lrfjax's."""

PEER = "PyTorch"
VERBS = ("encode", "decode")


def codecs(quality: float) -> dict[str, tuple[Callable[..., Any], Callable[..., np.ndarray]]]:
    """Return the encoder and the decoder of each program; only lrfjax's without PyTorch."""
    settings: dict[str, Any] = {"quality": quality, **lrfjax.PAPER_SETTINGS}
    found: dict[str, tuple[Callable[..., Any], Callable[..., np.ndarray]]] = {
        "lrfjax": (partial(lrfjax.imf_encode, **settings), lrfjax.imf_decode)
    }
    if is_installed("torch"):
        from benchmarks import torch_codec

        found[PEER] = (partial(torch_codec.encode, quality=quality), torch_codec.decode)
    return found


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each image and program."""
    repeats = 1 if options.quick else options.repeats
    chosen = codecs(options.quality)
    rows: list[Row] = []
    for path in images(options.data)[: 1 if options.quick else options.images]:
        image = lrfjax.read_image(path)
        encoders = {name: partial(encode, image) for name, (encode, _) in chosen.items()}
        times = {"encode": time_calls(encoders, repeats)}
        files = {name: call() for name, call in encoders.items()}
        decoders = {name: partial(decode, files[name]) for name, (_, decode) in chosen.items()}
        times["decode"] = time_calls(decoders, repeats)
        for name in chosen:
            timings = {verb: times[verb][name].row() for verb in VERBS}
            rows.append(
                {
                    "program": name,
                    "image": path.stem,
                    "shape": image.shape,
                    "quality": options.quality,
                    "bytes": len(getattr(files[name], "body", files[name])),
                    "psnr_db": float(lrfjax.psnr(image, decoders[name]())),
                    **{f"{verb}_{k}": v for verb in VERBS for k, v in timings[verb].items()},
                }
            )
    return rows


def show(rows: Rows) -> str:
    """Return a line for each image and program, and the ratios."""
    lines = [
        [
            f"{row['image']}, {row['program']}",
            *(f"{1e3 * row[f'{verb}_median_s']:.1f}" for verb in VERBS),
            str(row["bytes"]),
            f"{row['psnr_db']:.2f}",
            *(f"{row[f'{verb}_compile_s']:.2f}" for verb in VERBS),
        ]
        for row in rows
    ]
    compilation = [f"compilation of {verb} (s)" for verb in VERBS]
    parts = [table(["", *VERBS, "bytes", "PSNR (dB)", *compilation], lines)]
    programs = group(rows, "program")
    if (PEER,) in programs:
        pairs = list(zip(programs[PEER,], programs["lrfjax",], strict=True))
        means = {
            verb: geometric_mean([a[f"{verb}_median_s"] / b[f"{verb}_median_s"] for a, b in pairs])
            for verb in VERBS
        }
        means_text = " and ".join(f"{mean:.2f} to {verb}" for verb, mean in means.items())
        parts.append(
            f"Quality {rows[0]['quality']:g}. Geometric means of the ratios: {means_text}."
        )
    return "\n\n".join(parts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the quality, the number of images and the number of repeats."""
    parser.add_argument("--quality", type=float, default=7.0, help="percentage of the full rank")
    parser.add_argument("--images", type=int, default=3, help="number of images from the first")
    parser.add_argument("--repeats", type=int, default=7, help="timed calls of each program")


BENCHMARK = Benchmark("paper_codec", ABOUT, measure, show, add_arguments, packages=("torch",))

if __name__ == "__main__":
    run(BENCHMARK)
