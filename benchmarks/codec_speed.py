"""Speed of the DCT dictionary and of IMF against JPEG, WebP, JPEG 2000 and AVIF in Pillow.

python -m benchmarks.codec_speed --data KODAK
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.codecs import Codec, jpeg2000, ours, peers, pillow
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import alternate, geometric_mean, images, seconds
from lrfjax.evaluation.page import table

ABOUT = """\
Each codec has the setting whose rate is nearest to a common bit rate, 0.5 bpp by default, found for
each image beforehand. Times are means over the images of medians of warm calls in ms; the codecs
take turns. The first call is that on the first image, with all compiled programs dropped. A ratio
is the time of the DCT dictionary over that of another codec, a geometric mean over the images."""

OWN = "DCT dictionary"
VERBS = ("encode", "decode")
COMPARED = {"encode": ("AVIF",), "decode": ("JPEG 2000", "JPEG 2000, RGB")}
"""The codecs to whose times those of the DCT dictionary are compared."""


def codecs() -> dict[str, Codec]:
    """Return the codecs to time: lrfjax's, the peers, and two of them with Pillow's defaults."""
    found = {OWN: ours(lrfjax.DCTCodec()), "IMF": ours(lrfjax.IMFCodec()), **peers()}
    found["WebP, method 6"] = found.pop("WebP")
    found["WebP"] = pillow("WEBP")
    found["JPEG 2000, RGB"] = jpeg2000(color_transform=False)
    return dict(sorted(found.items(), key=lambda item: (item[0] != OWN, item[0])))


def nearest_file(image: np.ndarray, codec: Codec, bpp: float) -> tuple[float, bytes]:
    """Return the setting whose rate is nearest to ``bpp`` in ratio and its file, by bisection."""
    files: dict[float, bytes] = {}
    low, high = codec.lowest, 100.0
    while high - low >= 2 * codec.step:
        middle = codec.step * round((low + high) / 2 / codec.step)
        files[middle] = codec.encode(image, quality=middle)
        if lrfjax.bits_per_pixel(image.shape, files[middle]) < bpp:
            low = middle
        else:
            high = middle

    def distance(quality: float) -> float:
        return abs(np.log(lrfjax.bits_per_pixel(image.shape, files[quality]) / bpp))

    best = min(files, key=distance)
    return best, files[best]


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each image and codec; first calls are in those of the first image."""
    chosen = codecs()
    rows: list[Row] = []
    paths = images(options.data)[: 1 if options.quick else options.images]
    for number, path in enumerate(tqdm(paths, leave=False)):
        image = lrfjax.read_image(path)
        files = {name: nearest_file(image, codec, options.bpp) for name, codec in chosen.items()}
        calls: dict[tuple[str, str], Callable[[], Any]] = {}
        for name, codec in chosen.items():
            quality, file = files[name]
            calls[name, "encode"] = partial(codec.encode, image, quality=quality)
            calls[name, "decode"] = partial(codec.decode, file)
        first: dict[tuple[str, str], float] = {}
        for name in chosen if number == 0 else ():
            if not options.quick:
                jax.clear_caches()
            first |= {(name, verb): seconds(calls[name, verb]) for verb in VERBS}
        times = alternate(calls, 1 if options.quick else options.repeats)
        for name, (quality, file) in files.items():
            rows.append(
                {
                    "codec": name,
                    "image": path.stem,
                    "target_bpp": options.bpp,
                    "quality": quality,
                    "bpp": lrfjax.bits_per_pixel(image.shape, file),
                    "psnr_db": float(lrfjax.psnr(image, chosen[name].decode(file))),
                    **{f"{verb}_s": times[name, verb] for verb in VERBS},
                    **{f"first_{verb}_s": first.get((name, verb)) for verb in VERBS},
                }
            )
    return rows


def by_codec(rows: Rows) -> dict[str, list[Row]]:
    """Return the rows by codec."""
    return {name: found for (name,), found in group(rows, "codec").items()}


def ratio_to(other: str, verb: str, codecs: Mapping[str, Sequence[Row]]) -> float:
    """Return the DCT dictionary's time over another codec's, a geometric mean over the images."""
    pairs = zip(codecs[OWN], codecs[other], strict=True)
    return geometric_mean([own[f"{verb}_s"] / peer[f"{verb}_s"] for own, peer in pairs])


def show(rows: Rows) -> str:
    """Return times, rates and PSNR by codec, and the ratios."""
    codecs = by_codec(rows)
    lines = []
    for name, found in codecs.items():
        times = [f"{1e3 * np.mean([row[f'{verb}_s'] for row in found]):.1f}" for verb in VERBS]
        rate, psnr = (np.mean([row[key] for row in found]) for key in ("bpp", "psnr_db"))
        first = [f"{1e3 * found[0][f'first_{verb}_s']:.0f}" for verb in VERBS]
        lines.append([name, *times, f"{rate:.3f}", f"{psnr:.2f}", *first])
    heads = ["", *VERBS, "bpp", "PSNR (dB)", *(f"first {verb}" for verb in VERBS)]
    ratios = [
        f"{ratio_to(other, verb, codecs):.2f} to {other} ({verb})"
        for verb, others in COMPARED.items()
        for other in others
        if other in codecs
    ]
    count = len(codecs[OWN])
    return "\n\n".join(
        [
            f"{count} image{'s' * (count > 1)} near {rows[0]['target_bpp']:g} bpp:",
            table(heads, lines),
            f"Ratios: {', '.join(ratios)}.",
        ]
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bit rate, the number of images and the number of repeats."""
    parser.add_argument("--bpp", type=float, default=0.5, help="common bit rate")
    parser.add_argument("--images", type=int, default=3, help="number of images from the first")
    parser.add_argument("--repeats", type=int, default=9, help="timed calls of each codec")


BENCHMARK = Benchmark("codec_speed", ABOUT, measure, show, add_arguments, packages=("pillow",))

if __name__ == "__main__":
    run(BENCHMARK)
