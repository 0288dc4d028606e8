"""EfficientNet-Lite0, an ImageNet classifier of 4.7 million weights, as a pure function.

EfficientNet (Tan and Le, arXiv 1905.11946) stacks inverted residual blocks (MobileNetV2, arXiv
1801.04381): a 1 x 1 convolution that widens, a depthwise one, a 1 x 1 convolution that narrows, and
the input added where shapes agree. The Lite variants drop squeeze-and-excitation and have ReLU6 in
place of swish. All padding is TensorFlow's "SAME": if it is odd, the bottom and the right get the
larger part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from lrfjax.errors import InputError

IMAGE_SIZE = 224
"""Height and width, in pixels, of the images that the network was trained on."""
NUM_CLASSES = 1000

_EPSILON = 1e-3
"""Added to the variance in batch normalisation, as in training."""


class _Stage(NamedTuple):
    repeats: int
    kernel_size: int
    stride: int
    """Stride of the first block; the others have 1."""
    expansion: int
    channels: int


_STEM_CHANNELS, _HEAD_CHANNELS = 32, 1280
_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


class Convolution(NamedTuple):
    """A convolution, with the batch normalisation after it folded in.

    Attributes:
        kernel: shape (K, K, I, O), or (K, K, 1, O) if depthwise; float32.
        bias: shape (O,), float32.
    """

    kernel: Array
    bias: Array


class Block(NamedTuple):
    """An inverted residual block; ``expand`` is None in the first, which does not widen."""

    expand: Convolution | None
    depthwise: Convolution
    project: Convolution


class Parameters(NamedTuple):
    """All weights of the network, a pytree; see ``fold``."""

    stem: Convolution
    blocks: tuple[Block, ...]
    head: Convolution
    classifier: Convolution


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each array that ``fold`` reads.

    Example:
        >>> shapes = weight_shapes()
        >>> shapes["_conv_stem.weight"], shapes["_fc.weight"]
        ((32, 3, 3, 3), (1000, 1280))
        >>> sum(np.prod(s) for n, s in shapes.items() if n.endswith(("weight", "bias")))
        np.int64(4652008)
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def add(kernel: str, norm: str, out: int, *rest: int) -> None:
        shapes[f"{kernel}.weight"] = (out, *rest)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{part}"] = (out,)

    add("_conv_stem", "_bn0", _STEM_CHANNELS, 3, 3, 3)
    index, channels = 0, _STEM_CHANNELS
    for stage in _STAGES:
        for _ in range(stage.repeats):
            name, inner = f"_blocks.{index}.", channels * stage.expansion
            if stage.expansion != 1:
                add(name + "_expand_conv", name + "_bn0", inner, channels, 1, 1)
            size = stage.kernel_size
            add(name + "_depthwise_conv", name + "_bn1", inner, 1, size, size)
            add(name + "_project_conv", name + "_bn2", stage.channels, inner, 1, 1)
            index, channels = index + 1, stage.channels
    add("_conv_head", "_bn1", _HEAD_CHANNELS, channels, 1, 1)
    shapes["_fc.weight"] = (NUM_CLASSES, _HEAD_CHANNELS)
    shapes["_fc.bias"] = (NUM_CLASSES,)
    return shapes


def fold(weights: Mapping[str, np.ndarray]) -> Parameters:
    """Return parameters from PyTorch's arrays, with batch normalisation folded into convolutions.

    Folding is exact up to rounding, and is done in float64.

    Args:
        weights: arrays by the names in ``weight_shapes``, kernels of shape (O, I, K, K); others
            (``num_batches_tracked``) are ignored.

    Raises:
        InputError: if an array is missing, has another shape, is not floating-point or not finite,
            or a variance is negative.
    """
    for name, shape in weight_shapes().items():
        if name not in weights:
            raise InputError(f"weights have no {name!r}: not those of EfficientNet-Lite0")
        array = weights[name]
        if array.shape != shape:
            raise InputError(f"weights {name!r} must have shape {shape}, got {array.shape}")
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise InputError(f"weights {name!r} must be finite floats ({array.dtype})")
        if name.endswith("running_var") and array.min() < 0:
            raise InputError(f"weights {name!r} must not be negative, got {array.min()}")

    def convolution(kernel: str, norm: str) -> Convolution:
        gain, bias, mean, variance = (
            weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gain / np.sqrt(variance + _EPSILON)
        folded = weights[f"{kernel}.weight"].transpose(2, 3, 1, 0) * gain
        return Convolution(_float32(folded), _float32(bias - mean * gain))

    blocks = []
    names = weight_shapes()
    for index in range(sum(stage.repeats for stage in _STAGES)):
        name = f"_blocks.{index}."
        has_expand = f"{name}_expand_conv.weight" in names
        blocks.append(
            Block(
                convolution(name + "_expand_conv", name + "_bn0") if has_expand else None,
                convolution(name + "_depthwise_conv", name + "_bn1"),
                convolution(name + "_project_conv", name + "_bn2"),
            )
        )
    return Parameters(
        convolution("_conv_stem", "_bn0"),
        tuple(blocks),
        convolution("_conv_head", "_bn1"),
        Convolution(_float32(weights["_fc.weight"].T[None, None]), _float32(weights["_fc.bias"])),
    )


def _float32(x: np.ndarray) -> Array:
    return jnp.asarray(x, jnp.float32)


@jax.jit
def logits(params: Parameters, images: Array) -> Array:
    """Return the logits of a batch of images.

    Args:
        params: weights from ``fold``.
        images: RGB images from ``normalize``, shape (B, H, W, 3), float32. The network was trained
            at H = W = ``IMAGE_SIZE``.

    Returns:
        Shape (B, 1000), float32; classes in the usual order of ImageNet (ILSVRC 2012).
    """
    x = _relu6(_convolve(images, params.stem, 2))
    blocks = iter(params.blocks)
    for stage in _STAGES:
        for index in range(stage.repeats):
            block = next(blocks)
            y = x if block.expand is None else _relu6(_convolve(x, block.expand))
            y = _relu6(_convolve_depthwise(y, block.depthwise, 1 if index else stage.stride))
            y = _convolve(y, block.project)
            x = x + y if index else y
    features = _relu6(_convolve(x, params.head)).mean((1, 2), keepdims=True)
    return _convolve(features, params.classifier)[:, 0, 0]


def normalize(images: Array) -> Array:
    """Return pixels, from 0 to 255, scaled to the range of the network: float32, about [-1, 1].

    Example:
        >>> [round(float(x), 3) for x in normalize(jnp.array([0, 255], jnp.uint8))]
        [-0.992, 1.0]
    """
    return (images.astype(jnp.float32) / 255 - 0.498) / 0.502


def _relu6(x: Array) -> Array:
    return jnp.clip(x, 0, 6)


def _convolve(x: Array, layer: Convolution, stride: int = 1) -> Array:
    y = lax.conv_general_dilated(
        x,
        layer.kernel,
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=lax.Precision.HIGHEST,
    )
    return y + layer.bias


def _convolve_depthwise(x: Array, layer: Convolution, stride: int) -> Array:
    # A sum of shifted images: XLA fuses it, and its grouped convolution is slow on CPUs.
    size, (height, width) = layer.kernel.shape[0], x.shape[1:3]
    out = [-(-length // stride) for length in (height, width)]
    total = [
        max((n - 1) * stride + size - length, 0)
        for n, length in zip(out, (height, width), strict=True)
    ]
    margins = [(n // 2, n - n // 2) for n in total]
    padded = jnp.pad(x, ((0, 0), *margins, (0, 0)))
    rows, columns = ((n - 1) * stride + 1 for n in out)
    y = layer.bias
    for i in range(size):
        for j in range(size):
            shifted = padded[:, i : i + rows : stride, j : j + columns : stride]
            y = y + shifted * layer.kernel[i, j, 0]
    return y
