"""Train the contexts and tables of the entropy coder: ``lrfjax/codec/entropy/trained.npz``.

    python -m benchmarks.train_contexts --data PHOTOS --out lrfjax/codec/entropy/trained.npz

Weights come first: gradient descent on the code length of a geometric model whose mean they
predict. Then the tables: the codec runs over the photographs with the tables of the output file,
and counts what it decides. After a change of the weights, run it again with ``--weights``, since
decisions follow the tables. Never train on the pictures that the codec is judged by. A change of
the result is a new version of the byte format.
"""

from __future__ import annotations

import argparse
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.optimize import nnls
from tqdm import tqdm

import lrfjax
from lrfjax.codec.codec import Rate
from lrfjax.codec.codecs.paper_imf import PaperIMFCodec
from lrfjax.codec.dictionary import choice as dictionary_choice
from lrfjax.codec.dictionary.atoms import ATOMS, BANDS
from lrfjax.codec.entropy import dictionary_coder, factor_coder, interlaced, trained
from lrfjax.codec.entropy.ans import SymbolEncoder
from lrfjax.codec.entropy.checkerboard import checkerboard
from lrfjax.codec.entropy.context_gradient import rate_gradient
from lrfjax.codec.entropy.frequency_contexts import (
    MAX_MAGNITUDE,
    NUM_GROUPS,
    STEP_UNIT,
    WEIGHT_ONE,
    group_masks,
)
from lrfjax.codec.entropy.magnitudes import ESCAPE, NUM_CLASSES
from lrfjax.codec.planes import color_rotation, to_patches
from lrfjax.codec.published.layout import to_matrices
from lrfjax.codec.published.ranks import resolve_ranks
from lrfjax.codec.rate_control import LAGRANGIAN
from lrfjax.image.reading import read_image

CROP = 24
FACTOR_QUALITIES = (3, 8, 20, 40)
"""Qualities of the published codec whose factors its contexts are trained on."""

STEPS_IN_GRAY = (8.0, 160.0)
DECISIONS = 6
"""Steps at which each photograph is decided, for the tables."""


def draw_step(rng: np.random.Generator) -> int:
    """Return a random step in 1/16 gray levels, uniform in its logarithm."""
    return round(16 * np.exp(rng.uniform(*np.log(STEPS_IN_GRAY))))


class Photograph(NamedTuple):
    """The patches of a photograph, and their grid."""

    grid: tuple[int, int]
    patches: np.ndarray

    def crop(self, rng: np.random.Generator) -> Photograph:
        """Return a random part of ``CROP`` x ``CROP`` patches."""
        row, column = (rng.integers(n - CROP + 1) for n in self.grid)
        whole = self.patches.reshape(*self.patches.shape[:3], *self.grid)
        part = whole[..., row : row + CROP, column : column + CROP]
        return Photograph((CROP, CROP), np.ascontiguousarray(part).reshape(*whole.shape[:3], -1))

    def ratios(self, step: int) -> np.ndarray:
        """Return real-valued U for a step, shape (planes, M, 256)."""
        in_gray = np.full(len(self.patches), step / 16, np.float32)
        return dictionary_choice.choose(self.patches, in_gray, self.grid, LAGRANGIAN)[0]

    def decide(self, step: int) -> CountingSource:
        """Return what the encoder decides at a step."""
        steps = (step,) * len(self.patches)
        stack = dictionary_coder.Stack(self.grid, (len(BANDS),) * len(steps), steps, 0)
        ratios = self.ratios(step)
        source = CountingSource(ratios, stack, LAGRANGIAN)
        dictionary_coder.walk(source, stack)
        source = CountingSource(ratios, stack, LAGRANGIAN, rate_gradient(source))
        dictionary_coder.walk(source, stack)
        return source


