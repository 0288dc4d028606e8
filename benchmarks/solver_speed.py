"""Speed of the IMF solve against the same algorithm in eager PyTorch.

python -m benchmarks.solver_speed --data KODAK
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, group, is_installed, run
from benchmarks.report import geometric_mean, images
from benchmarks.report import measure as time_calls
from benchmarks.workloads import RANKS, luma_of
from lrfjax.evaluation.page import table

ABOUT = """\
Luma of the first image, ten sweeps, SVD start included, medians in ms. `lrfjax` keeps two entries
of the history, as PyTorch keeps none; the full history is timed beside it. The first PyTorch column
takes the steps of the published program and the second those of the formula alone; both gather the
other columns for each update. The third multiplies by all columns, as lrfjax does. Ratios are
PyTorch's time over lrfjax's."""

NUM_ITERS = 10


def peer_calls(x: np.ndarray, rank: int) -> dict[str, Any]:
    """Return the calls of PyTorch by name; none where it is not installed."""
    if not is_installed("torch"):
        return {}
    import torch

    from benchmarks.torch_imf import STEPS, torch_imf

    tensor = torch.from_numpy(np.array(x))
    return {
        name: lambda steps=steps: [part.numpy() for part in torch_imf(tensor, rank, steps)]
        for steps, name in STEPS.items()
    }


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each rank and program."""
    path = images(options.data)[0]
    x = luma_of(path)
    norm = float(np.linalg.norm(x.astype(np.float64)))
    rows: list[Row] = []
    for rank in RANKS[:1] if options.quick else RANKS:
        peers = peer_calls(x, rank)
        calls = {
            **peers,
            "lrfjax": lambda rank=rank: lrfjax.imf(x, rank, record_every=NUM_ITERS),
            "lrfjax, full history": lambda rank=rank: lrfjax.imf(x, rank),
        }
        timings = time_calls(calls, 1 if options.quick else options.repeats)
        for name, timing in timings.items():
            found = calls[name]()
            u, v = found if name in peers else (found.factors.u, found.factors.v)
            u, v = (np.asarray(part, np.float64) for part in (u, v))
            rows.append(
                {
                    "program": name,
                    "image": path.stem,
                    "rank": rank,
                    "shape": x.shape,
                    "num_iters": NUM_ITERS,
                    **timing.row(),
                    "over_lrfjax": timing.median / timings["lrfjax"].median,
                    "relative_error": float(np.linalg.norm(x - u @ v.T)) / norm,
                }
            )
    return rows


def show(rows: Rows) -> str:
    """Return times, ratios and relative errors by rank."""
    programs = list(dict.fromkeys(row["program"] for row in rows))
    peers = [name for name in programs if not name.startswith("lrfjax")]
    times, errors = [], []
    for (rank,), found in group(rows, "rank").items():
        by_program = {row["program"]: row for row in found}
        ratios = ", ".join(f"{by_program[name]['over_lrfjax']:.1f}" for name in peers)
        cells = [f"{1e3 * by_program[name]['median_s']:.1f}" for name in programs]
        compilation = f"{by_program['lrfjax']['compile_s']:.2f}"
        times.append([str(rank), *cells, ratios, compilation])
        errors.append([str(rank), *(f"{by_program[n]['relative_error']:.5f}" for n in programs)])
    parts = [table(["rank", *programs, "ratios", "compilation (s)"], times)]
    if peers:
        means = [
            f"{geometric_mean([r['over_lrfjax'] for r in rows if r['program'] == name]):.1f}"
            for name in peers
        ]
        parts.append(f"Geometric means of the ratios: {', '.join(means)}.")
    parts += ["Relative errors at the end:", table(["rank", *programs], errors)]
    return "\n\n".join(parts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the number of repeats."""
    parser.add_argument("--repeats", type=int, default=9, help="timed calls of each program")


BENCHMARK = Benchmark("solver_speed", ABOUT, measure, show, add_arguments, packages=("torch",))

if __name__ == "__main__":
    run(BENCHMARK)
