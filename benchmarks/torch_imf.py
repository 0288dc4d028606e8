"""The block coordinate descent of IMF in eager PyTorch: the peer of the solver benchmarks."""

from __future__ import annotations

import torch

LOWER, UPPER, NUM_ITERS = -16, 15, 10
EPSILON = 1e-16

STEPS = {"published": "PyTorch, as published", "formula": "PyTorch", "all": "PyTorch, all columns"}
"""Three ways to make a column update.

``"published"`` takes the steps of the published program: X is shifted and divided by the scale
before each factor is updated, the other columns are gathered, the numerator is soft-thresholded at
zero, numerator and denominator get an epsilon. ``"formula"`` is the formula of the paper alone,
which gathers the other columns too. ``"all"`` multiplies by all columns and adds the own one back,
as lrfjax does.
"""


@torch.no_grad()
def torch_imf(x: torch.Tensor, rank: int, steps: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return integer factors of ``x`` after ten sweeps from the SVD start.

    Args:
        x: shape (M, N), float32.
        rank: number of columns of each factor.
        steps: one of ``STEPS``.
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
