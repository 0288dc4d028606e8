"""Predicted classes as rows of a JSON Lines file that survives interruptions.

As in ``lrfjax.evaluation.results``, whole lines are appended in one write, and an unfinished line
at the end is dropped when the file is opened again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from lrfjax.errors import InputError
from lrfjax.evaluation.dataset import Item

ORIGINAL = "original"
"""The method of images that were not compressed, at level 0 and 0 bpp."""

Key = tuple[str, str, str, float]


@dataclass(frozen=True)
class ClassRow:
    """The predicted classes of an image at one setting of a codec.

    Attributes:
        image: path of the file relative to its folder, with forward slashes.
        digest: digest of its pixels.
        method: name in ``METHODS``, or ``ORIGINAL``.
        level: value of the setting that varies along the curve.
        bpp: bits per pixel of the decoded file.
        classes: the five most likely classes, most likely first.
    """

    image: str
    digest: str
    method: str
    level: float
    bpp: float
    classes: tuple[int, ...]

    @property
    def key(self) -> Key:
        """The identity of a prediction: image and setting."""
        return self.image, self.digest, self.method, float(self.level)


def row_key(item: Item, method: str, level: float = 0.0) -> Key:
    """Return the key of the row of an image at one setting of a codec."""
    return item.name, item.digest, method, float(level)


def from_line(line: str) -> ClassRow:
    """Parse a line as a row.

    Raises:
        ValueError: if the line is not a row.
    """
    values = json.loads(line)
    if not isinstance(values, dict) or {f.name for f in fields(ClassRow)} != set(values):
        raise ValueError(f"not an object of {', '.join(f.name for f in fields(ClassRow))}")
    if not all(isinstance(values[name], str) for name in ("image", "digest", "method")):
        raise ValueError("image, digest and method must be texts")
    numbers = values["level"], values["bpp"]
    if not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers):
        raise ValueError("level and bpp must be numbers")
    classes = values.pop("classes")
    if not isinstance(classes, list) or not classes or not all(type(c) is int for c in classes):
        raise ValueError("classes must be integers")
    return ClassRow(**values, classes=tuple(classes))


class ClassRows:
    """A file of rows to append to; the caller closes it.

    Attributes:
        rows: rows that are now in the file, by key.

    Raises:
        InputError: if the file cannot be read or written, or a finished line is not a row.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; a missing file is created."""
        self._name = str(path)
        self.rows: dict[Key, ClassRow] = {}
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._failed(error.strerror) from error
        try:
            with open(self._file, "rb", closefd=False) as file:
                data = file.read()
            finished = data[: data.rfind(b"\n") + 1]
            for number, line in enumerate(finished.decode(errors="replace").splitlines(), 1):
                try:
                    row = from_line(line)
                except ValueError as error:
                    where = f"classes {self._name!r}, line {number}"
                    raise InputError(f"{where} is not a row: {error}") from error
                self.rows.setdefault(row.key, row)
            os.ftruncate(self._file, len(finished))
        except BaseException:
            self.close()
            raise

    def append(self, rows: Sequence[ClassRow]) -> None:
        """Append rows in one write.

        Raises:
            InputError: if the file cannot be written.
        """
        data = "".join(json.dumps(asdict(row), allow_nan=False) + "\n" for row in rows).encode()
        try:
            written = os.write(self._file, data)
        except OSError as error:
            raise self._failed(error.strerror) from error
        if written != len(data):
            raise self._failed("the disk is full")
        self.rows.update((row.key, row) for row in rows)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _failed(self, reason: str | None) -> InputError:
        return InputError(f"classes {self._name!r} cannot be written: {reason}")
