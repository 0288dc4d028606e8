"""IMF against the same algorithm in eager PyTorch, on the luma of one image.

    python -m benchmarks.solver_speed --data KODAK [--json FILE]

Three PyTorch versions. One takes the steps of the published program: X is shifted and divided by
the scale before each factor is updated, the other columns are gathered, the numerator is
soft-thresholded (at zero), numerator and denominator get an epsilon. One is the formula of the
paper alone, which gathers the other columns too. One multiplies by all columns and adds the own one
back, as lrfjax does. None records a history, so the figure to hold against them is lrfjax with
``record_every=num_iters``; the full history is timed beside it. Everything starts from an SVD,
which is timed with it. Needs the extra ``benchmarks``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import lrfjax
from benchmarks.report import environment, geometric_mean, images, measure, write_json
from lrfjax.codec.layout import to_matrices
from lrfjax.codec.settings import make_layout

LOWER, UPPER, NUM_ITERS = -16, 15, 10


PEERS = {"published": "torch, as published", "formula": "torch", "all": "torch, all columns"}
EPSILON = 1e-16


@torch.no_grad()
def torch_imf(x: torch.Tensor, rank: int, steps: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return integer factors of ``x`` after ten sweeps from the SVD start.

    Args:
        x: shape (M, N), float32.
        rank: of the factors.
        steps: one of ``PEERS``.
    """
    left, singular, right = torch.linalg.svd(x, full_matrices=False)
    root = singular[:rank].sqrt()
    u, v = left[:, :rank] * root, right[:rank].T * root
    sign = -torch.sign(v.gather(0, v.abs().argmax(dim=0, keepdim=True)))
    u, v = u * sign, v * sign
    offset, scale = torch.zeros(1, 1), torch.ones(1, 1)

    def update(x: torch.Tensor, factor: torch.Tensor, partner: torch.Tensor) -> torch.Tensor:
        if steps == "published":
            x = (x - offset) / torch.where(scale.abs() < EPSILON, EPSILON, scale)
        a, b = x @ partner, partner.T @ partner
        factor = factor.clone()
        for r in range(rank):
            column = factor[:, r : r + 1]
            if steps == "all":
                numerator = a[:, r : r + 1] - factor @ b[:, r : r + 1] + b[r, r] * column
            else:
                others = [s for s in range(rank) if s != r]
                numerator = a[:, r : r + 1] - factor[:, others] @ b[others, r : r + 1]
            denominator = b[r : r + 1, r : r + 1]
            if steps == "published":
                numerator = numerator.sign() * torch.clamp(numerator.abs() - 0.0, min=0)
                numerator, denominator = numerator + EPSILON, denominator + EPSILON
            column[:] = torch.clamp(torch.round(numerator / denominator), LOWER, UPPER)
        return factor

    for _ in range(NUM_ITERS):
        u = update(x, u, v)
        v = update(x.T, v, u)
    return u, v


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()

    path = images(options.data)[0]
    image = lrfjax.read_image(path)
    luma = to_matrices(image, layout=make_layout(image.shape, "YCbCr", (0.5, 0.5), True, (8, 8)))[0]
    x = torch.from_numpy(np.array(luma))
    norm = float(x.double().norm())
    print(environment("torch"))
    print(f"{path.name}, luma {luma.shape[0]} x {luma.shape[1]}, {NUM_ITERS} sweeps, medians in ms")
    heads = "".join(f"{name:>21}" for name in PEERS.values())
    print(f"\n{'rank':>5}{heads}{'lrfjax':>9}{'+ history':>11}{'compile':>9}   ratios to each")
    ratios, rows = [], []
    for rank in (4, 16, 32, 64):
        calls = {steps: lambda rank=rank, steps=steps: torch_imf(x, rank, steps) for steps in PEERS}
        calls["lrfjax"] = lambda rank=rank: lrfjax.imf(luma, rank, record_every=NUM_ITERS)
        calls["history"] = lambda rank=rank: lrfjax.imf(luma, rank)
        found = measure(calls, options.repeats)
        times = {name: timing.median for name, timing in found.items()}
        errors = {}
        for steps in PEERS:
            u, v = calls[steps]()
            errors[steps] = float((x.double() - u.double() @ v.double().T).norm()) / norm
        errors["lrfjax"] = float(calls["lrfjax"]().history.relative_error[-1])
        ratio = [times[steps] / times["lrfjax"] for steps in PEERS]
        ratios.append(ratio)
        cells = "".join(f"{1e3 * times[steps]:>21.1f}" for steps in PEERS)
        print(
            f"{rank:>5}{cells}{1e3 * times['lrfjax']:>9.1f}{1e3 * times['history']:>11.1f}"
            f"{found['lrfjax'].compile:>8.2f}s   {'  '.join(f'{r:.1f}' for r in ratio)}"
        )
        rows.extend(
            {
                "benchmark": "solver_speed",
                "solver": name if name == "lrfjax" else PEERS[name],
                "image": path.stem,
                "rank": rank,
                "shape": list(luma.shape),
                "num_iters": NUM_ITERS,
                "dtype": str(luma.dtype),
                **found[name].row(),
                "over_lrfjax": times[name] / times["lrfjax"],
                "quality": {"relative_error": error},
            }
            for name, error in errors.items()
        )
    means = [geometric_mean(column) for column in zip(*ratios, strict=True)]
    print(f"\ngeometric means of the ratios: {'  '.join(f'{m:.1f}' for m in means)}")
    print("relative errors")
    for row in rows:
        print(f"{row['rank']:>5}  {row['solver']:<21} {row['quality']['relative_error']:.5f}")
    if options.json:
        write_json(options.json, rows, "torch")


if __name__ == "__main__":
    main()
