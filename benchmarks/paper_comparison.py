"""The paper's IMF, SVD and JPEG over the rate against the published curves.

python -m benchmarks.paper_comparison --data KODAK --reference REFERENCE

REFERENCE holds published_kodak.csv (columns image, method, bpp, psnr_db).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.harness import Benchmark, Rows, group, run
from benchmarks.harness import Row as JsonRow
from benchmarks.paper_study import add_work, claim_rows, claim_table, working_folder
from lrfjax.evaluation.experiments import comparison
from lrfjax.evaluation.experiments.base import Request
from lrfjax.evaluation.mean_curves import interpolate, mean_curve
from lrfjax.evaluation.methods import METHODS
from lrfjax.evaluation.page import table
from lrfjax.evaluation.paired import Difference, quality_differences
from lrfjax.evaluation.report import difference_cell
from lrfjax.evaluation.results import Row, by_method, read_rows

ABOUT = """\
Mean PSNR over RGB in dB at common rates in bpp, with linear interpolation of each image's curve, as
in arXiv 2408.12691; the paper's codecs at its qualities, JPEG, and the codecs of lrfjax. "Minus
published" is the difference from the published curves. The published files hold hundreds of bytes
of framing. The bytes more are the median difference in size of the smallest files, in which the
factors are equal. Differences of two codecs are those of each image: the mean with its standard
error, and in brackets the number of images on which the first one is ahead. A cell of a mean is
blank if at least one image has no point at this rate, of a difference if none has."""

PUBLISHED = {"imf-paper": "IMF", "svd-paper": "SVD", "jpeg": "JPEG"}
"""Methods by the name of the same codec in the reference."""
OWN = ("dct", "imf", "svd", "nmf")
PAIRS = (("imf-paper", "svd-paper"), ("imf-paper", "jpeg"), ("imf", "svd"), ("dct", "imf-paper"))
"""Methods whose differences are told."""
RATES = comparison.RATES
FEW = (1, 6, 20)
"""Levels of a trial run, by their place."""


def curve_rows(rows: Sequence[Row], published: comparison.Points) -> Iterator[JsonRow]:
    """Yield the mean curve of each codec, and its differences from the published one."""
    for name, own in by_method(rows).items():
        if name not in {*PUBLISHED, *OWN}:
            continue
        curve = mean_curve(own, RATES, "psnr_db", "linear")
        yield {
            "kind": "mean",
            "codec": METHODS[name].label,
            "num_images": curve.num_images,
            "bpp": RATES,
            "psnr_db": curve.mean,
        }
        points = {
            image: published[image, PUBLISHED[name]]
            for image in {Path(row.image).name for row in own}
            if name in PUBLISHED and (image, PUBLISHED[name]) in published
        }
        if not points:
            continue
        common = [row for row in own if Path(row.image).name in points]
        published_curves = [np.array(found).T for found in points.values()]
        theirs = [interpolate(rates, psnr, RATES, "linear") for rates, psnr in published_curves]
        for extra in dict.fromkeys([0, framing(common, points)]):
            longer = [replace(row, num_bytes=row.num_bytes + extra) for row in common]
            ours = mean_curve(longer, RATES, "psnr_db", "linear").mean
            yield {
                "kind": "difference",
                "codec": METHODS[name].label,
                "num_images": len(points),
                "extra_bytes": extra,
                "minus_published_db": ours - np.mean(theirs, axis=0),
            }


def pair_rows(rows: Sequence[Row]) -> Iterator[JsonRow]:
    """Yield the differences of the ``PAIRS``, image by image."""
    for name, other in PAIRS:
        found = quality_differences(rows, other, RATES, method="linear")[name]
        yield {
            "kind": "pair",
            "codec": METHODS[name].label,
            "reference": METHODS[other].label,
            "bpp": RATES,
            "images": found[0].images,
            "differences_db": [difference.values for difference in found],
        }


def framing(rows: Sequence[Row], points: dict[str, list[tuple[float, float]]]) -> int:
    """Return the median over the images of published minus own bytes of the smallest file."""
    differences = []
    for image, published in points.items():
        own = [row for row in rows if Path(row.image).name == image]
        pixels = own[0].height * own[0].width
        differences.append(min(published)[0] * pixels / 8 - min(row.num_bytes for row in own))
    return round(float(np.median(differences)))


def measure(options: argparse.Namespace) -> Rows:
    """Return the curves, their differences from the published ones, and the claims."""
    reference = options.reference / "published_kodak.csv"
    with ExitStack() as stack:
        folder = stack.enter_context(working_folder(options.work, "comparison"))
        if options.quick:
            few = {
                name: replace(method, levels=tuple(np.take(method.levels, FEW, mode="clip")))
                for name, method in METHODS.items()
            }
            stack.enter_context(
                mock.patch.multiple(comparison, METHODS=few, PAPER_JPEG_QUALITIES=FEW)
            )
        request = Request(options.data, folder, reference)
        claims = claim_rows("comparison", comparison.run(request), options.data)
        rows = read_rows(request.results)
    curves = curve_rows(rows, comparison.read_reference(reference))
    return [*curves, *pair_rows(rows), *claims]


def show(rows: Rows) -> str:
    """Return the mean curves with the differences below them, and the claims."""
    kinds = group(rows, "kind")
    differences = group(kinds.get(("difference",), []), "codec")
    lines = []
    for mean in kinds["mean",]:
        lines.append([mean["codec"], *(_cell(v, ".2f") for v in mean["psnr_db"])])
        for row in differences.get((mean["codec"],), []):
            extra = row["extra_bytes"]
            name = f"minus published, {extra} bytes more" if extra else "minus published"
            lines.append([name, *(_cell(v, "+.3f") for v in row["minus_published_db"])])
    heads = ["bpp", *(f"{rate:g}" for rate in kinds["mean",][0]["bpp"])]
    parts = [table(heads, lines), f"Means of {kinds['mean',][0]['num_images']} images."]
    lines = [
        [f"{row['codec']} minus {row['reference']}", *_pair_cells(row)]
        for row in kinds.get(("pair",), [])
    ]
    if lines:
        parts += ["Differences, image by image:", table(heads, lines)]
    return "\n\n".join([*parts, claim_table(kinds["claim",])])


def _pair_cells(row: JsonRow) -> list[str]:
    differences = [np.array(values, float) for values in row["differences_db"]]
    return [difference_cell(Difference(tuple(row["images"]), d, False)) for d in differences]


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"


BENCHMARK = Benchmark(
    "paper_comparison", ABOUT, measure, show, add_work, ("data", "reference"), ("pillow",)
)

if __name__ == "__main__":
    run(BENCHMARK)
