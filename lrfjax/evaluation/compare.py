"""The `lrfjax compare` job: three solvers and four codecs on one image."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np

from lrfjax.codec.decode import imf_decode, nmf_decode, svd_decode
from lrfjax.codec.encode import imf_encode, nmf_encode, svd_encode
from lrfjax.codec.layout import to_matrices
from lrfjax.codec.pil import pil_decode, pil_encode
from lrfjax.codec.settings import make_layout
from lrfjax.evaluation.measure import eval_compression
from lrfjax.evaluation.plots import (
    nearest_rate,
    plot_convergence,
    plot_rate_distortion,
    vis_collage,
)
from lrfjax.evaluation.rate_distortion import bd_rate
from lrfjax.image.reading import write_atomically
from lrfjax.solvers.factorize import imf, nmf, svd
from lrfjax.types import Result, Status

TARGET_BPPS = (0.15, 0.25, 0.5)
SOLVER_RANK = 16
_TOLERANCE = 1e-4
_MAX_BPP = 0.75
_RANKS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28, 32)
_JPEG_QUALITIES = (0, 3, 5, 7, 9, 12, 15, 18, 22, 26, 31, 37, 44, 52, 60, 70, 80)

_CODECS: dict[str, tuple[Callable[..., bytes], Callable[..., np.ndarray], str, tuple[int, ...]]] = {
    "IMF": (imf_encode, imf_decode, "rank", _RANKS),
    "SVD": (svd_encode, svd_decode, "rank", _RANKS),
    "NMF": (nmf_encode, nmf_decode, "rank", _RANKS),
    "JPEG": (pil_encode, pil_decode, "quality", _JPEG_QUALITIES),
}


@dataclass(frozen=True)
class SolverRow:
    """One solver on the luma patch matrix.

    Attributes:
        result: from the solver.
        milliseconds: of a second call, which compiles nothing.
    """

    result: Result
    milliseconds: float


@dataclass(frozen=True)
class Comparison:
    """What `compare_image` found.

    Attributes:
        image: shape (H, W) or (H, W, 3), uint8.
        rank: of the solvers.
        svd_bound: relative error of the truncated SVD of that rank, which no factorization beats.
        solvers: by name.
        curves: for each codec, rows of ``eval_compression`` with the decoded images.
    """

    image: np.ndarray
    rank: int
    svd_bound: float
    solvers: dict[str, SolverRow]
    curves: dict[str, list[dict[str, Any]]]

    def bd_rates(self) -> dict[str, float]:
        """The BD-rate of each codec against JPEG, in percent (PSNR, PCHIP).

        Points without any error, at infinite PSNR, have no place on a curve.
        """
        points = {}
        for name, rows in self.curves.items():
            lossy = [row for row in rows if np.isfinite(row["PSNR (dB)"])]
            points[name] = (
                [row["bit rate (bpp)"] for row in lossy],
                [row["PSNR (dB)"] for row in lossy],
            )
        return {name: bd_rate(*points["JPEG"], *curve) for name, curve in points.items()}


def num_steps() -> int:
    """Return how often ``compare_image`` calls ``progress``, at most."""
    return 3 + sum(len(levels) for *_, levels in _CODECS.values())


def compare_image(image: np.ndarray, progress: Callable[[str], None]) -> Comparison:
    """Run every solver on the luma of an image, and every codec over its range of rates.

    Args:
        image: shape (H, W) or (H, W, 3), uint8.
        progress: called with what was just done, after each step.
    """
    layout = make_layout(image.shape, "YCbCr", (0.5, 0.5), True, (8, 8))
    luma = to_matrices(image, layout=layout)[0]
    rank = min(SOLVER_RANK, *luma.shape)
    calls: dict[str, Callable[[], Result]] = {
        "IMF": lambda: imf(luma, rank, num_iters=100, tol=_TOLERANCE),
        "NMF": lambda: nmf(luma, rank, num_iters=400, tol=_TOLERANCE),
        "SVD": lambda: svd(luma, rank),
    }
    solvers = {}
    for name, call in calls.items():
        jax.block_until_ready(call())
        start = time.perf_counter()
        result = jax.block_until_ready(call())
        solvers[name] = SolverRow(result, 1e3 * (time.perf_counter() - start))
        progress(f"solve {name}")
    curves: dict[str, list[dict[str, Any]]] = {}
    for name, (encoder, decoder, parameter, levels) in _CODECS.items():
        curves[name] = []
        for level in levels:
            is_small = parameter == "rank" and level > min(layout.matrix_shapes[0])
            if is_small or (curves[name] and curves[name][-1]["bit rate (bpp)"] > _MAX_BPP):
                break
            setting: dict[str, Any] = {parameter: level}
            row = eval_compression(image, encoder, decoder, True, **setting)
            curves[name].append(row)
            progress(f"{name} {parameter} {level}")
    bound = float(solvers["SVD"].result.history.relative_error[-1])
    return Comparison(image, rank, bound, solvers, curves)


def format_tables(comparison: Comparison) -> str:
    """Return what was found as text."""
    rows, columns = comparison.image.shape[:2]
    lines = [
        f"Solvers on the luma patch matrix, rank {comparison.rank} "
        f"(stop when a sweep gains less than {_TOLERANCE:g} of the objective)",
        "",
        f"  {'solver':<8}{'relative error':>15}{'SVD bound':>11}{'sweeps':>8}{'time':>10}  status",
    ]
    for name, row in comparison.solvers.items():
        result = row.result
        status = Status(int(result.status)).name.lower().replace("_", " ")
        lines.append(
            f"  {name:<8}{float(result.history.relative_error[-1]):>15.5f}"
            f"{comparison.svd_bound:>11.5f}{int(result.num_iters):>8}"
            f"{row.milliseconds:>7.1f} ms  {status}"
        )
    lines += [
        "",
        f"Codecs on {columns} x {rows} pixels, the setting nearest to each bit rate",
        "",
        f"  {'codec':<8}{'target':>7}{'bpp':>8}{'PSNR':>10}{'SSIM':>8}{'encode':>11}{'decode':>11}",
    ]
    for target in TARGET_BPPS:
        for name, curve in comparison.curves.items():
            best = nearest_rate(curve, target)
            off = best["bit rate (bpp)"] / target
            note = "" if 0.8 <= off <= 1.25 else "  (as near as it comes)"
            lines.append(
                f"  {name:<8}{target:>7.2f}{best['bit rate (bpp)']:>8.3f}"
                f"{best['PSNR (dB)']:>7.2f} dB{best['SSIM']:>8.4f}"
                f"{best['encoding time (ms)']:>8.1f} ms{best['decoding time (ms)']:>8.1f} ms{note}"
            )
        lines.append("")
    lines += ["BD-rate against JPEG (PSNR, PCHIP; negative needs fewer bits)", ""]
    for name, value in comparison.bd_rates().items():
        if name != "JPEG":
            text = "no common interval" if np.isnan(value) else f"{value:+.1f} %"
            lines.append(f"  {name:<8}{text}")
    return "\n".join(lines)


def write_pictures(comparison: Comparison, folder: Path) -> list[Path]:
    """Write rate_distortion.png, convergence.png and collage.png, and return their paths.

    Args:
        comparison: from ``compare_image``.
        folder: an existing folder.
    """
    solvers = {n: r.result for n, r in comparison.solvers.items() if n != "SVD"}
    bound = {f"SVD bound, rank {comparison.rank}": comparison.svd_bound}
    figures = {
        "rate_distortion.png": plot_rate_distortion(comparison.curves),
        "convergence.png": plot_convergence(solvers, bound),
        "collage.png": vis_collage(
            comparison.curves, TARGET_BPPS, comparison.image, _central_crop(comparison.image)
        ),
    }
    paths = []
    for name, figure in figures.items():
        path = folder / name
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=100, format="png")
        plt.close(figure)
        write_atomically(path, buffer.getvalue())
        paths.append(path)
    return paths


def _central_crop(image: np.ndarray, size: int = 240) -> tuple[slice, slice]:
    """Return the part of an image that shows at full resolution in a cell of the collage."""
    height, width = image.shape[:2]
    top, left = max((height - size) // 3, 0), max((width - size) // 2, 0)
    return slice(top, top + size), slice(left, left + size)
