"""The rows of a batch of images with one method, whatever its codec does.

A codec may come from another package. What it raises, and what it returns that is no file or no
image of the right shape, becomes a row with an error.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import jax
import numpy as np

from lrfjax.errors import LrfError
from lrfjax.evaluation.dataset import Item
from lrfjax.evaluation.measure import checked_file, checked_pixels
from lrfjax.evaluation.methods import Method
from lrfjax.evaluation.results import Row
from lrfjax.evaluation.timing import warm_time
from lrfjax.image.metrics import fidelity

Todo = Sequence[tuple[float, Sequence[int]]]
"""Levels with missing rows, each with the indices of the images that lack it."""

_VERSIONED = ("lrfjax", "jax", "numpy", "pillow")
_LONGEST_REASON = 300
_NAN = float("nan")


def measure_batch(
    batch: Sequence[Item], images: Sequence[np.ndarray], method: Method, todo: Todo
) -> Iterator[list[Row]]:
    """Yield the rows that are due, level by level, with an error where the codec fails.

    Args:
        batch: images of one shape.
        images: their pixels. They become read-only, so that no codec can change what its result is
            compared with.
        method: the method.
        todo: what is due.
    """
    for image in images:
        image.flags.writeable = False
    sweep = _sweep(images, method, [level for level, _ in todo])
    for level, missing in todo:
        files = next(sweep, None)
        size = len(batch) if files else 1
        coded: dict[int, dict[str, Any]] = {}
        decoded = list(images)
        for k in missing:
            try:
                if files:
                    data, encode_ms = files[0][k], files[1]
                else:
                    data, encode_ms = warm_time(partial(method.encode_at, images[k], level))
                coded[k] = {"num_bytes": len(checked_file(data)), "batch": size}
                decoded[k], decode_ms = _decode(method, images[k], data)
                coded[k] |= {"encode_ms": round(encode_ms, 3), "decode_ms": round(decode_ms, 3)}
            # A codec from outside may raise anything.
            except Exception as error:
                coded[k] = _failure(error)
        scored = [k for k, values in coded.items() if "error" not in values]
        if scored:
            # Score the whole batch, so that one compiled program serves any missing rows.
            scores = fidelity(np.stack(images), np.stack(decoded))
            psnr, ssim, ms_ssim = (np.asarray(values).tolist() for values in scores)
            for k in scored:
                coded[k]["psnr_db"] = round(psnr[k], 4)
                coded[k] |= {"ssim": round(ssim[k], 6), "ms_ssim": round(ms_ssim[k], 6)}
        shared = _shared(images[0], method, level)
        yield [
            Row(image=batch[k].name, digest=batch[k].digest, **shared, **values)
            for k, values in coded.items()
        ]


def _sweep(
    images: Sequence[np.ndarray], method: Method, levels: Sequence[float]
) -> Iterator[tuple[Sequence[bytes], float]]:
    """Yield the files of each level and the time of an image, if the codec takes batches.

    They end at the first error. Encoding the images one by one shows which of them is at fault.
    """
    if not (method.is_batched and levels):
        return
    try:
        next(method.sweep_over(images, levels[:1]))  # compiles
        sweep = method.sweep_over(images, levels)
        for _ in levels:
            start = time.perf_counter()
            files = next(sweep)
            ms = 1e3 * (time.perf_counter() - start) / len(images)
            yield files, _NAN if method.codec.shares_work else ms
    except Exception:
        return


def _decode(method: Method, image: np.ndarray, data: bytes) -> tuple[np.ndarray, float]:
    """Return the decoded image in the shape of the original, and the time in ms."""
    decoded, ms = warm_time(lambda: method.codec.decode(data))
    pixels = checked_pixels(decoded, image.shape)
    if pixels.ndim > image.ndim:  # a format without gray
        pixels = np.rint(pixels.mean(axis=2)).astype(np.uint8)
    return pixels, ms


def _failure(error: Exception) -> dict[str, Any]:
    """Return the fields of a row that was not measured."""
    reason = " ".join(str(error).split())
    if not isinstance(error, LrfError):
        reason = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]} ..."
    missing = dict.fromkeys(("psnr_db", "ssim", "ms_ssim", "encode_ms", "decode_ms"), _NAN)
    return {"num_bytes": 0, "error": reason or type(error).__name__, **missing}


def _shared(image: np.ndarray, method: Method, level: float) -> dict[str, Any]:
    """Return the fields that the rows of a batch have in common."""
    device = jax.local_devices()[0]
    return {
        "height": image.shape[0],
        "width": image.shape[1],
        "channels": 1 if image.ndim == 2 else 3,
        "method": method.name,
        "level": float(level),
        "parameters": method.settings,
        "versions": versions(),
        "device": ", ".join(dict.fromkeys((device.platform, device.device_kind))),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the numbers depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _VERSIONED}
