"""The paper's codec in eager PyTorch with zlib: the peer of ``paper_codec``."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from benchmarks.torch_imf import torch_imf

SIDE = 8
LEVEL = 9
# ITU-R BT.601, full range, as in JPEG (ITU-T T.871).
TO_YCBCR = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)
OFFSET = torch.tensor([0.0, 128.0, 128.0])
FROM_YCBCR = torch.linalg.inv(TO_YCBCR)


@dataclass(frozen=True)
class TorchFile:
    """A file of the PyTorch pipeline.

    Attributes:
        body: deflated factors.
        ranks: rank of each plane; a header would hold them and the sizes.
        sizes: (height, width) of each plane.
    """

    body: bytes
    ranks: list[int]
    sizes: list[tuple[int, int]]


def patches_of(plane: torch.Tensor) -> torch.Tensor:
    """Return the 8 x 8 patches of a plane as rows, padded by its edges.

    lrfjax pads by reflection. Images of whole patches need no padding.
    """
    rows, columns = (-n % SIDE for n in plane.shape)
    padded = functional.pad(plane[None, None], (0, columns, 0, rows), "replicate")
    return functional.unfold(padded, SIDE, stride=SIDE)[0].T


@torch.no_grad()
def encode(image: np.ndarray, quality: float) -> TorchFile:
    """Encode an RGB image, shape (H, W, 3), uint8."""
    ycbcr = torch.from_numpy(image).float() @ TO_YCBCR.T + OFFSET
    planes = [ycbcr[..., 0]]
    height, width = (-(-n // 2) for n in image.shape[:2])
    chroma = ycbcr[..., 1:].permute(2, 0, 1)[None]
    planes += list(functional.interpolate(chroma, (height, width), mode="area")[0])
    parts, ranks = [], []
    for index, plane in enumerate(planes):
        share = quality if index == 0 else quality / 2
        ranks.append(max(round(SIDE * SIDE * share / 100), 1))
        for factor in torch_imf(patches_of(plane), ranks[-1], "published"):
            parts += [column.tobytes() for column in factor.to(torch.int8).numpy().T]
    body = b"".join(zlib.compress(part, LEVEL) for part in parts)
    return TorchFile(body, ranks, [tuple(plane.shape) for plane in planes])


@torch.no_grad()
def decode(file: TorchFile) -> np.ndarray:
    """Decode to an RGB image, uint8."""
    planes, rest = [], file.body

    def take(length: int, rank: int) -> torch.Tensor:
        nonlocal rest
        columns = []
        for _ in range(rank):
            inflater = zlib.decompressobj()
            columns.append(np.frombuffer(inflater.decompress(rest), np.int8, length))
            rest = inflater.unused_data
        return torch.from_numpy(np.stack(columns, axis=1)).float()

    for rank, (height, width) in zip(file.ranks, file.sizes, strict=True):
        padded = [-(-n // SIDE) * SIDE for n in (height, width)]
        u = take(padded[0] * padded[1] // SIDE**2, rank)
        x = u @ take(SIDE * SIDE, rank).T
        plane = functional.fold(x.T[None], padded, SIDE, stride=SIDE)
        planes.append(plane[:, :, :height, :width])
    size = file.sizes[0]
    full = [functional.interpolate(plane, size, mode="nearest")[0, 0] for plane in planes]
    rgb = (torch.stack(full, dim=-1) - OFFSET) @ FROM_YCBCR.T
    return torch.clamp(torch.round(rgb), 0, 255).to(torch.uint8).numpy()