def expected(weights: jax.Array, magnitudes: list[jax.Array], step: jax.Array) -> list[jax.Array]:
    """Return the expected magnitudes of all entries, for both colours (3, 256, n).

    The same as ``dictionary_coder`` computes band by band, in floats and all at once.
    """
    board = checkerboard(CROP, CROP)
    masks = group_masks()
    padded = [jnp.pad(m, ((0, 0), (0, 0), (0, 1))) for m in magnitudes]
    out = []
    for color in (0, 1):
        own, other = magnitudes[color], padded[1 - color]
        vertical = other[..., board.vertical[color]].sum(axis=-2)
        horizontal = other[..., board.horizontal[color]].sum(axis=-2)

        def mix(mask: np.ndarray, x: jax.Array) -> jax.Array:
            return jnp.einsum("ij,pjn->pin", mask, x)

        groups = [mix(mask, own) for mask in masks["same_cell"]]
        for i in (0, 1):
            groups.append(
                mix(masks["vertical"][i], vertical) + mix(masks["horizontal"][i], horizontal)
            )
        groups += [vertical * color, horizontal * color]
        luma = jnp.stack([0 * own[0], own[0], own[0]])
        chroma = jnp.stack([0 * own[0], 0 * own[0], own[1]])
        groups += [luma, mix(masks["around"], luma), chroma, mix(masks["around"], chroma)]
        both = vertical + horizontal
        groups.append(jnp.stack([0 * both[0], both[0], both[0] + both[1]]))
        groups += [jnp.ones_like(own), jnp.full_like(own, STEP_UNIT / step)]
        w = jax.nn.softplus(weights[:, :, color])
        terms = [w[g][..., None] * groups[g] for g in range(NUM_GROUPS)]
        out.append(reduce(jnp.add, terms))
    return out


def code_length(
    parameters: dict[str, jax.Array], entries: list[jax.Array], step: jax.Array
) -> jax.Array:
    """Return the bits of a patch under a geometric model with a free first step."""
    magnitudes = [jnp.minimum(jnp.abs(e), MAX_MAGNITUDE).astype(jnp.float32) for e in entries]
    a, b = jax.nn.softplus(parameters["shape"])[:, :, None, None]
    total = jnp.zeros(())
    for mean, x in zip(expected(parameters["weights"], magnitudes, step), entries, strict=True):
        mean = mean + 1e-5
        size = jnp.abs(x).astype(jnp.float32)
        more = a * mean + b
        nats = jnp.where(
            size == 0,
            jnp.log1p(mean),
            jnp.log1p(mean)
            - jnp.log(mean)
            + jnp.log1p(more)
            + (size - 1) * (jnp.log1p(more) - jnp.log(more)),
        )
        total += jnp.sum(nats[:, 1:])
    return total / np.log(2) / CROP**2


