"""The codecs of evaluations, by name: their functions and their settings."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from PIL import features

from lrfjax.codec.classic_settings import PAPER_SETTINGS
from lrfjax.codec.decode import imf_decode, nmf_decode, svd_decode
from lrfjax.codec.encode import imf_encode, nmf_encode, svd_encode
from lrfjax.codec.pil import pil_decode, pil_encode
from lrfjax.codec.sweep import imf_sweep, svd_sweep
from lrfjax.errors import InputError

Sweep = Callable[..., Iterator[list[bytes]]]


@dataclass(frozen=True)
class Method:
    """A codec, with the settings of its rate-distortion curve.

    Attributes:
        name: name in commands and results.
        label: name in figures and tables.
        encode: function of an image and, as keywords, the settings; returns the file.
        decode: function of the file; returns the image.
        parameter: name of the setting that varies along the curve.
        levels: values of this setting, rising; the rate rises with them.
        fixed: all other settings.
        is_continuous: whether values between the levels are valid as well.
        sweep: function of images of one shape, levels, ``max_quality`` and the fixed settings; it
            yields the files of all images for each level. None: images are encoded one by one.
        shares_work: whether the levels of a sweep share work, so that no level has its own time.
    """

    name: str
    label: str
    encode: Callable[..., bytes]
    decode: Callable[[bytes], np.ndarray]
    parameter: str
    levels: tuple[float, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    is_continuous: bool = False
    sweep: Sweep | None = None
    shares_work: bool = False

    def encode_at(self, image: np.ndarray, level: float) -> bytes:
        """Return the file of an image at one level."""
        return self.encode(image, **{self.parameter: level}, **self.fixed)

    def sweep_over(
        self, images: Sequence[np.ndarray], levels: Sequence[float]
    ) -> Iterator[list[bytes]]:
        """Yield the files of images of one shape, level by level."""
        if self.sweep is None:
            for level in levels:
                yield [self.encode_at(image, level) for image in images]
        else:
            yield from self.sweep(images, levels, max_quality=max(self.levels), **self.fixed)


_QUALITIES = (0, 4, 8, 13, 18, 24, 30, 36, 42, 48, 54, 60)
_NMF_QUALITIES = (0, 5, 10, 15, 20, 25, 31, 37, 43)
_JPEG_QUALITIES = (0, 3, 5, 7, 9, 12, 15, 18, 22, 26, 31, 37, 44, 52, 60, 70, 80, 86, 90, 94)
_PILLOW_QUALITIES = (0, 3, 7, 12, 18, 25, 33, 42, 52, 62, 72, 80, 86, 92)
_BPPS = (0.05, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)

# The qualities at which the paper's curves were measured.
PAPER_IMF_QUALITIES = tuple(np.linspace(0, 40, 80).round(6).tolist())
PAPER_SVD_QUALITIES = tuple(np.linspace(0, 5, 30).round(6).tolist())
PAPER_JPEG_QUALITIES = tuple(range(75))
PAPER_SVD_SETTINGS: Mapping[str, Any] = {"color_space": "RGB", "entropy": "deflate"}


def _jpeg2000(image: np.ndarray, bpp: float) -> bytes:
    """Return a JPEG 2000 file of a given rate, with the colour transform that Pillow leaves out."""
    ratio = 8 * image.size / (image.shape[0] * image.shape[1]) / bpp
    return pil_encode(
        image,
        "JPEG2000",
        quality_mode="rates",
        quality_layers=[ratio],
        irreversible=True,
        mct=int(image.ndim == 3),
    )


def _pillow(name: str, label: str, levels: tuple[float, ...], **fixed: Any) -> Method:
    encode = partial(pil_encode, format=name)
    return Method(name.lower(), label, encode, pil_decode, "quality", levels, fixed)


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("imf", "IMF", imf_encode, imf_decode, "quality", _QUALITIES, {}, True),
        Method("svd", "SVD", svd_encode, svd_decode, "quality", _QUALITIES, {}, True),
        Method("nmf", "NMF", nmf_encode, nmf_decode, "quality", _NMF_QUALITIES, {}, True),
        Method(
            "imf-paper",
            "IMF, paper",
            imf_encode,
            imf_decode,
            "quality",
            PAPER_IMF_QUALITIES,
            PAPER_SETTINGS,
            sweep=imf_sweep,
        ),
        Method(
            "svd-paper",
            "SVD, paper",
            svd_encode,
            svd_decode,
            "quality",
            PAPER_SVD_QUALITIES,
            PAPER_SVD_SETTINGS,
            sweep=svd_sweep,
            shares_work=True,
        ),
        _pillow("JPEG", "JPEG", _JPEG_QUALITIES),
        Method("jpeg2000", "JPEG 2000", _jpeg2000, pil_decode, "bpp", _BPPS, {}, True),
        _pillow("WEBP", "WebP", _PILLOW_QUALITIES, method=6),
        _pillow("AVIF", "AVIF", _PILLOW_QUALITIES, speed=6),
    )
}
"""Codecs by name: ours with default settings, the two of the paper, and Pillow's."""


def choose_methods(names: Iterable[str], levels: Mapping[str, Sequence[float]]) -> list[Method]:
    """Return methods by name, optionally with other levels than their own.

    Args:
        names: names from ``METHODS``; repeated names count once.
        levels: levels by name, in place of the method's own.

    Raises:
        InputError: if there are no names, a name is unknown, this Pillow cannot write a format, or
            levels are empty or for a method that is not chosen.

    Example:
        >>> [m.label for m in choose_methods(["imf", "jpeg"], {"jpeg": [10, 20]})]
        ['IMF', 'JPEG']
    """
    chosen = list(dict.fromkeys(names))
    if not chosen:
        raise InputError(f"methods must name at least one of {', '.join(METHODS)}")
    for name in chosen:
        if name not in METHODS:
            near = difflib.get_close_matches(name, METHODS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(METHODS)}"
            raise InputError(f"methods has no {name!r}: {hint}")
        if name == "avif" and not features.check("avif"):
            raise InputError("methods has 'avif', which this Pillow was built without")
    for name, values in levels.items():
        if name not in chosen:
            raise InputError(f"levels are for {name!r}, which is not among {', '.join(chosen)}")
        if not len(values):
            raise InputError(f"levels of {name!r} must not be empty")
    return [
        replace(METHODS[name], levels=tuple(sorted({float(v) for v in levels[name]})))
        if name in levels
        else METHODS[name]
        for name in chosen
    ]
