"""Save the figures of functions that take ``save_dir``, ``prefix`` and ``format``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from lrfjax.checks import one_of
from lrfjax.errors import InputError, InputTypeError
from lrfjax.evaluation.plots import SUFFIXES, save_figure

FORMATS = tuple(suffix[1:] for suffix in SUFFIXES)
DEFAULT_FORMAT = "pdf"


@dataclass
class Saver:
    """The folder and the names of saved figures.

    Attributes:
        folder: an existing folder.
        prefix: beginning of all names, or an empty text.
        format: one of ``FORMATS``.
    """

    folder: Path
    prefix: str
    format: str
    _stems: set[str] = field(default_factory=set)

    def save(self, figure: Figure, *words: str) -> None:
        """Write a figure as ``<prefix>-<word>-<word>.<format>``.

        What file names do not hold everywhere becomes an underscore. A name that an earlier figure
        has gets a number.

        Raises:
            InputError: if the file cannot be written.
        """
        plain = [re.sub(r"[^\w.+-]+", "_", word) for word in words]
        stem = base = "-".join([self.prefix] * bool(self.prefix) + plain)
        number = 1
        while stem in self._stems:
            number += 1
            stem = f"{base}-{number}"
        self._stems.add(stem)
        save_figure(figure, self.folder / f"{stem}.{self.format}")


def saver(
    save_dir: str | os.PathLike[str] | None, prefix: str = "", format: str = DEFAULT_FORMAT
) -> Saver | None:
    """Return what saves figures in a folder, or None without one. The folder is created.

    Raises:
        InputError: if prefix or format is given without a folder, the format is unknown, the prefix
            is no part of a file name, or the folder cannot be created.
        InputTypeError: if the prefix is no text.
    """
    one_of("format", format, FORMATS)
    if not isinstance(prefix, str):
        raise InputTypeError(f"prefix must be a string, got {prefix!r}")
    if save_dir is None:
        for name, value, default in (("prefix", prefix, ""), ("format", format, DEFAULT_FORMAT)):
            if value != default:
                raise InputError(f"{name} {value!r} needs save_dir, a folder")
        return None
    if re.search(r"[/\\\0]", prefix) or prefix.startswith("."):
        raise InputError(f"prefix must be the beginning of a file name, got {prefix!r}")
    folder = Path(save_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"save_dir {str(folder)!r} cannot be made: {error.strerror}") from error
    return Saver(folder, prefix, format)
