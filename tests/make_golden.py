"""Writes the golden files: small files of every method, way, depth and kind of extra.

Run by hand, ``python -m tests.make_golden``, and only after the version of the format was raised:
what is there already is never written again.
"""

import argparse
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lrfjax
from lrfjax.codec.dictionary import tiles
from lrfjax.evaluation.sample import sample_image

FOLDER = Path(__file__).parent / "golden"
SUMS = "sha256.json"

DCT, IMF, SVD, NMF = lrfjax.dct_encode, lrfjax.imf_encode, lrfjax.svd_encode, lrfjax.nmf_encode
PAPER = functools.partial(IMF, **lrfjax.PAPER_SETTINGS)
SMOOTH = {"upsampling": "linear", "entropy": "context"}


def crop(height: int, width: int) -> np.ndarray:
    """Return a part of the sample photograph with an edge and some texture in it."""
    return sample_image()[60 : 60 + height, 200 : 200 + width].copy()


def gray(height: int, width: int) -> np.ndarray:
    return crop(height, width)[..., 1].copy()


def deep(image: np.ndarray) -> np.ndarray:
    """Return an image of 16 bits whose low bits are not those of the high ones."""
    return image.astype(np.uint16) * 256 + 3 * image[::-1]


def with_alpha(image: np.ndarray) -> np.ndarray:
    ramp = np.add.outer(5 * np.arange(image.shape[0]), 7 * np.arange(image.shape[1])) % 256
    return np.dstack([image, ramp.astype(np.uint8)])


def drawing(height: int, width: int) -> np.ndarray:
    """Return thin lines and flat areas: what the split dictionaries are for."""
    image = np.full((height, width, 3), 230, np.uint8)
    image[::7] = (20, 20, 120)
    image[:, ::11] = (160, 0, 0)
    image[height // 3 : height // 2, width // 4 : width // 2] = (0, 90, 0)
    return image


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3)).astype(np.uint8)


def repeated_pattern() -> np.ndarray:
    """Return patches that are one pattern times a number each: an image of rank one."""
    rng = np.random.default_rng(3)
    pattern = np.kron(rng.normal(size=(4, 4)), np.ones((4, 4)))
    sizes = 25 * rng.normal(size=(6, 8))
    return np.clip(128 + np.kron(sizes, pattern), 0, 255).astype(np.uint8)


