"""What a codec is: settings, names, and functions from an image to bytes and back.

A codec is a frozen dataclass whose fields are its settings. How large a file becomes is a second
choice, a ``Rate``. ``registry`` knows codecs by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from lrfjax.errors import InputError

RATES = ("rank", "quality", "target_bpp", "target_psnr")


@dataclass(frozen=True)
class Rate:
    """How large a file becomes: exactly one of these is given.

    Attributes:
        rank: number of columns of the factors.
        quality: from 0 to 100.
        target_bpp: upper limit on the bits per pixel.
        target_psnr: PSNR in dB.

    Raises:
        InputError: none or several of them.
    """

    rank: int | Sequence[int] | None = None
    quality: float | Sequence[float] | None = None
    target_bpp: float | None = None
    target_psnr: float | None = None

    def __post_init__(self) -> None:
        given = [name for name in RATES if getattr(self, name) is not None]
        if len(given) != 1:
            what = " and ".join(given) or "none"
            raise InputError(
                "exactly one of rank, quality, target_bpp and target_psnr must be given, got "
                f"{what}"
            )

    @classmethod
    def of(cls, kind: str, value: Any) -> Rate:
        """Return the rate of one kind."""
        return cls(**{kind: value})

    @property
    def kind(self) -> str:
        """The name of the one that is given."""
        return next(name for name in RATES if getattr(self, name) is not None)


@dataclass(frozen=True)
class Codec:
    """An image codec; the base class of all.

    A codec from outside the package is a frozen dataclass that derives from this class, sets
    ``name`` and ``label``, and implements ``encode`` and ``decode``. ``encode``, ``evaluate`` and
    the commands then take it as ``"package.module:object"``, where the object is an instance or
    the class, or by its name after ``register``, or from an entry point of the group
    ``lrfjax.codecs``.

    Attributes:
        name: name in commands and results.
        label: name in figures and tables.
        rates: the fields of ``Rate`` that it takes. The first one varies along its curve.
        levels: values of that field along a rate-distortion curve, rising; so is the rate.
        is_continuous: whether values between the levels are valid as well.
        shares_work: whether the levels of a sweep share work, so that no level has its own time.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    rates: ClassVar[tuple[str, ...]] = ("quality",)
    levels: ClassVar[tuple[float, ...]] = (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    is_continuous: ClassVar[bool] = True
    shares_work: ClassVar[bool] = False

    def encode(self, image: np.ndarray, rate: Rate) -> bytes:
        """Return the file of an image.

        Args:
            image: shape (H, W) or (H, W, 3), uint8.
            rate: one of ``rates``.
        """
        raise NotImplementedError

    def decode(self, data: bytes) -> np.ndarray:
        """Return the image of a file, in the shape and dtype that were encoded."""
        raise NotImplementedError

    def sweep(
        self, images: Sequence[np.ndarray], levels: Sequence[float], largest: float | None = None
    ) -> Iterator[list[bytes]]:
        """Yield the files of images of one shape, level by level.

        Args:
            images: images of one shape.
            levels: values of the first of ``rates``.
            largest: a level that is not below any of them, by default the largest one. Sweeps that
                share it may share compiled programs.
        """
        for level in levels:
            yield [self.encode(image, Rate.of(self.rates[0], level)) for image in images]

    def check_available(self) -> None:
        """Raise InputError if the codec cannot run on this machine."""

    def changed(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {f.name: values[f.name] for f in fields(self) if values[f.name] != f.default}


def check_rate(codec: Codec, rate: Rate) -> None:
    """Raise InputError for a rate that a codec does not take."""
    if rate.kind not in codec.rates:
        raise InputError(
            f"{rate.kind} is not taken by {codec.name}, which takes {' and '.join(codec.rates)}"
        )
