"""A batched solve and the codec on JAX's default device, beside the CPU of the same machine.

    python -m benchmarks.gpu --data KODAK [--json FILE] [--quick]

Luma planes of 24 images (where there are fewer, moved around by some pixels, so that all differ),
rank 16, ten sweeps in one call, X on the device beforehand. The call is under ``jax.jit``, so that
what is timed is the solver and not the checks of its arguments, which fetch X to the host. Floors
come from ceilings measured on the device that they are for. Then some images are encoded and
decoded on both, and their pixels compared. On a machine without an accelerator both are the CPU.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lrfjax
from benchmarks.costs import imf_cost
from benchmarks.report import environment, images, measure, write_json
from benchmarks.roofline import FAR_BYTES, measure_ceilings
from benchmarks.workloads import luma_planes

COUNT, RANK, NUM_ITERS = 24, 16, 10
ENCODERS = {
    "imf_encode": partial(lrfjax.imf_encode, quality=30),
    "imf_encode, PAPER_SETTINGS": partial(lrfjax.imf_encode, quality=10, **lrfjax.PAPER_SETTINGS),
}


@jax.jit
def solve(x: jax.Array) -> lrfjax.Result:
    """Return factors of a batch of matrices, shape (B, M, N)."""
    return lrfjax.imf(x, RANK, num_iters=NUM_ITERS, record_every=NUM_ITERS)


def time_solve(planes: np.ndarray, device: jax.Device, repeats: int, quick: bool) -> dict[str, Any]:
    """Return one row of JSON on a batch and one on its first problem alone, on a device."""
    kernel = getattr(lrfjax, "column_kernel", lambda: "xla")
    with jax.default_device(device):
        x = jax.device_put(planes, device)
        one = jax.device_put(planes[:1], device)
        # A batch goes through an accelerator at once, and through a CPU one problem at a time.
        near = planes[0].nbytes if device.platform == "cpu" else planes.nbytes
        smaller = {"sizes": (256,), "far_bytes": FAR_BYTES // 16} if quick else {}
        ceilings = measure_ceilings(near, device, **smaller)
        times = measure({"batch": lambda: solve(x), "single": lambda: solve(one)}, repeats)
        error = float(jnp.mean(solve(x).history.relative_error[:, -1]))
        used = kernel()
    cost = imf_cost(*planes.shape[1:], RANK, NUM_ITERS).times(len(planes))
    floor = ceilings.floor(cost)
    return {
        "benchmark": "gpu",
        "solver": "imf",
        "rank": RANK,
        "shape": list(planes.shape[1:]),
        "batch": len(planes),
        "num_iters": NUM_ITERS,
        "dtype": str(planes.dtype),
        "ran_on": device.platform,
        "ran_on_kind": device.device_kind,
        "column_kernel": used,
        **times["batch"].row(),
        "single_median_s": times["single"].median,
        "quality": {"relative_error": error},
        **asdict(cost),
        **ceilings.row(),
        "floor_s": floor,
        "ratio": times["batch"].median / floor,
    }


def print_row(row: dict[str, Any]) -> None:
    """Print what one device did."""
    print(f"on {row['ran_on']} ({row['ran_on_kind']}), column kernel {row['column_kernel']}")
    print(
        f"  ceilings {row['ceiling_flops'] / 1e9:.0f} GFLOP/s, "
        f"{row['ceiling_near'] / 1e9:.1f} GB/s the size of X, "
        f"{row['ceiling_far'] / 1e9:.1f} GB/s of an array far larger"
    )
    median, least, single = (1e3 * row[key] for key in ("median_s", "min_s", "single_median_s"))
    print(
        f"  {median:.2f} ms for {row['batch']} planes (least {least:.2f}), "
        f"{single:.2f} ms for one, compilation {row['compile_s']:.1f} s"
    )
    print(
        f"  floor {1e3 * row['floor_s']:.3f} ms, time over floor {row['ratio']:.1f}; "
        f"mean relative error {row['quality']['relative_error']:.6f}"
    )


def compare_pixels(paths: list[Path], devices: list[jax.Device]) -> list[dict[str, Any]]:
    """Encode on each device, decode every file on each, and say whether pixels are the same."""
    rows = []
    for name, encode in ENCODERS.items():
        same_files = same_pixels = 0
        for path in paths:
            image, files, decoded = lrfjax.read_image(path), [], []
            for device in devices:
                with jax.default_device(device):
                    files.append(encode(image))
            for file in files:
                for device in devices:
                    with jax.default_device(device):
                        decoded.append(lrfjax.imf_decode(file))
            same_files += files[0] == files[1]
            same_pixels += np.array_equal(*decoded[:2]) and np.array_equal(*decoded[2:])
        print(
            f"{name}: of {len(paths)} images, {same_pixels} decode to the same pixels on both from "
            f"either's file; {same_files} files are the same"
        )
        found = {"encoder": name, "images": len(paths), "same_pixels": same_pixels}
        rows.append({"benchmark": "gpu", **found, "same_files": same_files})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=3, help="to encode and decode")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="file for the rows")
    parser.add_argument("--quick", action="store_true", help="two planes, to try it")
    options = parser.parse_args()

    count, repeats = (2, 2) if options.quick else (COUNT, options.repeats)
    devices = [jax.devices()[0], jax.devices("cpu")[0]]
    print(environment())
    if devices[0] == devices[1]:
        print("the default device is the CPU: there is no accelerator to measure, the ratio is 1")
    planes = luma_planes(options.data, count)
    print(f"{count} luma planes {planes.shape[1]} x {planes.shape[2]}, rank {RANK}, float32\n")
    rows = []
    for device in dict.fromkeys(devices):
        rows.append(time_solve(planes, device, repeats, options.quick))
        print_row(rows[-1])
    over = rows[-1]["median_s"] / rows[0]["median_s"]
    print(f"\ntime on the CPU / time on {devices[0].platform}: {over:.2f}\n")
    rows[0]["cpu_over_device"] = over
    rows += compare_pixels(images(options.data)[: options.images], devices)
    if options.json:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
