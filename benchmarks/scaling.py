"""Solves over one and more devices, each a CPU core.

    python -m benchmarks.scaling [--devices 1 2] [--json FILE]

Each case is a process of its own, confined to some cores, with virtual CPU devices: one device on
one core, which the ratios are over; as many devices as cores; and one device on all of these cores,
which is what a solve gets that is not sharded. IMF, rank 16, ten sweeps, of a batch
(``lrfjax.shard_batch``) and of one tall matrix (``lrfjax.shard_rows``), random integers of
photographs' range. Virtual devices share memory, caches and the threads that the compiler splits
single operations over, so this says what sharding costs and gains within a machine, not between
machines. Linux only, for the confinement.
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

ROOT = Path(__file__).parents[1]
BATCH, TALL = (24, 6144, 64), (98304, 64)
RANK, NUM_ITERS = 16, 10


def run_case(num_cores: int, repeats: int) -> list[dict[str, Any]]:
    """Return the rows of this process, which has to be a fresh one."""
    # Before jax starts its threads.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:num_cores])
    import jax
    import numpy as np

    import lrfjax
    from benchmarks.report import measure

    rng = np.random.default_rng(0)
    matrices, calls = {}, {}
    places: dict[str, tuple[tuple[int, ...], Callable[[Any], jax.Array]]]
    places = {"batch": (BATCH, lrfjax.shard_batch), "rows": (TALL, lrfjax.shard_rows)}
    for name, (shape, place) in places.items():
        low_rank = rng.normal(size=(*shape[:-1], 24)) @ rng.normal(size=(24, shape[-1]))
        x = place(np.rint(20 * low_rank + 100).clip(0, 255).astype(np.float32))
        matrices[name] = x
        calls[name] = lambda x=x: lrfjax.imf(x, RANK, num_iters=NUM_ITERS, record_every=NUM_ITERS)
    rows = []
    for name, timing in measure(calls, repeats).items():
        errors = np.asarray(calls[name]().history.relative_error)[..., -1]
        rows.append(
            {
                "benchmark": "scaling",
                "case": name,
                "shape": list(matrices[name].shape),
                "dtype": str(matrices[name].dtype),
                "rank": RANK,
                "num_iters": NUM_ITERS,
                "devices": jax.device_count(),
                "cores_used": num_cores,
                **timing.row(),
                "quality": {"relative_error": float(np.mean(errors))},
            }
        )
    return rows


def process(num_devices: int, num_cores: int, repeats: int) -> list[dict[str, Any]]:
    """Return the rows of a process with so many virtual devices on so many cores."""
    flags = f"--xla_force_host_platform_device_count={num_devices}"
    command = [sys.executable, "-m", "benchmarks.scaling", "--case", str(num_cores)]
    done = subprocess.run(
        [*command, "--repeats", str(repeats)],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file for the rows")
    # For the processes that it starts.
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(run_case(options.case, options.repeats)))
        return

    from benchmarks.report import environment, write_json

    cores = len(os.sched_getaffinity(0))
    if min(options.devices) < 1 or max(options.devices) > cores:
        parser.error(f"--devices {options.devices}: this process has {cores} cores")
    most = max(options.devices)
    counts = dict.fromkeys([1, *sorted(options.devices)])
    cases = [(count, count) for count in counts] + [(1, most)] * (most > 1)
    rows = [row for case in cases for row in process(*case, options.repeats)]
    print(environment())
    print(f"IMF, rank {RANK}, {NUM_ITERS} sweeps, medians in ms; ratios over one core\n")
    print(
        f"{'case':<8}{'X':>16}{'devices':>9}{'cores':>7}{'time (ms)':>11}{'ratio':>7}"
        f"{'compile (s)':>13}{'rel. error':>12}"
    )
    alone: dict[str, float] = {}
    for row in sorted(rows, key=lambda row: row["case"]):
        row["over_one_core"] = alone.setdefault(row["case"], row["median_s"]) / row["median_s"]
        print(
            f"{row['case']:<8}{' x '.join(map(str, row['shape'])):>16}{row['devices']:>9}"
            f"{row['cores_used']:>7}{1e3 * row['median_s']:>11.1f}{row['over_one_core']:>7.2f}"
            f"{row['compile_s']:>13.2f}{row['quality']['relative_error']:>12.5f}"
        )
    if options.json:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
