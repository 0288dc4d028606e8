"""The small table of README.md, "How it compares", from the stored rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import codec_speed, rate_distortion
from benchmarks.harness import Rows, group, read
from benchmarks.report import geometric_mean
from lrfjax.evaluation.page import table


def _fidelity(rows: Rows) -> list[str]:
    points = group(rows, "kind")["codec",]
    gain = np.mean([row["psnr_minus_published_db"] for row in points])
    rate = np.mean([row["rate_over_published"] for row in points])
    images = len({row["image"] for row in points})
    return [
        f"The published codec on {images} Kodak images",
        f"{gain:+.2f} dB at {rate:.2f} of the published bytes",
    ]


def _solver(rows: Rows) -> list[str]:
    ratios = [row["over_lrfjax"] for row in rows if row["program"] == "PyTorch, as published"]
    ranks = sorted({row["rank"] for row in rows})
    return [
        f"IMF, ten sweeps, ranks {ranks[0]} to {ranks[-1]}: the published steps in eager PyTorch",
        f"{geometric_mean(ratios):.1f} times as fast",
    ]


def _nmf(rows: Rows) -> list[str]:
    ratios = [row["peer_over_lrfjax"] for row in rows if row["variant"] == "nmf"]
    return [
        "NMF to the same objective: scikit-learn",
        f"{geometric_mean(ratios):.0f} times as fast",
    ]


def _rate(rows: Rows) -> list[str]:
    curves = rate_distortion.by_image(rows).values()
    named = {"IMF": "default codec", "WebP": "WebP", "JPEG 2000": "JPEG 2000", "AVIF": "AVIF"}
    parts = []
    for codec, label in named.items():
        if all(codec in each for each in curves):
            mean = np.mean([rate_distortion.bd_rates(each, codec, "psnr_db") for each in curves])
            parts.append(f"{label} {mean:+.0f} %")
    return ["Bits at equal PSNR: JPEG (BD-rate)", ", ".join(parts)]


def _speed(rows: Rows) -> list[str]:
    codecs = {name: found for (name,), found in group(rows, "codec").items()}
    own = codecs[codec_speed.OWN]

    def ratio(other: str, verb: str) -> float:
        pairs = zip(own, codecs[other], strict=True)
        return geometric_mean([a[f"{verb}_s"] / b[f"{verb}_s"] for a, b in pairs])

    return [
        "Time of the default codec: AVIF to encode, JPEG 2000 to decode",
        f"{ratio('AVIF', 'encode'):.1f} and {ratio('JPEG 2000', 'decode'):.1f} times as long",
    ]


_LINES: dict[str, Callable[[Rows], list[str]]] = {
    "fidelity": _fidelity,
    "solver_speed": _solver,
    "nmf_speed": _nmf,
    "rate_distortion": _rate,
    "codec_speed": _speed,
}


def summary(folder: Path) -> str:
    """Return the table as Markdown.

    Args:
        folder: folder of ``results``; all benchmarks of the table are there.
    """
    results = folder / "results"
    lines = [line(read(results / f"{name}.json")["rows"]) for name, line in _LINES.items()]
    return table(["compared with", "lrfjax"], lines)
