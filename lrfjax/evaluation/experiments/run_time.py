"""Times of encoding and decoding over the rate, one image at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from lrfjax.evaluation.experiments.base import Experiment, Finding, Outcome, Request
from lrfjax.evaluation.methods import METHODS
from lrfjax.evaluation.page import table
from lrfjax.evaluation.report import label
from lrfjax.evaluation.results import Row, by_method, read_rows
from lrfjax.evaluation.runner import evaluate
from lrfjax.evaluation.styles import curve_styles

_LEVELS = {
    "imf-paper": (3.0, 7.0, 12.0, 18.0, 25.0),
    "svd-paper": (0.6, 1.2, 2.0, 3.0),
    "jpeg": (3.0, 8.0, 15.0, 25.0, 40.0),
    "imf": (10.0, 20.0, 30.0, 40.0),
    "dct": (10.0, 20.0, 30.0, 40.0),
}
_TIMES = {"encode_ms": "encode", "decode_ms": "decode"}


def run(request: Request) -> Outcome:
    """Time single calls, warm, one image at a time."""
    methods = [
        replace(METHODS[name], levels=levels, is_batched=False) for name, levels in _LEVELS.items()
    ]
    evaluate(request.data, methods, request.results, show_progress=request.show_progress)
    rows = [r for r in read_rows(request.results) if r.method in _LEVELS and r.batch == 1]
    by_name = by_method(rows)
    lines = [
        [
            f"{label(name)}, {level:g}",
            f"{np.median([r.bpp for r in at]):.3f}",
            *(f"{np.median([_per_megapixel(r, time) for r in at]):.1f}" for time in _TIMES),
        ]
        for name, own in by_name.items()
        for level in sorted({r.level for r in own})
        for at in [[r for r in own if r.level == level]]
    ]
    note = (
        "Milliseconds per megapixel, medians over the images, of calls with one image, without "
        f"compilation, on {rows[0].device}. The levels are qualities."
    )
    heads = ["codec and level", "bpp", "encode (ms/MP)", "decode (ms/MP)"]
    medians = {
        (name, time): float(np.median([_per_megapixel(r, time) for r in own]))
        for name, own in by_name.items()
        for time in _TIMES
    }
    return Outcome(
        "Run time", [note, table(heads, lines)], _findings(medians), {"times": _draw(by_name)}
    )


def _per_megapixel(row: Row, time: str) -> float:
    return float(getattr(row, time)) / (row.height * row.width / 1e6)


def _findings(medians: dict[tuple[str, str], float]) -> list[Finding]:
    def compare(claim: str, fast: tuple[str, str], slow: tuple[str, str]) -> Finding:
        a, b = medians[fast], medians[slow]
        return Finding(claim, a < b, f"{a:.1f} against {b:.1f} ms/MP")

    return [
        compare(
            "the paper's IMF decodes faster than it encodes",
            ("imf-paper", "decode_ms"),
            ("imf-paper", "encode_ms"),
        ),
        compare(
            "JPEG encodes faster than the paper's IMF",
            ("jpeg", "encode_ms"),
            ("imf-paper", "encode_ms"),
        ),
    ]


def _draw(by_name: dict[str, list[Row]]) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.0), sharey=True, layout="constrained")
    for ax, (time, title) in zip(axes, _TIMES.items(), strict=True):
        for name, style in curve_styles(by_name).items():
            rows = by_name[name]
            levels = sorted({row.level for row in rows})
            groups: list[Sequence[Row]] = [[r for r in rows if r.level == n] for n in levels]
            ax.plot(
                [np.median([r.bpp for r in group]) for group in groups],
                [np.median([_per_megapixel(r, time) for r in group]) for group in groups],
                **style,
                markersize=3.5,
                label=label(name),
            )
        ax.set_xlabel("bit rate (bpp)")
        ax.set_ylabel(f"{title} (ms per megapixel)")
        ax.set_yscale("log")
        ax.grid(alpha=0.3, which="both")
    axes[0].legend(frameon=False)
    return figure


EXPERIMENT = Experiment("run_time", "times of encoding and decoding", run)
