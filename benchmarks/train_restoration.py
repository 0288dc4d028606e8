"""Train the weights of the filter after deblocking: an array of ``trained.npz``.

    python -m benchmarks.train_restoration --data PHOTOS --out lrfjax/codec/entropy/trained.npz

The codec runs over the photographs at random rates. The weights of each class of blocks minimise
the squared error of its samples: linear least squares. The other arrays of the file stay as they
are. Never train on the pictures that the codec is judged by. A change of the result is a new
version of the byte format.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from lrfjax.codec.dictionary.decode import reconstruct
from lrfjax.codec.dictionary.encode import ImageEncoder
from lrfjax.codec.rate_control import quality_dial
from lrfjax.image import restore
from lrfjax.image.deblock import deblock
from lrfjax.image.reading import read_image

CROP = 640
CROPS = 4
QUALITIES = (5.0, 48.0)
RIDGE = 1e-4


@jax.jit
def terms_of(beyond: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return what the weights multiply, (NUM_WEIGHTS, blocks, 64), and the class of each block."""
    classes = restore.classes_of(restore.second_differences(beyond), step)
    terms = jnp.stack(restore.clipped_differences(beyond, step)).astype(jnp.float32)
    return by_block(terms), classes.ravel()


def by_block(x: jax.Array) -> jax.Array:
    """Return arrays of shape (..., P / 8, 8, Q / 8, 8, M) as (..., blocks, 64)."""
    x = jnp.moveaxis(x, (-4, -2), (-2, -1))
    return x.reshape(*x.shape[:-5], -1, restore.BLOCK**2)


def add_products(
    crop: np.ndarray, quality: float, products: np.ndarray, targets: np.ndarray
) -> None:
    """Encode a picture, and add the normal equations of each class to ``products``, ``targets``."""
    encoder = ImageEncoder(crop, "rotated", 2, None)
    header = encoder._header(quality_dial(quality, 8))
    (tile,) = encoder._coded(header, quality_dial(quality, 8), 1.0)
    steps = np.array(header.finish.steps, np.int32)
    planes = reconstruct(header, tile.u, tile.kinds)
    decoded = deblock(planes, steps, header.finish.deblocking)[0]
    terms, classes = map(np.asarray, terms_of(restore.extend(decoded), steps[0]))
    p, q, rows, columns = decoded.shape
    wanted = 16 * encoder._single_tile[0].reshape(decoded.shape)
    shape = (p // restore.BLOCK, restore.BLOCK, q // restore.BLOCK, restore.BLOCK, rows * columns)
    errors = np.asarray(by_block((wanted - decoded).reshape(shape)))
    for number in range(restore.NUM_CLASSES):
        where = classes == number
        # Errors count in steps: large steps must not outweigh all others.
        part = terms[:, where].reshape(len(terms), -1).astype(np.float64) / steps[0]
        products[number] += part @ part.T
        targets[number] += part @ errors[where].ravel().astype(np.float64) / steps[0]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    size = restore.NUM_WEIGHTS
    products = np.zeros((restore.NUM_CLASSES, size, size))
    targets = np.zeros((restore.NUM_CLASSES, size))
    for path in tqdm(sorted(options.data.glob("*.png"))):
        image = np.asarray(read_image(path))
        for _ in range(CROPS):
            top, left = (rng.integers(max(n - CROP, 0) + 1) for n in image.shape[:2])
            crop = np.ascontiguousarray(image[top : top + CROP, left : left + CROP])
            add_products(crop, rng.uniform(*QUALITIES), products, targets)
    # Classes that hardly occur take after the mean of all.
    shared = products.sum(axis=0) / products[:, 0, 0].sum()
    weights = np.zeros_like(targets)
    overall = np.linalg.solve(products.sum(axis=0), targets.sum(axis=0))
    for number, (a, b) in enumerate(zip(products, targets, strict=True)):
        ridge = (RIDGE * a[0, 0] + 1e-6 * products[:, 0, 0].sum()) * shared
        weights[number] = np.linalg.solve(a + ridge, b + ridge @ overall)
    integers = np.rint(weights * 2**restore.WEIGHT_BITS)
    print("largest sum of magnitudes:", np.abs(integers).sum(axis=1).max())
    arrays = dict(np.load(options.out)) | {"restoration": integers.T.astype(np.int16)}
    np.savez_compressed(options.out, **arrays)


if __name__ == "__main__":
    main()
