"""How closely the codecs meet a target rate or PSNR, and in how many attempts.

python -m benchmarks.targets --data KODAK
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import images
from lrfjax.errors import InputError
from lrfjax.evaluation.page import table

ABOUT = """\
Square crops of photographs, encoded with `target_bpp` and `target_psnr`. A rate is met if the file
is not larger and at most 2 % smaller, a PSNR if it is at most 0.1 dB off. `refused` are targets
that end in an error, which states the nearest PSNR or the least size. `off` is the largest
deviation of the files. `attempts` are encodings, the mean and the largest number. The DCT
dictionary has all targets on all crops, the others one rate and one PSNR for each crop."""

SIZES = (64, 96, 128, 192, 256)
TARGETS = {"bpp": (0.25, 0.5, 1.0, 2.0), "dB": (30.0, 35.0, 40.0, 45.0, 55.0)}
ARGUMENTS = {"bpp": "target_bpp", "dB": "target_psnr"}
CODECS: dict[str, Callable[..., bytes]] = {
    "DCT dictionary": lrfjax.dct_encode,
    "SVD": lrfjax.svd_encode,
    "IMF": lrfjax.imf_encode,
    "NMF": lrfjax.nmf_encode,
}
FIRST = next(iter(CODECS))


class Attempts:
    """Counts the encodings of searches for a target."""

    def __init__(self) -> None:
        self.count = 0
        self.module = importlib.import_module("lrfjax.codec.file_codec")
        self.originals = {n: getattr(self.module, n) for n in ("meet_bytes", "meet_psnr")}

    def __enter__(self) -> Attempts:
        for name, meet in self.originals.items():
            setattr(self.module, name, partial(self._meet, meet))
        return self

    def __exit__(self, *_: object) -> None:
        for name, meet in self.originals.items():
            setattr(self.module, name, meet)

    def _meet(self, meet: Callable[..., Any], encode: Callable[..., Any], target: float) -> Any:
        self.count = 0

        def counted(*arguments: float) -> Any:
            self.count += 1
            return encode(*arguments)

        return meet(counted, target)


def crops(data: Path, quick: bool) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield the name of each image, and crops from its middle with their sizes."""
    for path in images(data)[: 1 if quick else None]:
        image = lrfjax.read_image(path)
        for size in SIZES[: 1 if quick else None]:
            top, left = ((n - size) // 2 for n in image.shape[:2])
            yield path.stem, size, image[top : top + size, left : left + size]


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each codec, crop and target."""
    rows: list[Row] = []
    names = list(CODECS)[: 2 if options.quick else None]
    all_crops = list(crops(options.data, options.quick))
    with Attempts() as attempts:
        for name in names:
            for number, (stem, size, image) in enumerate(tqdm(all_crops, desc=name, leave=False)):
                for unit, targets in TARGETS.items():
                    everything = name == FIRST and not options.quick
                    for target in targets if everything else [targets[number % len(targets)]]:
                        row: Row = {"codec": name, "image": stem, "size": size}
                        row |= outcome(name, image, unit, target)
                        rows.append(row | {"attempts": attempts.count})
    return rows


def outcome(name: str, image: np.ndarray, unit: str, target: float) -> Row:
    """Return what a codec makes of a target: the rate or PSNR of the file, or the error."""
    row: Row = {"unit": unit, "target": target, "found": None, "refused": None}
    try:
        encoded = CODECS[name](image, **{ARGUMENTS[unit]: target})
    except InputError as error:
        return row | {"refused": str(error)}
    if unit == "bpp":
        return row | {"found": lrfjax.bits_per_pixel(image.shape, encoded)}
    return row | {"found": float(lrfjax.psnr(image, lrfjax.decode(encoded)))}


def deviation(row: Row) -> float:
    """Return how far a file is from its target: as a share of the rate, or in dB."""
    difference = float(row["found"] - row["target"])
    return difference / row["target"] if row["unit"] == "bpp" else difference


def is_met(row: Row) -> bool:
    """Return whether a file meets its target."""
    off = deviation(row)
    return -0.02 <= off <= 0 if row["unit"] == "bpp" else abs(off) <= 0.1


def show(rows: Rows) -> str:
    """Return a table with a line for each codec and kind of target."""
    lines = []
    for (codec, unit), found in group(rows, "codec", "unit").items():
        files = [row for row in found if row["found"] is not None]
        worst = max(map(deviation, files), key=abs, default=0.0)
        counts = [row["attempts"] for row in found]
        lines.append(
            [
                codec,
                unit,
                str(len(found)),
                str(sum(map(is_met, files))),
                str(len(files) - sum(map(is_met, files))),
                str(len(found) - len(files)),
                f"{worst:+.1%}" if unit == "bpp" else f"{worst:+.2f}",
                f"{np.mean(counts):.1f}",
                str(max(counts)),
            ]
        )
    heads = ["codec", "unit", "targets", "met", "missed", "refused", "off", "attempts", "most"]
    return table(heads, lines)


BENCHMARK = Benchmark("targets", ABOUT, measure, show)

if __name__ == "__main__":
    run(BENCHMARK)
