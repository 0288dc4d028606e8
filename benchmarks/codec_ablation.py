"""What each part of the codecs is worth: BD-rates with parts left out.

python -m benchmarks.codec_ablation --data KODAK
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import images
from lrfjax.codec.dictionary import encode as dictionary_encode
from lrfjax.codec.dictionary import tiles
from lrfjax.codec.dictionary.atoms import ATOMS
from lrfjax.codec.entropy import magnitudes
from lrfjax.codec.learned import fit as basis_fit
from lrfjax.codec.learned import solvers as basis_solvers
from lrfjax.codec.learned.basis import Basis
from lrfjax.evaluation.page import table
from lrfjax.evaluation.paired import Difference
from lrfjax.evaluation.rate_distortion import restrict_rates
from lrfjax.evaluation.report import difference_cell

ABOUT = """\
BD-rates against Pillow's JPEG in percent: PSNR over RGB, log-rate over PSNR by PCHIP, 0.1 to
1.5 bpp, means over the images. Each row changes one thing of `DCTCodec(effort=2)` or, from the row
of IMF on, of `IMFCodec()`, so the rows do not add up. The last column has the difference from the
default, image by image, in percentage points: the mean with its standard error, and in brackets the
number of images on which the variant needs fewer bits. Positive
numbers mean more bits."""

RATES = (0.1, 1.5)
QUALITIES = (8, 15, 23, 31, 39, 46, 54, 60)
JPEG_QUALITIES = (1, 4, 8, 12, 18, 25, 35, 50, 65, 78, 86, 92)
DEFAULT = "effort 2 (default)"
LEARNED = "IMF"


@dataclass(frozen=True)
class Variant:
    """The codec with one thing changed.

    Attributes:
        settings: arguments of ``encode``.
        change: returns a context in which a part of the encoder is replaced.
        encode: the codec.
        of: name of the variant without the change.
    """

    settings: dict[str, Any]
    change: Callable[[], AbstractContextManager[Any]] = nullcontext
    encode: Callable[..., bytes] = lrfjax.dct_encode
    of: str = DEFAULT


def round_with_dead_zone(
    targets: np.ndarray,
    classes: np.ndarray,
    bits: np.ndarray,
    lagrangian: float,
    skip: int = 0,
    price: np.ndarray | None = None,
) -> tuple[np.ndarray, float, float]:
    """Replace ``magnitudes.decide``: round up only from 0.66 on, without regard to the rate."""
    values = np.floor(targets + 0.34).astype(np.int32) * (classes >= skip)
    values = np.minimum(values, magnitudes.MAX_ENTRY)
    return values, 0.0, float(np.sum(values * (2 * targets - values)))


def step_within_planes(x: np.ndarray, u: np.ndarray, basis: Basis, lagrangian: float) -> Basis:
    """Replace ``basis_solvers.rate_step``: columns of V stay within their plane."""
    count = len(ATOMS)
    stored = basis.stored.copy()
    for plane in range(basis.planes):
        rows = slice(plane * count, (plane + 1) * count)
        one = slice(plane, plane + 1)
        own = Basis(basis.stored[rows, rows], 1, basis.unit_bits)
        stored[rows, rows] = basis_solvers.rate_step(x[one], u[one], own, lagrangian).stored
    return Basis(stored, basis.planes, basis.unit_bits)


# The encoder has no settings for these parts. ``patch.object`` raises if a name is gone, and
# ``measure`` exits if a replacement has no effect on the files.
VARIANTS = {
    "effort 1: one dictionary, one pass": Variant({"effort": 1}),
    DEFAULT: Variant({"effort": 2}),
    "effort 3: choice by cost": Variant({"effort": 3}),
    "without deblocking": Variant(
        {"effort": 2}, lambda: mock.patch.object(dictionary_encode, "DEBLOCKING", 0)
    ),
    "without restoration": Variant(
        {"effort": 2}, lambda: mock.patch.object(dictionary_encode, "RESTORATION", 0)
    ),
    "one pass: without prices for contexts": Variant(
        {"effort": 2}, lambda: mock.patch.object(tiles, "rate_gradient", return_value=None)
    ),
    "dead zone instead of rate": Variant(
        {"effort": 2}, lambda: mock.patch.object(magnitudes, "decide", round_with_dead_zone)
    ),
    "YCbCr instead of rotated": Variant({"effort": 2, "color_space": "YCbCr"}),
    "RGB instead of rotated": Variant({"effort": 2, "color_space": "RGB"}),
    LEARNED: Variant({}, encode=lrfjax.imf_encode),
    "IMF, V stays the dictionary": Variant({"num_iters": 0}, encode=lrfjax.imf_encode),
    "IMF, twice the alternations": Variant({"num_iters": 6}, encode=lrfjax.imf_encode),
    "IMF, one dictionary to start from": Variant({"effort": 1}, encode=lrfjax.imf_encode),
    "IMF, V within the planes": Variant(
        {},
        lambda: mock.patch.object(basis_fit, "rate_step", step_within_planes),
        lrfjax.imf_encode,
        LEARNED,
    ),
    "SVD": Variant({}, encode=lrfjax.svd_encode),
}

Curve = tuple[np.ndarray, np.ndarray]


def part(image: np.ndarray, files: list[bytes], decode: Callable[[bytes], np.ndarray]) -> Curve:
    """Return rates and PSNR of the files of an image, between ``RATES``."""
    rates = [lrfjax.bits_per_pixel(image.shape, file) for file in files]
    psnr = [float(lrfjax.psnr(image, decode(file))) for file in files]
    return restrict_rates(rates, psnr, *RATES)


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each image and variant."""
    chosen = dict(list(VARIANTS.items())[: options.variants])
    paths = images(options.data)[: 1 if options.quick else options.images]
    qualities = QUALITIES[1:7:3] if options.quick else QUALITIES
    rows: list[Row] = []
    with tqdm(total=len(paths) * len(chosen), unit="curve", leave=False) as bar:
        for path in paths:
            image = lrfjax.read_image(path)
            jpeg = [lrfjax.pil_encode(image, "JPEG", quality=q) for q in JPEG_QUALITIES]
            anchor = part(image, jpeg, lrfjax.pil_decode)
            encoded: dict[str, list[bytes]] = {}
            for name, variant in chosen.items():
                bar.set_postfix_str(f"{path.stem}, {name}")
                with variant.change():
                    encoded[name] = [
                        variant.encode(image, quality=q, **variant.settings) for q in qualities
                    ]
                # In a trial run, files of a tiny image may be equal.
                is_patched = variant.change is not nullcontext and not options.quick
                if is_patched and encoded[name] == encoded.get(variant.of):
                    raise SystemExit(f"{path.name}: {name!r} changed nothing in any file")
                curve = part(image, encoded[name], lrfjax.decode)
                rows.append(
                    {
                        "image": path.stem,
                        "variant": name,
                        "bd_rate_percent": lrfjax.bd_rate(*anchor, *curve),
                        "num_bytes": [len(file) for file in encoded[name]],
                    }
                )
                bar.update()
    return rows


def show(rows: Rows) -> str:
    """Return the mean BD-rate of each variant and its difference from the default."""
    values = {
        name: np.array([row["bd_rate_percent"] for row in found], float)
        for (name,), found in group(rows, "variant").items()
    }
    lines = []
    for name, own in values.items():
        mean = own.mean()
        cells = ["" if np.isnan(mean) else f"{mean:+.1f} %"]
        if DEFAULT in values:
            names = tuple(row["image"] for row in rows if row["variant"] == name)
            difference = Difference(names, own - values[DEFAULT], lower_is_better=True)
            cells.append(difference_cell(difference, 1) if name != DEFAULT else "")
        lines.append([name, *cells])
    heads = ["", "BD-rate", *(["minus default"] if DEFAULT in values else [])]
    count = len(next(iter(values.values())))
    return f"{count} image{'s' * (count > 1)}:\n\n" + table(heads, lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the numbers of images and variants."""
    parser.add_argument("--images", type=int, help="number of images from the first")
    parser.add_argument("--variants", type=int, help="number of variants from the first")


BENCHMARK = Benchmark("codec_ablation", ABOUT, measure, show, add_arguments, packages=("pillow",))

if __name__ == "__main__":
    run(BENCHMARK)
