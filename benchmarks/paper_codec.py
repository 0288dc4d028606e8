"""The paper's codec against the same pipeline in eager PyTorch with zlib.

    python -m benchmarks.paper_codec --data KODAK [--quality 7] [--json FILE]

Both convert to YCbCr, halve the chroma planes, cut 8 x 8 patches, factorize each plane from its SVD
in ten sweeps within [-16, 15], and deflate the factors column by column as bytes, at level 9; both
decode to uint8. The sweeps in PyTorch take the steps of the published program
(``benchmarks.solver_speed``). Its files have no header, but six bytes more in each column.
Medians of warm calls taken in turns; the first call, which compiles, is apart. Needs the extra
``benchmarks``.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import lrfjax
from benchmarks.report import environment, geometric_mean, images, measure, write_json
from benchmarks.solver_speed import torch_imf

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
    """What the PyTorch pipeline writes: deflated factors, and what a header would hold."""

    body: bytes
    ranks: list[int]
    sizes: list[tuple[int, int]]


def patches_of(plane: torch.Tensor) -> torch.Tensor:
    """Return the 8 x 8 patches of a plane as rows, its edges repeated where it has to be padded.

    lrfjax would reflect there, which makes no difference to images of whole patches.
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--quality", type=float, default=7.0)
    parser.add_argument("--images", type=int, default=3, help="only the first so many")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()

    print(environment("torch"))
    print(f"quality {options.quality:g}, medians of {options.repeats} in ms\n")
    print(
        f"{'image':<10}{'codec':<9}{'encode':>9}{'decode':>9}{'bytes':>8}{'PSNR (dB)':>11}"
        f"{'compile (s): encode':>21}{'decode':>8}"
    )
    rows: list[dict] = []
    for path in images(options.data)[: options.images]:
        image = lrfjax.read_image(path)
        settings = dict(lrfjax.PAPER_SETTINGS, quality=options.quality)
        encoders = {
            "lrfjax": partial(lrfjax.imf_encode, image, **settings),
            "PyTorch": partial(encode, image, options.quality),
        }
        encoding = measure(encoders, options.repeats)
        files = {name: call() for name, call in encoders.items()}
        decoders = {
            "lrfjax": partial(lrfjax.imf_decode, files["lrfjax"]),
            "PyTorch": partial(decode, files["PyTorch"]),
        }
        decoding = measure(decoders, options.repeats)
        sizes = {"lrfjax": len(files["lrfjax"]), "PyTorch": len(files["PyTorch"].body)}
        for name in encoders:
            row = {
                "benchmark": "paper_codec",
                "codec": name,
                "image": path.stem,
                "shape": list(image.shape),
                "ranks": files["PyTorch"].ranks,
                "dtype": "float32",
                "quality": options.quality,
                "bytes": sizes[name],
                "psnr_db": float(lrfjax.psnr(image, decoders[name]())),
                "encode": encoding[name].row(),
                "decode": decoding[name].row(),
            }
            rows.append(row)
            print(
                f"{path.stem:<10}{name:<9}{1e3 * encoding[name].median:>9.1f}"
                f"{1e3 * decoding[name].median:>9.1f}{row['bytes']:>8}{row['psnr_db']:>11.3f}"
                f"{encoding[name].compile:>21.2f}{decoding[name].compile:>8.2f}"
            )
    for verb in ("encode", "decode"):
        times = [row[verb]["median_s"] for row in rows]
        ratios = [peer / own for own, peer in zip(times[::2], times[1::2], strict=True)]
        print(f"{verb}: PyTorch's time over lrfjax's, geometric mean {geometric_mean(ratios):.2f}")
    if options.json:
        write_json(options.json, rows, "torch")


if __name__ == "__main__":
    main()