def train_weights(
    photographs: list[Photograph], rng: np.random.Generator, num_steps: int
) -> np.ndarray:
    """Return integer weights of shape (groups, 3, 2, 256).

    Entries are rounded, not decided: weights that were trained on what the encoder decides with
    others are worse by 0.8 % of the rate.
    """
    start = np.full((NUM_GROUPS, 3, 2, len(ATOMS)), 0.03)
    start[-7:-2], start[-2], start[-1] = 0.02, 0.002, 0.002
    inverse = lambda x: jnp.asarray(np.log(np.expm1(x)), jnp.float32)  # noqa: E731
    parameters = {"weights": inverse(start), "shape": inverse(np.full((2, 3), 0.4))}
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, num_steps))
    state = optimizer.init(parameters)

    @jax.jit
    def update(parameters: Any, state: Any, entries: list[jax.Array], step: jax.Array) -> Any:
        value, gradient = jax.value_and_grad(code_length)(parameters, entries, step)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(parameters, updates), state, value

    board = checkerboard(CROP, CROP)
    mean, values = jax.tree.map(jnp.zeros_like, parameters), []
    for i in (bar := tqdm(range(num_steps), desc="weights")):
        step = draw_step(rng)
        ratios = photographs[rng.integers(len(photographs))].crop(rng).ratios(step)
        ratios = ratios.transpose(0, 2, 1)
        entries = np.sign(ratios) * np.floor(np.abs(ratios) + rng.uniform(0.28, 0.36))
        parameters, state, value = update(
            parameters, state, [entries[..., c] for c in board.cells], float(step)
        )
        values.append(float(value))
        if i >= num_steps // 2:
            # The average over the second half has less noise than the last.
            mean = jax.tree.map(lambda m, p: m + p / (num_steps - num_steps // 2), mean, parameters)
        bar.set_postfix_str(f"{np.mean(values[-300:]):.3f} bits a cell")
    return np.rint(WEIGHT_ONE * np.logaddexp(0, np.asarray(mean["weights"]))).astype(np.uint16)


class CountingSource(dictionary_coder.DecidingSource):
    """Decides, and counts the symbols of each table."""

    def count(self, band_counts: np.ndarray, mean_counts: np.ndarray) -> None:
        """Add what was decided to the counts."""
        for plane, bands in enumerate(self.records):
            for band, colors in enumerate(bands, start=1):
                for color, record in enumerate(colors):
                    symbols = np.minimum(record.values, ESCAPE)
                    where = band_counts[plane, color, trained.ZONES[band]]
                    np.add.at(where, (record.classes, symbols), 1)
        steps = interlaced.passes(*self.stack.grid)
        for step, (values, classes, _) in zip(steps, self._means, strict=True):
            for plane, (v, c) in enumerate(zip(values, classes, strict=True)):
                np.add.at(mean_counts[step.kind, plane], (c, np.minimum(np.abs(v), ESCAPE)), 1)


def smooth(counts: np.ndarray) -> np.ndarray:
    """Return counts with some of those of all zones mixed in, where a table has seen little."""
    pooled = counts.sum(axis=tuple(range(counts.ndim - 2)))
    shares = (pooled + 0.05) / (pooled + 0.05).sum(axis=-1, keepdims=True)
    # Classes that hardly occur take after their neighbours.
    for _ in range(2):
        near = np.pad(shares, ((1, 1), (0, 0)), mode="edge")
        weight = (pooled.sum(axis=-1, keepdims=True) + 1) / (
            pooled.sum(axis=-1, keepdims=True) + 50
        )
        shares = weight * shares + (1 - weight) * (near[:-2] + near[2:]) / 2
    mixed = counts + 30 * shares
    return np.maximum(np.rint(mixed / mixed.sum(axis=-1, keepdims=True) * 2**20), 1).astype(
        np.uint32
    )


def use(arrays: dict[str, np.ndarray]) -> None:
    """Make the codec in this process use these arrays."""
    for name in ("band_contexts", "band_tables", "mean_tables", "factor_weights", "factor_tables"):
        getattr(trained, name).cache_clear()
    dictionary_choice._weights.cache_clear()
    trained._arrays = lambda: arrays  # type: ignore[assignment]


def learned_factors(images: list[np.ndarray]) -> list[list[Any]]:
    """Return for U and V the grids and factors of the published codec."""
    found: list[list[Any]] = [[], []]
    for image in tqdm(images, desc="learned factors"):
        for quality in FACTOR_QUALITIES:
            layout = PaperIMFCodec().layout(image.shape)
            ranks = resolve_ranks(layout, Rate(quality=quality))
            for x, rank, grids in zip(
                to_matrices(image, layout=layout), ranks, layout.factor_grids, strict=True
            ):
                parts = lrfjax.imf(x, rank, num_iters=10, record=()).factors
                for kind, part in enumerate((parts.u, parts.v)):
                    found[kind].append((grids[kind], np.asarray(part).astype(np.int32)))
    return found


class RecordingSource(factor_coder.EncodingSource):
    """Notes the classes and the magnitudes of all entries."""

    def __init__(self, part: np.ndarray, grid: tuple[int, int]) -> None:
        super().__init__(part, grid, SymbolEncoder(), has_signs=False)
        self.seen: list[Any] = []

    def magnitudes(self, column: int, color: int, classes: Any, tables: Any) -> np.ndarray:
        """See ``factor_coder.Source``."""
        values = np.abs(self.columns[column][self.board.cells[color]])
        self.seen.append((classes, values))
        return values


def train_factors(found: list[list[Any]]) -> dict[str, np.ndarray]:
    """Return the weights and counts of ``factor_coder``."""
    weights = np.zeros((2, factor_coder.NUM_SITUATIONS, factor_coder.NUM_FEATURES))
    counts = np.zeros((2, NUM_CLASSES, ESCAPE + 1))
    for kind in (0, 1):
        samples: list[list[Any]] = [[] for _ in range(factor_coder.NUM_SITUATIONS)]
        for grid, part in tqdm(found[kind], desc="weights of factors"):
            board = checkerboard(*grid)
            activity = factor_coder.Activity(board)
            for column in range(1, part.shape[1]):
                sizes = np.abs(part[:, column])
                if not sizes.any():
                    continue
                mean = max(round(16 * float(sizes.mean())), 1)
                by_color = [sizes[c] for c in board.cells]
                for color in (0, 1):
                    own = activity.relative(by_color[0], mean) if color else None
                    features = activity.features(color, own)
                    relative = by_color[color] * 16 / mean
                    thin = slice(None, None, 7 if kind == 0 else 1)
                    samples[factor_coder.situation(column, color)].append(
                        np.vstack([features / 256, relative])[:, thin]
                    )
                activity.add(by_color, mean)
        for index, rows in enumerate(samples):
            table = np.concatenate(rows, axis=1)
            f, y = table[:-1].T, table[-1]
            spread = np.ones(len(y))
            for _ in range(6):
                # The variance of a magnitude grows with its mean: so do the weights' residuals.
                w, _ = nnls(f / spread[:, None], y / spread)
                spread = f @ w + 0.1
            weights[kind, index] = w
    integers = np.rint(weights * 1024).astype(np.uint16)
    tables = {"factor_weights": integers, "factor_counts": smooth(counts + 1)}
    # The classes depend on the weights alone, so one walk counts all symbols.
    use({**trained._arrays(), **tables})
    for kind in (0, 1):
        for grid, part in tqdm(found[kind], desc="tables of factors"):
            source = RecordingSource(part, grid)
            factor_coder.walk(source, part.shape[1], grid, kind)
            for classes, values in source.seen:
                np.add.at(counts[kind], (classes, np.minimum(values, ESCAPE)), 1)
    return {"factor_weights": integers, "factor_counts": smooth(counts)}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--num-steps", type=int, default=2500)
    parser.add_argument("--weights", type=Path, help="take the weights from this file")
    parser.add_argument("--factors", type=Path, help="renew the factors' part of this file alone")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    photographs = []
    for path in tqdm(
        sorted(options.data.glob("*.png")) * (not options.factors), desc="photographs"
    ):
        image = read_image(path)
        grid = (-(-image.shape[0] // 16), -(-image.shape[1] // 16))
        rotation = color_rotation(image)
        photographs.append(Photograph(grid, to_patches(image, rotation.forward)))
    images = [read_image(path) for path in sorted(options.data.glob("*.png"))]
    if options.factors:
        arrays = dict(np.load(options.factors))
        use(arrays)
        arrays |= train_factors(learned_factors(images))
        np.savez_compressed(options.out, **arrays)
        return
    if options.weights:
        weights = np.load(options.weights)["weights"]
    else:
        weights = train_weights(photographs, rng, options.num_steps)
    arrays = dict(np.load(options.out)) | {"weights": weights}
    use(arrays)
    band_counts, mean_counts = (np.zeros(arrays[n].shape) for n in ("band_counts", "mean_counts"))
    for photograph in tqdm(photographs, desc="tables"):
        for _ in range(DECISIONS):
            photograph.decide(draw_step(rng)).count(band_counts, mean_counts)
    arrays |= {"band_counts": smooth(band_counts), "mean_counts": smooth(mean_counts)}
    np.savez_compressed(options.out, **arrays)


if __name__ == "__main__":
    main()