def in_tiles(
    patches: int, image: np.ndarray, encode: Callable[..., bytes] = DCT, **params: object
) -> bytes:
    """Encode with tiles of so many patches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "PATCHES_PER_TILE", patches)
        return encode(image, **params)


FILES = {
    "dct_gray": lambda: DCT(gray(24, 40), quality=50),
    "dct_rgb": lambda: DCT(crop(24, 40), quality=45),
    "dct_rgba": lambda: DCT(with_alpha(crop(24, 40)), quality=40),
    "dct_gray16": lambda: DCT(deep(gray(24, 40)), quality=50),
    "dct_rgb16": lambda: DCT(deep(crop(24, 40)), quality=45),
    "dct_fine": lambda: DCT(crop(17, 23), quality=95),
    "dct_coarse": lambda: DCT(crop(64, 48), quality=5),
    "dct_pixel_gray": lambda: DCT(gray(1, 1), quality=60),
    "dct_pixel_rgb": lambda: DCT(crop(1, 1), quality=60),
    "dct_line_gray16": lambda: DCT(deep(gray(1, 40)), quality=60),
    "dct_bpp": lambda: DCT(crop(64, 48), target_bpp=1.5),
    "dct_psnr": lambda: DCT(crop(64, 48), target_psnr=33.0),
    "dct_rank": lambda: DCT(crop(64, 48), rank=12),
    "dct_ycbcr": lambda: DCT(crop(24, 40), quality=45, color_space="YCbCr"),
    "dct_rgb_planes": lambda: DCT(crop(24, 40), quality=45, color_space="RGB"),
    "dct_effort_1": lambda: DCT(drawing(64, 48), quality=40, effort=1),
    "dct_effort_2": lambda: DCT(drawing(64, 48), quality=40, effort=2),
    "dct_effort_3": lambda: DCT(drawing(64, 48), quality=40, effort=3),
    "dct_noise": lambda: DCT(noise(24, 40), quality=55),
    "dct_constant": lambda: DCT(np.full((24, 40, 3), (9, 200, 77), np.uint8), quality=50),
    "dct_tiles": lambda: in_tiles(3, crop(64, 48), quality=30),
    "dct_tiles16": lambda: in_tiles(6, deep(gray(64, 48)), quality=40),
    "dct_metadata": lambda: DCT(
        with_alpha(crop(17, 23)), quality=30, icc_profile=b"profile" * 9, exif=b"Exif\0\0II*\0"
    ),
    "imf_gray": lambda: IMF(gray(24, 40), quality=35),
    "imf_rgb": lambda: IMF(drawing(64, 48), quality=40),
    "imf_rgb16": lambda: IMF(deep(crop(64, 48)), quality=45),
    "imf_tiles": lambda: in_tiles(3, crop(64, 48), IMF, quality=40),
    "svd_rgb": lambda: SVD(crop(24, 40), quality=40),
    "svd_rgb16": lambda: SVD(deep(crop(24, 40)), quality=30),
    "svd_rgba": lambda: SVD(with_alpha(crop(17, 23)), quality=30),
    "svd_pixel": lambda: SVD(crop(1, 1), quality=40),
    "nmf_gray": lambda: NMF(gray(24, 40), quality=35),
    "nmf_gray_bpp": lambda: NMF(gray(64, 48), target_bpp=2.0),
    "imf_paper": lambda: PAPER(crop(64, 48), quality=10),
    "imf_paper_contexts": lambda: PAPER(crop(64, 48), quality=10, entropy="context"),
    "imf_linear": lambda: IMF(crop(24, 40), rank=3, **SMOOTH),
    "imf_wide": lambda: IMF(gray(24, 40), rank=2, bounds=(-300, 300)),
    "imf_planes": lambda: IMF(
        crop(17, 23), rank=2, patch=False, color_space="RGB", entropy="context"
    ),
    "imf_tall_patches": lambda: IMF(gray(24, 40), rank=3, patch_size=(12, 5), entropy="context"),
    "svd_planes": lambda: SVD(crop(24, 40), rank=4, patch=False, color_space="RGB"),
    "svd_nearest": lambda: SVD(
        crop(17, 23), rank=3, scale_factor=(1.0, 0.3), color_space="YCbCr", entropy="context"
    ),
    "svd_oblong": lambda: SVD(crop(64, 48), rank=6, patch_size=(8, 16), entropy="context"),
    "svd_four_bits": lambda: SVD(with_alpha(crop(24, 40)), rank=4, bits=4, entropy="context"),
    "svd_linear": lambda: SVD(crop(24, 40), rank=3, color_space="YCbCr", **SMOOTH),
}


def checksum(pixels: np.ndarray) -> str:
    """Return the SHA-256 of an array, its dtype and shape included."""
    little = pixels.astype(pixels.dtype.newbyteorder("<"))
    head = f"{pixels.dtype.name} {pixels.shape} ".encode()
    return hashlib.sha256(head + little.tobytes()).hexdigest()


@functools.cache
def sums() -> dict[str, str]:
    """Return the checksum of each golden file's pixels."""
    return json.loads((FOLDER / SUMS).read_text())


def read(name: str) -> bytes:
    """Return a golden file."""
    return (FOLDER / f"{name}.lrfj").read_bytes()


def write(folder: Path) -> None:
    """Write all files, and the checksums of their pixels, into a folder that has none of them."""
    there = [name for name in FILES if (folder / f"{name}.lrfj").exists()]
    if there or (folder / SUMS).exists():
        raise SystemExit(f"{folder} holds golden files already: {', '.join(there) or SUMS}")
    folder.mkdir(exist_ok=True)
    found = {}
    for name, encode in FILES.items():
        data = encode()
        pixels = lrfjax.decode(data)
        found[name] = checksum(pixels)
        (folder / f"{name}.lrfj").write_bytes(data)
        print(f"{name:20} {len(data):6} bytes  {pixels.dtype} {pixels.shape}", flush=True)
    (folder / SUMS).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the golden files.")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    write(parser.parse_args().folder)
