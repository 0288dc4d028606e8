"""Codecs by name: those of the package, of other packages, and of the caller."""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from lrfjax.codec.codec import RATES, Codec
from lrfjax.codec.codecs.dct import DCTCodec
from lrfjax.codec.codecs.learned import IMFCodec, NMFCodec, SVDCodec
from lrfjax.codec.codecs.paper_imf import PaperIMFCodec
from lrfjax.codec.codecs.paper_svd import PaperSVDCodec
from lrfjax.codec.codecs.pillow import AVIF, JPEG, JPEG2000, AVIFForPSNR, WebP
from lrfjax.errors import InputError, InputTypeError

ENTRY_POINTS = "lrfjax.codecs"
"""The group of entry points by which a package offers codecs."""

_CODECS: dict[str, Codec] = {}


def register(codec: Codec) -> Codec:
    """Make a codec known by its name; return it.

    Args:
        codec: codec with the settings that its name stands for.

    Raises:
        InputError: the name is taken by a codec of another class, or the codec misses something.
        InputTypeError: not a ``Codec``.
    """
    checked = _checked(codec, "codec")
    known = _CODECS.get(checked.name)
    if known is not None and type(known) is not type(checked):
        raise InputError(f"codec {checked.name!r} is the name of {type(known).__name__} already")
    _CODECS[checked.name] = checked
    return checked


def codecs() -> Mapping[str, Codec]:
    """Return the registered codecs by name.

    Those of entry points are not among them: they are imported only when their name is asked for,
    so a broken one harms no other codec.
    """
    return dict(_CODECS)


def find(codec: str | Codec | type[Codec]) -> Codec:
    """Return a codec.

    Args:
        codec: a codec, a class of codecs for its default settings, a registered name, a name of
            an entry point of the group ``lrfjax.codecs``, or ``"package.module:object"``.

    Raises:
        InputError: an unknown name, or an object that cannot be imported.
        InputTypeError: something else than a ``Codec``.

    Example:
        >>> find("dct").label, find("lrfjax.codec.codecs.paper_imf:PaperIMFCodec").label
        ('DCT dictionary', 'IMF, paper')
    """
    if not isinstance(codec, str):
        return _checked(codec, "codec")
    if codec in _CODECS:
        return _CODECS[codec]
    path = _offered().get(codec, codec)
    if ":" in path:
        return _checked(_imported(path), path)
    known = [*_CODECS, *_offered()]
    near = difflib.get_close_matches(codec, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    raise InputError(f"codec {codec!r} is unknown: {hint}")


@functools.lru_cache(maxsize=1)
def _offered() -> dict[str, str]:
    """Return the objects of entry points by name."""
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}


def _imported(path: str) -> Any:
    module, _, names = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
    # A module from outside may raise anything while it is imported, and scripts exit.
    except (Exception, SystemExit) as error:
        raise InputError(f"codec {path!r} cannot be imported: {error}") from error
    return found


def _checked(codec: Any, name: str) -> Codec:
    """Return a codec that has all it needs, with default settings if it is a class."""
    if isinstance(codec, type) and issubclass(codec, Codec):
        try:
            codec = codec()
        except TypeError as error:
            raise InputError(f"{name} {codec.__name__} needs settings: {error}") from error
    if not isinstance(codec, Codec):
        raise InputTypeError(f"{name} must be a Codec or its name, got {codec!r}")
    kind = type(codec).__name__
    for needed in ("name", "label"):
        if not isinstance(getattr(codec, needed, None), str):
            raise InputTypeError(f"{name} {kind} must have a {needed}, a string")
    for needed in ("encode", "decode"):
        if getattr(type(codec), needed) is getattr(Codec, needed):
            raise InputTypeError(f"{name} {kind} must have a function {needed}")
    if not codec.rates or not set(codec.rates) <= set(RATES):
        raise InputError(f"{name} {kind} must have rates among {RATES}, got {codec.rates}")
    return codec


for _codec in (
    DCTCodec(), IMFCodec(), SVDCodec(), NMFCodec(), PaperIMFCodec(), PaperSVDCodec(),
    JPEG(), JPEG2000(), WebP(), AVIF(), AVIFForPSNR(),
):  # fmt: skip
    register(_codec)
