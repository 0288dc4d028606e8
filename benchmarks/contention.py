"""Solves beside busy processes: what LAPACK's threads cost when they share their cores.

python -m benchmarks.contention --data KODAK
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, run
from benchmarks.report import images
from benchmarks.workloads import luma_of
from lrfjax.evaluation.page import table

ABOUT = """\
Calls on the luma patches of one image, or of a batch of them: the median time alone, beside other
processes that are always busy, and of two threads that make the call at the same time, in ms.
"Ratio" is the time beside the processes divided by the time alone, with blocks of calls alone and
beside them in turn. `PyTorch` and `NumPy` are the SVD of the same matrix with the threads that they
choose."""

BUSY = "print(flush=True)\nwhile True: pass"
LIMIT = 3.0
"""Ratio that a solve must not exceed beside two busy processes."""


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep processes busy that need nothing but a core."""
    processes = [
        subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) for _ in range(count)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def calls(options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Return the calls by name."""
    x = luma_of(images(options.data)[0])
    batch = np.stack([x] * (2 if options.quick else 12))
    rank = 4 if options.quick else 16

    def solve(x: Any) -> Any:
        return lrfjax.imf(x, rank, record=(), record_every=10)

    found: dict[str, Callable[[], Any]] = {
        "imf": lambda: solve(x),
        f"imf, batch of {len(batch)}": lambda: solve(batch),
        "svd": lambda: lrfjax.svd(x, rank),
    }
    if options.quick:
        return found
    found["NumPy"] = lambda: np.linalg.svd(x, full_matrices=False)
    try:
        import torch
    except ImportError:
        return found
    tensor = torch.from_numpy(np.array(x))
    found["PyTorch"] = lambda: torch.linalg.svd(tensor, full_matrices=False)
    return found


def times(call: Callable[[], Any], repeats: int) -> list[float]:
    """Return the milliseconds of calls."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        found.append(1e3 * (time.perf_counter() - start))
    return found


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each call and number of busy processes."""
    counts, rounds, repeats = ((1,), 1, 2) if options.quick else ((1, 2), 5, 6)
    rows: list[Row] = []
    for name, call in tqdm(calls(options).items(), leave=False):
        times(call, 1)
        alone: dict[int, list[float]] = {count: [] for count in counts}
        beside: dict[int, list[float]] = {count: [] for count in counts}
        for count in counts * rounds:
            alone[count] += times(call, repeats)
            with busy_processes(count):
                beside[count] += times(call, repeats)
        with ThreadPoolExecutor(2) as pool:
            pairs = list(pool.map(lambda _, c=call: times(c, rounds * repeats), range(2)))
        for count in counts:
            rows.append(
                {
                    "call": name,
                    "busy": count,
                    "alone_ms": statistics.median(alone[count]),
                    "beside_ms": statistics.median(beside[count]),
                    "two_threads_ms": statistics.median(pairs[0] + pairs[1]),
                }
            )
    return rows


def show(rows: Rows) -> str:
    """Return a table with a line for each call and number of busy processes."""
    lines = [
        [
            row["call"],
            str(row["busy"]),
            f"{row['alone_ms']:.1f}",
            f"{row['beside_ms']:.1f}",
            f"{row['beside_ms'] / row['alone_ms']:.1f}",
            f"{row['two_threads_ms']:.1f}",
        ]
        for row in rows
    ]
    heads = [
        "call",
        "busy processes",
        "alone (ms)",
        "beside them (ms)",
        "ratio",
        "two threads (ms)",
    ]
    return table(heads, lines) + f"\n\nThe limit of the ratio of a solve is {LIMIT:.0f}."


BENCHMARK = Benchmark("contention", ABOUT, measure, show, packages=("torch",))

if __name__ == "__main__":
    run(BENCHMARK)
