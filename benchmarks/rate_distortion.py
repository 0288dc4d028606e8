"""Rate-distortion of the codecs beside JPEG, JPEG 2000, WebP and AVIF, as Pillow writes them.

    python -m benchmarks.rate_distortion --data KODAK [--effort N ...] [--out FOLDER] [--json FILE]

For each image and codec a curve of PSNR over RGB, SSIM and MS-SSIM over the bit rate, and from it
the BD-rates against JPEG: for PSNR between 0.1 and 1.5 bpp, for SSIM and MS-SSIM in decibels,
-10 log10(1 - s), below 1 bpp. Then whether our curves are above JPEG's at every rate there that
both have. JPEG with default settings, JPEG 2000 irreversible with a colour transform and rates as
targets, WebP with method 6, AVIF with speed 6.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from PIL import features
from tqdm import tqdm

import lrfjax
from benchmarks.report import environment, images
from lrfjax.evaluation.plots import method_color
from lrfjax.evaluation.rate_distortion import (
    least_margin,
    quality_at,
    restrict_rates,
    similarity_decibels,
)

SWEEP = (0.08, 1.7)  # bpp that the points are spread over, a little more than what is compared
PEER_POINTS = 16
RATE = "bit rate (bpp)"
# What is compared, and between which rates.
METRICS = {"PSNR (dB)": (0.1, 1.5), "SSIM": (0.0, 1.0), "MS-SSIM": (0.0, 1.0)}
_LINES = ("-", "--", ":", "-.")

Rows = Sequence[dict[str, Any]]
Curve = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Codec:
    """An encoder that is given a quality, and its decoder.

    Attributes:
        encode: called as ``encode(image, quality=q)``, q up to 100, with which the file grows.
        decode: called with the file.
        lowest: the least quality.
        step: qualities closer than this are not told apart.
    """

    encode: Callable[..., bytes]
    decode: Callable[[bytes], np.ndarray]
    lowest: float = 0.0
    step: float = 1.0


def ours(method: str = "imf", effort: int | None = None) -> Codec:
    """Return one of our codecs; without ``effort`` with default settings."""
    encoder = getattr(lrfjax, f"{method}_encode")
    settings = {} if effort is None else {"effort": effort}

    def encode(image: np.ndarray, quality: float) -> bytes:
        return encoder(image, quality=quality, **settings)

    return Codec(encode, getattr(lrfjax, f"{method}_decode"), step=0.25)


def pillow(format: str, lowest: float = 0.0, **settings: Any) -> Codec:
    """Return a codec of Pillow that has whole qualities up to 100."""

    def encode(image: np.ndarray, quality: float) -> bytes:
        return lrfjax.pil_encode(image, format, quality=quality, **settings)

    return Codec(encode, lrfjax.pil_decode, lowest)


def jpeg2000(color_transform: bool = True) -> Codec:
    """Return JPEG 2000, which meets rates by itself; qualities are 0.05 to 2 bpp in equal ratios.

    Pillow leaves the colour transform out unless told otherwise, which costs some 3 dB.
    """

    def encode(image: np.ndarray, quality: float) -> bytes:
        bpp = 0.05 * 40 ** (quality / 100)
        settings = {
            "quality_mode": "rates",
            "quality_layers": [8 * image.size / (image.shape[0] * image.shape[1]) / bpp],
            "irreversible": True,
            "mct": int(color_transform and image.ndim == 3),
        }
        return lrfjax.pil_encode(image, "JPEG2000", **settings)

    return Codec(encode, lrfjax.pil_decode, step=0.25)


def peers() -> dict[str, Codec]:
    """Return the codecs to compare with, AVIF among them where this Pillow has it."""
    found = {
        "JPEG": pillow("JPEG", 1.0),
        "JPEG 2000": jpeg2000(),
        "WebP": pillow("WEBP", method=6),
    }
    if features.check("avif"):
        return found | {"AVIF": pillow("AVIF", speed=6)}
    print("AVIF is left out: this Pillow was built without it")
    return found


def sweep(image: np.ndarray, codec: Codec, points: int, progress: Callable[[], Any]) -> Rows:
    """Return measurements of a codec, spread over the rates of ``SWEEP``.

    After the ends and the middle of the qualities, each point halves the stretch of them over which
    the logarithm of the rate changes most within that range.
    """
    rows: dict[float, dict[str, Any]] = {}

    def measure(quality: float) -> None:
        row = lrfjax.eval_compression(
            image, codec.encode, codec.decode, warm_up=False, quality=quality
        )
        rows[quality] = {"quality": quality, **{key: row[key] for key in (RATE, *METRICS)}}
        progress()

    middle = codec.step * round((codec.lowest + 100) / 2 / codec.step)
    measure(codec.lowest)
    measure(middle)
    if rows[middle][RATE] < SWEEP[1]:  # otherwise the upper half has nothing of interest
        measure(100.0)
    for _ in range(points):
        tried = np.array(sorted(rows))
        rates = np.log(np.clip([rows[q][RATE] for q in tried], *SWEEP))
        gaps = np.where(np.diff(tried) >= 2 * codec.step, np.diff(rates), 0.0)
        widest = int(np.argmax(gaps))
        if gaps[widest] <= 0:
            break
        measure(codec.step * round(tried[widest : widest + 2].mean() / codec.step))
    return [rows[quality] for quality in sorted(rows)]


def curve(rows: Rows, metric: str) -> Curve:
    """Return the finite points of a curve, similarities in decibels."""
    rates = np.array([row[RATE] for row in rows])
    values = np.array([row[metric] for row in rows])
    if metric != "PSNR (dB)":
        values = similarity_decibels(values)
    return rates[np.isfinite(values)], values[np.isfinite(values)]


def print_bd_rates(results: dict[str, dict[str, Rows]]) -> dict[str, dict[str, list[float]]]:
    """Print, and return by metric and codec, the BD-rates against JPEG in percent."""
    found: dict[str, dict[str, list[float]]] = {}
    for metric, limits in METRICS.items():
        names = [name for name in next(iter(results.values())) if name != "JPEG"]
        between = f"{limits[0]:g} to {limits[1]:g}" if limits[0] else f"at most {limits[1]:g}"
        print(f"\nBD-rate against JPEG in percent, {metric}, {between} bpp")
        print(f"{'image':<12}" + "".join(f"{name:>15}" for name in names))
        table: dict[str, list[float]] = {name: [] for name in names}
        for stem, curves in results.items():
            anchor = restrict_rates(*curve(curves["JPEG"], metric), *limits)
            for name in names:
                part = restrict_rates(*curve(curves[name], metric), *limits)
                table[name].append(lrfjax.bd_rate(*anchor, *part))
            print(f"{stem:<12}" + "".join(f"{table[name][-1]:>+15.1f}" for name in names))
        print(f"{'mean':<12}" + "".join(f"{np.mean(table[name]):>+15.1f}" for name in names))
        found[metric] = table
    return found


def print_margins(results: dict[str, dict[str, Rows]], name: str) -> dict[str, dict[str, Any]]:
    """Print, and return by image and metric, whether one of our codecs is ahead of JPEG."""
    print(f"\n{name} minus JPEG at equal rate, where that is least (similarities in dB)")
    print(f"{'image':<12}" + "".join(f"{metric:>18}{'compared':>16}" for metric in METRICS))
    found: dict[str, dict[str, Any]] = {}
    ahead = dict.fromkeys(METRICS, 0)
    for stem, curves in results.items():
        line, found[stem] = f"{stem:<12}", {}
        for metric, limits in METRICS.items():
            margin = least_margin(
                *curve(curves["JPEG"], metric), *curve(curves[name], metric), *limits
            )
            found[stem][metric] = asdict(margin)
            ahead[metric] += margin.least >= 0
            line += f"{margin.least:>+9.3f} at {margin.rate:.3f}"
            compared = f"{margin.low:.2f}-{margin.high:.2f}"
            line += f"{compared:>10}{'ahead' if margin.least >= 0 else 'BEHIND':>7}"
        print(line)
    counts = ", ".join(f"{metric} {count}" for metric, count in ahead.items())
    print(f"ahead at every rate on so many of {len(results)} images: {counts}")
    return found


def draw(results: dict[str, dict[str, Rows]], target: Path) -> None:
    """Draw the means over the images, at the rates at which every image has a point."""
    grid = np.geomspace(*METRICS["PSNR (dB)"], 200)
    figure, axes = plt.subplots(1, 2, figsize=(10.4, 4.4), layout="constrained")
    names = list(next(iter(results.values())))
    for ax, metric in zip(axes, ("PSNR (dB)", "MS-SSIM"), strict=True):
        efforts = 0  # curves of one method share its colour and differ in the line
        for name in names:
            efforts += " effort " in name
            style = _LINES[efforts % len(_LINES)] if " effort " in name else "-"
            color = method_color(name)
            values = [quality_at(*curve(curves[name], metric), grid) for curves in results.values()]
            ax.plot(grid, np.mean(values, axis=0), style, label=name, color=color)
        ax.set_xlabel("bit rate (bpp)")
        ax.set_xlim(0, grid[-1])
        ax.grid(alpha=0.3)
    count = len(results)
    axes[0].set_ylabel(f"PSNR over RGB (dB), mean of {count} image{'s' * (count > 1)}")
    axes[1].set_ylabel(r"MS-SSIM as $-10\,\log_{10}(1 - s)$ (dB)")
    axes[0].legend(frameon=False)
    figure.savefig(target, dpi=100)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--effort", type=int, nargs="+", default=[], help="one more curve for each")
    parser.add_argument("--methods", default="imf", help="any of imf, svd, nmf; imf by default")
    parser.add_argument("--images", type=int, help="only the first so many")
    parser.add_argument("--points", type=int, default=12, help="of our curves, about")
    parser.add_argument("--out", type=Path, help="folder for rate_distortion_codecs.png")
    parser.add_argument("--json", type=Path, help="file for all points, BD-rates and margins")
    options = parser.parse_args()

    print(environment("pillow"))
    own = {method.upper(): ours(method) for method in options.methods.split(",")}
    own |= {f"IMF effort {n}": ours("imf", n) for n in options.effort}
    paths = images(options.data)[: options.images]
    results: dict[str, dict[str, Rows]] = {}
    plan = {name: (codec, options.points) for name, codec in own.items()}
    plan |= {name: (codec, PEER_POINTS) for name, codec in peers().items()}
    most = sum(3 + points for _, points in plan.values())  # for one image
    with tqdm(total=len(paths) * most, leave=False) as bar:
        for number, path in enumerate(paths, 1):
            image = lrfjax.read_image(path)
            results[path.stem] = {}
            for name, (codec, points) in plan.items():
                bar.set_description(f"{path.stem} {name}")
                results[path.stem][name] = sweep(image, codec, points, bar.update)
            bar.n = number * most  # some curves need fewer points
    bd_rates = print_bd_rates(results)
    margins = {name: print_margins(results, name) for name in own}
    if options.json:
        found = {"curves": results, "bd_rates": bd_rates, "margins": margins}
        options.json.write_text(json.dumps(found, indent=1))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        draw(results, options.out / "rate_distortion_codecs.png")


if __name__ == "__main__":
    main()
