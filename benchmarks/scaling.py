"""Solves over one and more devices, each a CPU core. Linux only.

python -m benchmarks.scaling [--devices 1 2]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import measure as time_calls
from lrfjax.evaluation.page import table

ABOUT = """\
IMF, rank 16, ten sweeps, of a batch of matrices (`shard_batch`) and of one tall matrix
(`shard_rows`), random integers from 0 to 255. Each line is a process of its own on virtual CPU
devices, confined to some cores: one device on one core, as many devices as cores, and one device on
all of these cores, which is a solve without sharding. Ratios are the time on one core over the time
of the line, so more is better. Virtual devices share memory, caches and threads: the figures are
about sharding within a machine, not between machines."""

ROOT = Path(__file__).parents[1]
SHAPES = {"batch": (24, 6144, 64), "rows": (98304, 64)}
QUICK_SHAPES = {"batch": (2, 96, 64), "rows": (192, 64)}
RANK, NUM_ITERS = 16, 10
CHILD = """\
import json, os
os.sched_setaffinity(0, {cores})  # Before jax starts its threads.
from benchmarks.scaling import solve_here
print(json.dumps(solve_here({repeats}, {quick})))
"""


def solve_here(repeats: int, quick: bool) -> Rows:
    """Return the rows of this process, on all of its devices."""
    rng = np.random.default_rng(0)
    matrices, calls = {}, {}
    places: dict[str, Callable[[Any], jax.Array]]
    places = {"batch": lrfjax.shard_batch, "rows": lrfjax.shard_rows}
    for name, shape in (QUICK_SHAPES if quick else SHAPES).items():
        low_rank = rng.normal(size=(*shape[:-1], 24)) @ rng.normal(size=(24, shape[-1]))
        x = places[name](np.rint(20 * low_rank + 100).clip(0, 255).astype(np.float32))
        matrices[name] = x
        calls[name] = lambda x=x: lrfjax.imf(x, RANK, num_iters=NUM_ITERS, record_every=NUM_ITERS)
    rows: list[Row] = []
    for name, timing in time_calls(calls, repeats).items():
        errors = np.asarray(calls[name]().history.relative_error)[..., -1]
        rows.append(
            {
                "case": name,
                "shape": list(matrices[name].shape),
                "rank": RANK,
                "num_iters": NUM_ITERS,
                "devices": jax.device_count(),
                "cores_used": len(os.sched_getaffinity(0)),
                **timing.row(),
                "relative_error": float(np.mean(errors)),
            }
        )
    return rows


def process(num_devices: int, cores: list[int], repeats: int, quick: bool) -> Rows:
    """Return the rows of a fresh process with some virtual devices on some cores."""
    code = CHILD.format(cores=cores, repeats=repeats, quick=quick)
    flags = f"--xla_force_host_platform_device_count={num_devices}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    rows: Rows = json.loads(done.stdout.splitlines()[-1])
    return rows


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each matrix, number of devices and number of cores."""
    if not hasattr(os, "sched_getaffinity"):
        raise SystemExit("scaling: this system cannot confine a process to cores; it needs Linux")
    cores = sorted(os.sched_getaffinity(0))
    counts = sorted({1, *options.devices})
    if options.quick:
        counts = [1]
    if counts[0] < 1 or counts[-1] > len(cores):
        raise SystemExit(f"scaling: --devices {counts}, but this process has {len(cores)} cores")
    cases = [(count, count) for count in counts]
    if counts[-1] > 1 and not options.quick:
        cases.append((1, counts[-1]))
    repeats = 1 if options.quick else options.repeats
    rows: list[Row] = []
    for num_devices, num_cores in tqdm(cases, leave=False):
        rows += process(num_devices, cores[:num_cores], repeats, options.quick)
    return rows


def show(rows: Rows) -> str:
    """Return times and ratios by matrix."""
    lines = []
    for (case,), found in group(rows, "case").items():
        alone = found[0]["median_s"]
        lines += [
            [
                case,
                " x ".join(map(str, row["shape"])),
                str(row["devices"]),
                str(row["cores_used"]),
                f"{1e3 * row['median_s']:.1f}",
                f"{alone / row['median_s']:.2f}",
                f"{row['compile_s']:.1f}",
                f"{row['relative_error']:.5f}",
            ]
            for row in found
        ]
    heads = ["sharded", "X", "devices", "cores", "time (ms)", "ratio", "compilation (s)"]
    return table([*heads, "relative error"], lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the numbers of devices and repeats."""
    parser.add_argument(
        "--devices", type=int, nargs="+", default=[1, 2], help="numbers of devices, one core each"
    )
    parser.add_argument("--repeats", type=int, default=7, help="timed calls of each program")


BENCHMARK = Benchmark("scaling", ABOUT, measure, show, add_arguments, folders=())

if __name__ == "__main__":
    run(BENCHMARK)
