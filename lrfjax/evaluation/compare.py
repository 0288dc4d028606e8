"""The work of `lrfjax compare`: three solvers and six codecs on one image."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from lrfjax.codec.codecs.paper_imf import PaperIMFCodec
from lrfjax.codec.published.layout import to_matrices
from lrfjax.evaluation.bjontegaard import bd_rate
from lrfjax.evaluation.measure import eval_compression
from lrfjax.evaluation.methods import METHODS, Method
from lrfjax.evaluation.pictures import nearest_rate, vis_collage
from lrfjax.evaluation.plots import plot_convergence, plot_rate_distortion
from lrfjax.evaluation.rate_distortion import restrict_rates
from lrfjax.image.writing import write_atomically
from lrfjax.solvers.presets import imf, nmf, svd
from lrfjax.types import Result, Status

TARGET_BPPS = (0.15, 0.25, 0.5)
COLLAGE_BPPS = (0.15, 0.25)
SOLVER_RANK = 16
PICTURES = ("rate_distortion.png", "convergence.png", "collage.png")
BD_RATES = (0.1, 1.5)
"""Range of the BD-rates in bpp; the curves end at the upper limit."""

_TOLERANCE = 1e-4
_REFINEMENTS, _NEAR = 2, 0.03
_RATE, _PSNR = "bit rate (bpp)", "PSNR (dB)"

_RANKS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 16, 20, 25, 32)
PAPER = METHODS["imf-paper"].label

# Few, since a learned V takes seconds a setting; more follow near the targets.
_QUALITIES: dict[str, tuple[float, ...]] = {
    "dct": (0, 8, 18, 30, 42, 54),
    "imf": (0, 8, 18, 30, 42, 54),
    "svd": (0, 10, 22, 36, 54),
    "nmf": (0, 14, 28, 43),
}

CODECS: dict[str, Method] = {
    **{METHODS[name].label: replace(METHODS[name], levels=q) for name, q in _QUALITIES.items()},
    PAPER: replace(METHODS["imf-paper"], parameter="rank", levels=_RANKS),
    METHODS["jpeg"].label: METHODS["jpeg"],
}
"""The DCT dictionary, one pipeline with each factorization, the published codec, and JPEG."""

NOTE = (
    "IMF, SVD and NMF share one pipeline and solve for both factors, U and V. The DCT dictionary",
    f"solves for U alone: both sides know its V. {PAPER!r} is IMF with the published settings.",
)
"""What differs between the codecs, in two lines."""


@dataclass(frozen=True)
class SolverRow:
    """One solver on the luma patch matrix.

    Attributes:
        result: result of the solver.
        milliseconds: time of a second call, without compilation.
    """

    result: Result
    milliseconds: float


@dataclass(frozen=True)
class Comparison:
    """The results of ``compare_image``.

    Attributes:
        image: shape (H, W) or (H, W, 3), uint8.
        rank: rank of the solvers.
        svd_bound: relative error of the truncated SVD of that rank, a bound for all factorizations.
        solvers: rows of the solvers, by name.
        curves: for each codec, rows of ``eval_compression`` with the decoded images. The times
            exclude compilation only in the rows nearest to ``TARGET_BPPS``.
    """

    image: np.ndarray
    rank: int
    svd_bound: float
    solvers: dict[str, SolverRow]
    curves: dict[str, list[dict[str, Any]]]

    def bd_rates(self) -> dict[str, float]:
        """Return the BD-rate of each codec against JPEG, in percent (PSNR, PCHIP, ``BD_RATES``).

        Lossless points, of infinite PSNR, are left out.
        """
        points = {}
        for name, rows in self.curves.items():
            lossy = [row for row in rows if np.isfinite(row[_PSNR])]
            curve = [row[_RATE] for row in lossy], [row[_PSNR] for row in lossy]
            points[name] = [values.tolist() for values in restrict_rates(*curve, *BD_RATES)]
        return {name: bd_rate(*points["JPEG"], *curve) for name, curve in points.items()}


def num_steps() -> int:
    """Return the largest possible number of calls of ``progress`` by ``compare_image``."""
    for_targets = {True: (_REFINEMENTS + 1) * len(TARGET_BPPS), False: 2 * len(TARGET_BPPS)}
    return 3 + sum(len(c.levels) + for_targets[c.codec.is_continuous] for c in CODECS.values())


def compare_image(image: np.ndarray, progress: Callable[[str], None]) -> Comparison:
    """Run every solver on the luma of an image, and every codec over its range of rates.

    Args:
        image: shape (H, W) or (H, W, 3), uint8.
        progress: function called after each step with its description.
    """
    layout = PaperIMFCodec().layout(image.shape)
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
    max_rank = min(layout.matrix_shapes[0])
    curves = {}
    for name, codec in CODECS.items():

        def tell(level: float, name: str = name, codec: Method = codec) -> None:
            progress(f"{name} {codec.parameter} {level:g}")

        curves[name] = _curve(image, codec, max_rank, tell)
    bound = float(solvers["SVD"].result.history.relative_error[-1])
    return Comparison(image, rank, bound, solvers, curves)


def _curve(
    image: np.ndarray, codec: Method, max_rank: int, progress: Callable[[float], None]
) -> list[dict[str, Any]]:
    """Return measurements over the range of rates, some as near to the targets as possible."""
    rows: dict[float, dict[str, Any]] = {}

    def measure(level: float) -> None:
        rows[level] = eval_compression(
            image, codec.encode_at, codec.codec.decode, True, warm_up=False, level=level
        )
        progress(level)

    for level in codec.levels:
        if codec.parameter == "rank" and level > max_rank:
            break
        measure(level)
        if rows[level][_RATE] > BD_RATES[1]:
            break
    for target in TARGET_BPPS:
        for _ in range(_REFINEMENTS if codec.codec.is_continuous else 1):
            level = _level_at(rows, target)
            level = level if codec.codec.is_continuous else round(level)
            if level in rows:
                break
            measure(level)
            if abs(rows[level][_RATE] / target - 1) < _NEAR:
                break
    # Measure again where times are shown: everything is compiled by now.
    for level in {_nearest(rows, target) for target in TARGET_BPPS}:
        measure(level)
    return [rows[level] for level in sorted(rows)]


def _level_at(rows: Mapping[float, Mapping[str, Any]], target: float) -> float:
    """Return the setting that should give a rate, within the range of those tried.

    Between two settings, the logarithm of the rate is nearly linear.
    """
    levels = sorted(rows)
    rates = np.maximum.accumulate([rows[level][_RATE] for level in levels])
    return float(np.interp(np.log(target), np.log(rates), levels))


def _nearest(rows: Mapping[float, Mapping[str, Any]], target: float) -> float:
    return min(rows, key=lambda level: abs(np.log(rows[level][_RATE] / target)))


def format_tables(comparison: Comparison) -> str:
    """Return the results as tables of text."""
    rows, columns = comparison.image.shape[:2]
    lines = [
        f"Solvers on the luma patch matrix, rank {comparison.rank} "
        f"(stopped when a sweep gains less than {_TOLERANCE:g} of the objective)",
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
        *NOTE,
        "",
        f"  {'codec':<15}{'target':>7}{'bpp':>8}{'PSNR':>10}{'SSIM':>8}"
        f"{'encode':>11}{'decode':>11}",
    ]
    for target in TARGET_BPPS:
        for name, curve in comparison.curves.items():
            best = nearest_rate(curve, target)
            off = best[_RATE] / target
            note = "" if 0.8 <= off <= 1.25 else "  (nearest available)"
            lines.append(
                f"  {name:<15}{target:>7.2f}{best[_RATE]:>8.3f}"
                f"{best[_PSNR]:>7.2f} dB{best['SSIM']:>8.4f}"
                f"{best['encoding time (ms)']:>8.1f} ms{best['decoding time (ms)']:>8.1f} ms{note}"
            )
        lines.append("")
    between = f"{BD_RATES[0]:g} to {BD_RATES[1]:g} bpp"
    lines += [f"BD-rate against JPEG (PSNR, PCHIP, {between}; negative needs fewer bits)", ""]
    for name, value in comparison.bd_rates().items():
        if name != "JPEG":
            text = "no common interval" if np.isnan(value) else f"{value:+.1f} %"
            lines.append(f"  {name:<15}{text}")
    return "\n".join(lines)


def write_pictures(comparison: Comparison, folder: Path) -> list[Path]:
    """Write the ``PICTURES``, and return their paths.

    Args:
        comparison: result of ``compare_image``.
        folder: an existing folder.
    """
    solvers = {n: r.result for n, r in comparison.solvers.items() if n != "SVD"}
    bound = {f"SVD bound, rank {comparison.rank}": comparison.svd_bound}
    figures = (
        plot_rate_distortion(comparison.curves),
        plot_convergence(solvers, bound),
        draw_collage(comparison),
    )
    paths = []
    for name, figure in zip(PICTURES, figures, strict=True):
        path = folder / name
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=100, format="png", pil_kwargs={"optimize": True})
        plt.close(figure)
        write_atomically(path, buffer.getvalue())
        paths.append(path)
    return paths


def draw_collage(comparison: Comparison) -> Figure:
    """Return a collage of all codecs at ``COLLAGE_BPPS``: a part of the image, pixel by pixel.

    Args:
        comparison: result of ``compare_image``.
    """
    crop = _central_crop(comparison.image)
    return vis_collage(comparison.curves, COLLAGE_BPPS, comparison.image, crop)


def _central_crop(image: np.ndarray, size: int = 140) -> tuple[slice, slice]:
    """Return the part of an image that shows at full resolution in a cell of the collage."""
    height, width = image.shape[:2]
    top, left = max((height - size) // 3, 0), max((width - size) // 2, 0)
    return slice(top, top + size), slice(left, left + size)
