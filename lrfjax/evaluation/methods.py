"""Codecs with the levels of their rate-distortion curves, as evaluations take them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrfjax.codec.codec import Codec, Rate
from lrfjax.codec.registry import codecs, find
from lrfjax.errors import InputError, LrfError


@dataclass(frozen=True)
class Method:
    """A codec, and what varies along its rate-distortion curve.

    Attributes:
        codec: the codec with its settings.
        name: name in commands and results.
        label: name in figures and tables.
        parameter: field of ``Rate`` that varies along the curve.
        levels: values of this field, rising; the rate rises with them.
        is_batched: whether the codec encodes images of one shape together.
    """

    codec: Codec
    name: str
    label: str
    parameter: str
    levels: tuple[float, ...]
    is_batched: bool

    @classmethod
    def of(cls, codec: str | Codec, levels: Sequence[float] | None = None) -> Method:
        """Return the method of a codec or of its name, by default with the codec's own levels."""
        found = find(codec)
        chosen = found.levels if levels is None else levels
        values = tuple(sorted({float(level) for level in chosen}))
        is_batched = type(found).sweep is not Codec.sweep
        return cls(found, found.name, found.label, found.rates[0], values, is_batched)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the codec that differ from their defaults."""
        return self.codec.changed()

    def encode_at(self, image: np.ndarray, level: float) -> bytes:
        """Return the file of an image at one level."""
        value = int(level) if self.parameter == "rank" else level
        return self.codec.encode(image, Rate.of(self.parameter, value))

    def sweep_over(
        self, images: Sequence[np.ndarray], levels: Sequence[float]
    ) -> Iterator[list[bytes]]:
        """Yield the files of images of one shape, level by level."""
        return self.codec.sweep(images, levels, max(self.levels))


METHODS: Mapping[str, Method] = {name: Method.of(codec) for name, codec in codecs().items()}
"""The methods of the codecs that are registered when this module is imported, by name."""


def choose_methods(
    names: Iterable[str | Codec], levels: Mapping[str, Sequence[float]] | None = None
) -> list[Method]:
    """Return the methods of codecs, optionally with other levels than their own.

    Args:
        names: codecs or their names, see ``find_codec``; repeated names count once.
        levels: levels by name, in place of the codec's own.

    Raises:
        InputError: if there are no codecs, a name is unknown or stands for two codecs, a codec
            cannot run on this machine or has settings that JSON does not hold, or levels are no
            numbers, empty or for a codec that is not chosen.

    Example:
        >>> [m.label for m in choose_methods(["imf", "jpeg"], {"jpeg": [10, 20]})]
        ['IMF', 'JPEG']
    """
    levels = levels or {}
    chosen: dict[str, Codec] = {}
    known = codecs()
    for codec in map(find, names):
        for other in (known.get(codec.name, codec), chosen.get(codec.name, codec)):
            if type(other) is not type(codec):
                kinds = f"{type(codec).__qualname__} and {type(other).__qualname__}"
                raise InputError(f"codec {codec.name!r} is the name of both {kinds}")
        chosen[codec.name] = codec
    if not chosen:
        raise InputError("methods must name at least one codec")
    for name, values in levels.items():
        if name not in chosen:
            raise InputError(f"levels are for {name!r}, which is not among {', '.join(chosen)}")
        if not len(values):
            raise InputError(f"levels of {name!r} must not be empty")
    return [_available(codec, levels.get(name)) for name, codec in chosen.items()]


def _available(codec: Codec, levels: Sequence[float] | None) -> Method:
    """Return the method of a codec that can run and be stored, whoever wrote it."""
    try:
        codec.check_available()
        method = Method.of(codec, levels)
        json.dumps(method.settings)
    except LrfError:
        raise
    except Exception as error:
        raise InputError(f"codec {codec.name!r} cannot be measured: {error}") from error
    if not method.levels or not all(map(math.isfinite, method.levels)):
        raise InputError(f"levels of {codec.name!r} must be numbers, got {method.levels}")
    return method
