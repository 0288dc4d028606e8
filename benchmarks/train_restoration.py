"""Train the weights of the filter after deblocking: arrays of ``trained.npz``.

    python -m benchmarks.train_restoration --data PHOTOS --out lrfjax/codec/entropy/trained.npz

The codec runs over the photographs at random rates. The weights of each plane and class of blocks
minimise the squared error of its samples: linear least squares. The other arrays of the file stay
as they are. Never train on the pictures that the codec is judged by. A change of the result is a
new version of the byte format.
"""

from __future__ import annotations

import argparse
from functools import partial
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
WEIGHT = 1.2
"""The weight of the Lagrange multiplier: other pictures leave more to restore than these."""


@partial(jax.jit, static_argnames="clips")
def terms_of(beyond: jax.Array, step: jax.Array, *, clips: tuple[int, ...]) -> jax.Array:
    """Return what the weights multiply, (weights, blocks, 64)."""
    return by_block(jnp.stack(restore.clipped_differences(beyond, step, clips)).astype(jnp.float32))


def by_block(x: jax.Array) -> jax.Array:
    """Return arrays of shape (..., P / 8, 8, Q / 8, 8, M) as (..., blocks, 64)."""
    x = jnp.moveaxis(x, (-4, -2), (-2, -1))
    return x.reshape(*x.shape[:-5], -1, restore.BLOCK**2)


class Equations:
    """The normal equations of the classes of a plane.

    Attributes:
        products: shape (NUM_CLASSES, size, size), sums of products of two terms.
        targets: shape (NUM_CLASSES, size), sums of products of a term and the error.
    """

    def __init__(self, size: int) -> None:
        self.products = np.zeros((restore.NUM_CLASSES, size, size))
        self.targets = np.zeros((restore.NUM_CLASSES, size))

    def add(self, terms: np.ndarray, errors: np.ndarray, classes: np.ndarray) -> None:
        """Add blocks: terms (size, blocks, 64), errors (blocks, 64), classes (blocks,)."""
        for number in range(restore.NUM_CLASSES):
            where = classes == number
            part = terms[:, where].reshape(len(terms), -1).astype(np.float64)
            self.products[number] += part @ part.T
            self.targets[number] += part @ errors[where].ravel().astype(np.float64)

    def weights(self) -> np.ndarray:
        """Return the weights of each class, integers of shape (size, NUM_CLASSES)."""
        # Classes that hardly occur take after the mean of all.
        total = self.products[:, 0, 0].sum()
        # Where all differences are small, the terms of several limits are equal.
        shared = self.products.sum(axis=0) / total + np.eye(self.targets.shape[1])
        overall = np.linalg.solve(
            self.products.sum(axis=0) + RIDGE * total * shared, self.targets.sum(axis=0)
        )
        found = []
        for a, b in zip(self.products, self.targets, strict=True):
            ridge = (RIDGE * a[0, 0] + 1e-6 * total) * shared
            found.append(np.linalg.solve(a + ridge, b + ridge @ overall))
        return np.rint(np.stack(found, axis=1) * 2**restore.WEIGHT_BITS)


def add_picture(crop: np.ndarray, quality: float, equations: list[Equations]) -> None:
    """Encode a picture, and add its blocks to the equations of each plane."""
    encoder = ImageEncoder(crop, "rotated", 2, None)
    header = encoder._header(quality_dial(quality, 8))
    (tile,) = encoder._coded(header, quality_dial(quality, 8), WEIGHT)
    steps = np.array(header.finish.steps, np.int32)
    planes = reconstruct(header, tile.u, tile.kinds)
    decoded = deblock(planes, steps, header.finish.deblocking)
    beyond = restore.extend(decoded)
    classes = np.asarray(restore.classes_of(restore.second_differences(beyond[0]), steps[0]))
    errors = 16 * encoder._single_tile.reshape(decoded.shape) - decoded
    _, p, q, rows, columns = decoded.shape
    shape = (p // restore.BLOCK, restore.BLOCK, q // restore.BLOCK, restore.BLOCK, rows * columns)
    for plane, (clips, step) in enumerate(zip(restore.CLIPS, steps, strict=True)):
        # Errors count in steps: large steps must not outweigh all others.
        terms = np.asarray(terms_of(beyond[plane], step, clips=clips)) / step
        error = np.asarray(by_block(errors[plane].reshape(shape))) / step
        equations[plane].add(terms, error, classes.ravel())


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    equations = [Equations(len(restore.OFFSETS) * len(clips)) for clips in restore.CLIPS]
    for path in tqdm(sorted(options.data.glob("*.png"))):
        image = np.asarray(read_image(path))
        for _ in range(CROPS):
            top, left = (rng.integers(max(n - CROP, 0) + 1) for n in image.shape[:2])
            crop = np.ascontiguousarray(image[top : top + CROP, left : left + CROP])
            add_picture(crop, rng.uniform(*QUALITIES), equations)
    arrays = dict(np.load(options.out))
    for plane, of_plane in enumerate(equations):
        integers = of_plane.weights()
        print("largest sum of magnitudes:", np.abs(integers).sum(axis=0).max())
        arrays[f"restoration_{plane}"] = integers.astype(np.int16)
    np.savez_compressed(options.out, **arrays)


if __name__ == "__main__":
    main()
