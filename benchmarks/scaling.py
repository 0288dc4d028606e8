"""Solves over one and more devices, each a CPU core.

    python -m benchmarks.scaling [--devices 1 2] [--json FILE]

Each number of devices is a process of its own, confined to as many cores, with as many virtual CPU
devices; a device then has one thread to compute with. IMF, rank 16, ten sweeps, of a batch
(``lrfjax.shard_batch``) and of one tall matrix (``lrfjax.shard_rows``), random integers within
the range of pixels. So the ratio is over one core, not over one device that has all cores.
Linux only, for the confinement.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BATCH, TALL = (24, 6144, 64), (98304, 64)
RANK, NUM_ITERS = 16, 10


def run_case(repeats: int) -> None:
    """Print the rows of this process as JSON."""
    import jax
    import numpy as np

    import lrfjax
    from benchmarks.report import measure

    rng = np.random.default_rng(0)
    cases = {}
    for name, shape, place in (
        ("batch", BATCH, lrfjax.shard_batch),
        ("rows", TALL, lrfjax.shard_rows),
    ):
        low_rank = rng.normal(size=(*shape[:-1], 24)) @ rng.normal(size=(24, shape[-1]))
        cases[name] = place(np.rint(20 * low_rank + 100).clip(0, 255).astype(np.float32))
    calls = {
        name: lambda x=x: lrfjax.imf(x, RANK, num_iters=NUM_ITERS, record_every=NUM_ITERS)
        for name, x in cases.items()
    }
    rows = [
        {
            "benchmark": "scaling",
            "case": name,
            "shape": list(cases[name].shape),
            "rank": RANK,
            "num_iters": NUM_ITERS,
            "devices": jax.device_count(),
            **timing.row(),
            "quality": {
                "relative_error": float(
                    np.mean(np.asarray(calls[name]().history.relative_error)[..., -1])
                )
            },
        }
        for name, timing in measure(calls, repeats).items()
    ]
    print(json.dumps(rows))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the rows")
    # For the processes that it starts.
    parser.add_argument("--case", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        run_case(options.repeats)
        return

    from benchmarks.report import environment, write_json

    print(environment())
    cores = sorted(os.sched_getaffinity(0))
    if max(options.devices) > len(cores):
        parser.error(f"--devices has {max(options.devices)}, this machine {len(cores)} cores")
    rows: list[dict] = []
    for count in options.devices:
        flags = f"--xla_force_host_platform_device_count={count}"
        command = [sys.executable, "-m", "benchmarks.scaling", "--case"]
        done = subprocess.run(
            [*command, "--repeats", str(options.repeats)],
            cwd=ROOT,
            env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
            preexec_fn=lambda count=count: os.sched_setaffinity(0, cores[:count]),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        rows += json.loads(done.stdout.splitlines()[-1])
    print(f"{'case':<8}{'X':>18}{'devices':>9}{'time (ms)':>11}{'ratio':>7}{'rel. error':>12}")
    alone = {}
    for row in rows:
        one = alone.setdefault(row["case"], row["median_s"])
        print(
            f"{row['case']:<8}{' x '.join(map(str, row['shape'])):>18}{row['devices']:>9}"
            f"{1e3 * row['median_s']:>11.1f}{one / row['median_s']:>7.2f}"
            f"{row['quality']['relative_error']:>12.5f}"
        )
    if options.json:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
