"""Read and write CompressAI's results files: published curves, and ours for its tools.

A file is a JSON object with a ``name``, a ``description`` and ``results``: ``bpp`` and metrics as
lists of one length. Each entry is a mean over the images of a data set at one setting of the codec
(https://github.com/InterDigitalInc/CompressAI, ``results/image``). The names of the metrics have
changed over the years; all names in its image results are read.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrfjax.errors import InputError
from lrfjax.evaluation.mean_curves import by_image, check_one_codec
from lrfjax.evaluation.rate_distortion import similarity_decibels
from lrfjax.evaluation.results import Row, by_method
from lrfjax.image.writing import check_writable, write_atomically

_KEYS = {
    "psnr_db": ("psnr-rgb", "psnr"),
    "ms_ssim": ("ms-ssim-rgb", "ms-ssim", "msssim"),
    "ms_ssim_db": ("ms-ssim-db-rgb", "ms-ssim-db"),
}


@dataclass(frozen=True, eq=False)
class PublishedCurve:
    """A rate-distortion curve of means over a data set.

    Attributes:
        name: name of the codec.
        description: description of the measurement.
        bpp: shape (n,), rising.
        metrics: arrays of shape (n,) by name: ``"psnr_db"``, and ``"ms_ssim"`` with
            ``"ms_ssim_db"`` (decibels of the mean, unless the file has means of decibels).
    """

    name: str
    description: str
    bpp: np.ndarray
    metrics: Mapping[str, np.ndarray]


def read_compressai(path: str | os.PathLike[str]) -> PublishedCurve:
    """Return the curve of a CompressAI results file, sorted by rate.

    Args:
        path: path of the file. Its stem is the name of a curve without one, as in CompressAI.
            Other entries, such as times, are ignored.

    Raises:
        InputError: if the file cannot be read, is not JSON, or lacks ``results``, ``bpp`` or every
            known metric, or if a list has other entries than numbers or another length than
            ``bpp``.
    """
    where = f"results {os.fspath(path)!r}"
    try:
        data = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(results := data.get("results"), dict):
        raise InputError(f"{where} must be an object with an object 'results'")
    if "bpp" not in results:
        raise InputError(f"{where} has no 'bpp' among {sorted(results)}")
    bpp = _numbers(where, "bpp", results["bpp"])
    if not np.all(bpp > 0):
        raise InputError(f"{where} has a rate that is not positive: {bpp.min():g} bpp")
    order = np.argsort(bpp, kind="stable")
    metrics = {}
    for metric, keys in _KEYS.items():
        key = next((key for key in keys if key in results), None)
        if key is None:
            continue
        values = _numbers(where, key, results[key])
        if len(values) != len(bpp):
            raise InputError(f"{where} has {len(bpp)} rates and {len(values)} of {key!r}")
        if metric == "ms_ssim" and np.any(values > 1):
            raise InputError(f"{where} has a similarity above 1: {key!r} of {values.max():g}")
        metrics[metric] = values[order]
    if not metrics:
        known = ", ".join(key for keys in _KEYS.values() for key in keys)
        raise InputError(f"{where} has none of {known} among {sorted(results)}")
    if "ms_ssim" in metrics:
        metrics.setdefault("ms_ssim_db", similarity_decibels(metrics["ms_ssim"]))
    elif "ms_ssim_db" in metrics:
        metrics["ms_ssim"] = 1 - 10 ** (-metrics["ms_ssim_db"] / 10)
    texts = (data.get("name", Path(path).stem), data.get("description", ""))
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{where} must have texts as name and description, got {texts!r}")
    return PublishedCurve(*texts, bpp[order], metrics)


def write_compressai(
    path: str | os.PathLike[str],
    rows: Sequence[Row],
    method: str,
    description: str | None = None,
) -> None:
    """Write the means over the images at each level as a CompressAI results file.

    A level is left out if an image lacks it, since its mean would be over different images, or if
    a file is lossless. MS-SSIM and times (in seconds) are written if all images have them. The file
    appears whole or not at all.

    Args:
        path: path of the file.
        rows: rows of any codecs. Rows with an error are left out.
        method: name of the codec to write, also in the file.
        description: text for the file; by default the number of images and the measured versions.

    Raises:
        InputError: if the codec has no rows or several sets of parameters, no level is left, or
            the file cannot be written.
    """
    check_writable(path)
    methods = by_method(rows)
    own = methods.get(method, [])
    if not own:
        raise InputError(f"method {method!r} is not among {sorted(methods)}")
    check_one_codec(own)
    images = by_image(own)
    by_level: dict[float, dict[tuple[str, str], Row]] = {}
    for image, points in images.items():
        for row in points:
            by_level.setdefault(row.level, {}).setdefault(image, row)
    levels = [
        list(found.values())
        for _, found in sorted(by_level.items())
        if len(found) == len(images) and all(math.isfinite(r.psnr_db) for r in found.values())
    ]
    if not levels:
        raise InputError(f"method {method!r} has no lossy level that all {len(images)} images have")

    def means(name: str) -> list[float]:
        return [float(np.mean([getattr(row, name) for row in level])) for level in levels]

    suffix = "-rgb" if all(row.channels == 3 for row in own) else ""
    results = {"psnr" + suffix: means("psnr_db")}
    if all(map(math.isfinite, similarity := means("ms_ssim"))):
        results["ms-ssim" + suffix] = similarity
    results["bpp"] = means("bpp")
    for key, name in (("encoding_time", "encode_ms"), ("decoding_time", "decode_ms")):
        if all(map(math.isfinite, times := means(name))):
            results[key] = [milliseconds / 1e3 for milliseconds in times]
    data = {
        "name": method,
        "description": _describe(own, len(images)) if description is None else description,
        "results": results,
    }
    write_atomically(path, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())


def _describe(rows: Sequence[Row], num_images: int) -> str:
    versions = sorted({f"{name} {version}" for r in rows for name, version in r.versions.items()})
    count = f"{num_images} image{'s' * (num_images > 1)}"
    return ", ".join([f"mean over {count}", *versions])


def _numbers(where: str, key: str, values: Any) -> np.ndarray:
    if not isinstance(values, list) or not values:
        raise InputError(f"{where} must have a list of numbers as {key!r}, got {values!r:.80}")
    for value in values:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        # Python reads NaN, Infinity and integers beyond any float from JSON as well.
        if not (is_number and abs(value) <= sys.float_info.max):
            raise InputError(f"{where} must have finite numbers as {key!r}, got {value!r:.80}")
    return np.array(values, float)
