"""A batched solve and the codec on an accelerator, beside the CPU of the same machine.

python -m benchmarks.gpu --data KODAK
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.costs import imf_cost
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import images
from benchmarks.report import measure as time_calls
from benchmarks.roofline import ceilings_of
from benchmarks.workloads import luma_planes
from lrfjax.evaluation.page import table

ABOUT = """\
IMF, rank 16, ten sweeps, of 24 luma planes in one call and of one plane, X on the device
beforehand, on JAX's default device and on the CPU. The call is under `jax.jit`, so that the times
are those of the solver without the checks of its arguments, which fetch X to the host. Floors are
those of `benchmarks.roofline`, measured on each device. Then some images are encoded on both
devices, and both decode every file. Without an accelerator only the CPU is measured, and nothing is
compared."""

COUNT, RANK, NUM_ITERS = 24, 16, 10
_PAPER: dict[str, Any] = {"quality": 10, **lrfjax.PAPER_SETTINGS}
ENCODERS = {
    "dct_encode": partial(lrfjax.dct_encode, quality=30),
    "imf_encode, PAPER_SETTINGS": partial(lrfjax.imf_encode, **_PAPER),
}


@jax.jit
def solve(x: jax.Array) -> lrfjax.Result:
    """Return factors of a batch of matrices, shape (B, M, N)."""
    return lrfjax.imf(x, RANK, num_iters=NUM_ITERS, record_every=NUM_ITERS)


def time_solve(planes: np.ndarray, device: jax.Device, repeats: int, quick: bool) -> Row:
    """Return the row of a device: the batch and its first problem alone."""
    with jax.default_device(device):
        x = jax.device_put(planes, device)
        one = jax.device_put(planes[:1], device)
        # An accelerator solves a batch at once, a CPU one problem after the other.
        near = planes[0].nbytes if device.platform == "cpu" else planes.nbytes
        ceilings = ceilings_of(near, quick, device)
        times = time_calls({"batch": lambda: solve(x), "single": lambda: solve(one)}, repeats)
        error = float(jnp.mean(solve(x).history.relative_error[:, -1]))
        kernel = lrfjax.column_kernel()
    cost = imf_cost(planes.shape[1], planes.shape[2], RANK, NUM_ITERS).times(len(planes))
    floor = ceilings.floor(cost)
    return {
        "kind": "solve",
        "device": device.platform,
        "device_kind": device.device_kind,
        "column_kernel": kernel,
        "rank": RANK,
        "shape": planes.shape[1:],
        "batch": len(planes),
        "num_iters": NUM_ITERS,
        **times["batch"].row(),
        "single_median_s": times["single"].median,
        "relative_error": error,
        **asdict(cost),
        **ceilings.row(),
        "floor_s": floor,
        "over_floor": times["batch"].median / floor,
    }


def pixel_rows(paths: Sequence[Path], devices: Sequence[jax.Device]) -> list[Row]:
    """Return a row for each encoder: the numbers of images with equal files and equal pixels."""
    rows: list[Row] = []
    for name, encode in ENCODERS.items():
        same_files = same_pixels = 0
        for path in tqdm(paths, desc=name, leave=False):
            image, files = lrfjax.read_image(path), []
            for device in devices:
                with jax.default_device(device):
                    files.append(encode(image))
            same = []
            for file in files:
                decoded = []
                for device in devices:
                    with jax.default_device(device):
                        decoded.append(lrfjax.decode(file))
                same.append(all(np.array_equal(decoded[0], other) for other in decoded[1:]))
            same_files += len(set(files)) == 1
            same_pixels += all(same)
        row = {"kind": "pixels", "encoder": name, "images": len(paths)}
        rows.append(row | {"same_pixels": same_pixels, "same_files": same_files})
    return rows


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each device, and one for each encoder if there are two devices."""
    count, repeats = (2, 1) if options.quick else (COUNT, options.repeats)
    devices = list(dict.fromkeys([jax.devices()[0], jax.devices("cpu")[0]]))
    if len(devices) == 1:
        print("JAX finds no accelerator on this machine: only the CPU is measured")
    planes = luma_planes(options.data, count)
    rows = [time_solve(planes, device, repeats, options.quick) for device in devices]
    if len(devices) > 1:
        chosen = images(options.data)[: 1 if options.quick else options.images]
        rows += pixel_rows(chosen, devices)
    return rows


def show(rows: Rows) -> str:
    """Return the times by device, their ratio, and the comparison of pixels."""
    kinds = group(rows, "kind")
    solves, pixels = kinds["solve",], kinds.get(("pixels",), [])
    lines = [
        [
            f"{row['device']} ({row['device_kind']})",
            row["column_kernel"],
            f"{1e3 * row['median_s']:.2f}",
            f"{1e3 * row['single_median_s']:.2f}",
            f"{1e3 * row['floor_s']:.3f}",
            f"{row['over_floor']:.1f}",
            f"{row['ceiling_flops'] / 1e9:.0f}",
            f"{max(row['ceiling_near'], row['ceiling_far']) / 1e9:.0f}",
            f"{row['compile_s']:.1f}",
            f"{row['relative_error']:.6f}",
        ]
        for row in solves
    ]
    first = solves[0]
    heads = ["device", "column kernel", f"{first['batch']} planes (ms)", "one (ms)", "floor (ms)"]
    heads += ["time / floor", "GFLOP/s", "GB/s", "compilation (s)", "relative error"]
    parts = [
        f"X {first['shape'][0]} x {first['shape'][1]}; floor and time over floor are of the batch:",
        table(heads, lines),
    ]
    if len(solves) == 1:
        return "\n\n".join([*parts, "No accelerator: JAX found only the CPU on this machine."])
    over, over_single = (solves[1][name] / first[name] for name in ("median_s", "single_median_s"))
    parts.append(
        f"Time on the CPU over time on the accelerator: {over:.2f} for the batch, "
        f"{over_single:.2f} for one plane."
    )
    lines = [
        [row["encoder"], *(str(row[name]) for name in ("images", "same_pixels", "same_files"))]
        for row in pixels
    ]
    parts.append(table(["encoder", "images", "same pixels on both", "same files"], lines))
    return "\n\n".join(parts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the numbers of images and repeats."""
    parser.add_argument("--images", type=int, default=3, help="images to encode and decode")
    parser.add_argument("--repeats", type=int, default=9, help="timed calls of each program")


BENCHMARK = Benchmark("gpu", ABOUT, measure, show, add_arguments)

if __name__ == "__main__":
    run(BENCHMARK)
