"""IMF against the same algorithm in eager PyTorch, on the luma of one image.

    python -m benchmarks.solver_speed --data KODAK

Two PyTorch versions: one as the formula of the paper reads, which gathers the other columns for
each update, as the published program does; one that multiplies by all columns and adds the own one
back, as lrfjax does. Neither records a history, so the figure to hold against them is lrfjax with
``record_every=num_iters``; the full history is timed beside it. Everything starts from an SVD,
which is timed with it. Needs the extra ``benchmarks``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import lrfjax
from benchmarks.report import alternate, environment, geometric_mean, images, seconds
from lrfjax.codec.layout import to_matrices
from lrfjax.codec.settings import make_layout

LOWER, UPPER, NUM_ITERS = -16, 15, 10


@torch.no_grad()
def torch_imf(x: torch.Tensor, rank: int, gather: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return integer factors of ``x`` after ten sweeps from the SVD start."""
    left, singular, right = torch.linalg.svd(x, full_matrices=False)
    root = singular[:rank].sqrt()
    u, v = left[:, :rank] * root, right[:rank].T * root
    sign = -torch.sign(v.gather(0, v.abs().argmax(dim=0, keepdim=True)))
    u, v = u * sign, v * sign

    def update(a: torch.Tensor, b: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        factor = factor.clone()
        for r in range(rank):
            if gather:
                others = [s for s in range(rank) if s != r]
                numerator = a[:, r : r + 1] - factor[:, others] @ b[others, r : r + 1]
            else:
                product = factor @ b[:, r : r + 1]
                numerator = a[:, r : r + 1] - product + b[r, r] * factor[:, r : r + 1]
            factor[:, r : r + 1] = torch.clamp(torch.round(numerator / b[r, r]), LOWER, UPPER)
        return factor

    for _ in range(NUM_ITERS):
        u = update(x @ v, v.T @ v, u)
        v = update(x.T @ u, u.T @ u, v)
    return u, v


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()

    path = images(options.data)[0]
    image = lrfjax.read_image(path)
    luma = to_matrices(image, layout=make_layout(image.shape, "YCbCr", (0.5, 0.5), True, (8, 8)))[0]
    x = torch.from_numpy(np.array(luma))
    norm = float(x.double().norm())
    print(environment("torch"))
    print(f"{path.name}, luma {luma.shape[0]} x {luma.shape[1]}, {NUM_ITERS} sweeps, medians in ms")
    print(
        f"\n{'rank':>5}{'torch':>9}{'torch, all':>12}{'lrfjax':>9}{'+ history':>11}"
        f"{'compile':>9}{'ratio':>8}{'r. all':>8}{'r. hist':>9}   relative error (torch, lrfjax)"
    )
    ratios = []
    for rank in (4, 16, 32, 64):
        calls = {
            "gather": lambda rank=rank: torch_imf(x, rank, True),
            "all": lambda rank=rank: torch_imf(x, rank, False),
            "fast": lambda rank=rank: lrfjax.imf(luma, rank, record_every=NUM_ITERS),
            "history": lambda rank=rank: lrfjax.imf(luma, rank),
        }
        compile_time = seconds(calls["fast"])
        times = alternate(calls, options.repeats)
        u, v = calls["gather"]()
        torch_error = float((x.double() - u.double() @ v.double().T).norm()) / norm
        error = float(calls["history"]().history.relative_error[-1])
        ratio = [
            times["gather"] / times["fast"],
            times["all"] / times["fast"],
            times["gather"] / times["history"],
        ]
        ratios.append(ratio)
        milliseconds = [1e3 * times[name] for name in ("gather", "all", "fast", "history")]
        print(
            f"{rank:>5}{milliseconds[0]:>9.1f}{milliseconds[1]:>12.1f}{milliseconds[2]:>9.1f}"
            f"{milliseconds[3]:>11.1f}{compile_time:>8.2f}s{ratio[0]:>8.1f}{ratio[1]:>8.1f}"
            f"{ratio[2]:>9.1f}   {torch_error:.5f} {error:.5f}"
        )
    means = [geometric_mean(column) for column in zip(*ratios, strict=True)]
    print(f"\ngeometric means: {means[0]:.1f} {means[1]:.1f} {means[2]:.1f}")


if __name__ == "__main__":
    main()
