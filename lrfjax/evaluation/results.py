"""Measurements as rows of a JSON Lines file that survives interruptions.

A row holds one image at one setting of one method, or the reason why it could not be measured. Rows
are only appended, as whole lines in one write. An unfinished line at the end, left by a crash, is
dropped when the file is opened again.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from lrfjax.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no such locks; there the file is not locked
    fcntl = None  # type: ignore[assignment]

Key = tuple[str, str, str, float, str]

_OPENING = b'{"image": "'
"""The first bytes of every line."""


@dataclass(frozen=True)
class Row:
    """One image through one codec at one setting.

    A row with an ``error`` was not measured: it has 0 bytes, and NaN for all that is measured.
    Means, curves and tables leave it out, and the next run measures it again.

    Attributes:
        image: path of the file relative to its folder, with forward slashes.
        digest: digest of its pixels, which tells images of one name apart.
        method: name in ``METHODS``, or of a variant in an experiment.
        level: value of the setting that varies along the curve, such as the quality.
        parameters: all other settings that differ from the method's defaults.
        height: height of the image, in pixels.
        width: width of the image, in pixels.
        channels: 1 or 3.
        num_bytes: size of the file, in bytes.
        psnr_db: PSNR over all channels of the decoded 8-bit image; infinite if lossless.
        ssim: SSIM, mean over channels; NaN if a side is below 11 pixels.
        ms_ssim: MS-SSIM, mean over channels; NaN if a side is below 176 pixels.
        encode_ms: time to encode in ms, without compilation; the image's share of a batch. NaN if
            the levels of a sweep share the work.
        decode_ms: time to decode in ms, without compilation.
        batch: number of images encoded together.
        versions: versions of the packages that the numbers depend on, by name.
        device: device that JAX ran on.
        error: why the codec could not be measured, in one line; empty if it was measured.
    """

    image: str
    digest: str
    method: str
    level: float
    height: int
    width: int
    channels: int
    num_bytes: int
    psnr_db: float
    ssim: float
    ms_ssim: float
    encode_ms: float
    decode_ms: float
    batch: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    error: str = ""

    @property
    def bpp(self) -> float:
        """Bits per pixel, 8 x bytes of the whole file / (H x W)."""
        return 8 * self.num_bytes / (self.height * self.width)

    @property
    def key(self) -> Key:
        """The identity of a measurement: image and setting."""
        return row_key(self.image, self.digest, self.method, self.level, self.parameters)


def row_key(
    image: str, digest: str, method: str, level: float, parameters: Mapping[str, Any]
) -> Key:
    """Return the key of a row."""
    return image, digest, method, float(level), json.dumps(parameters, sort_keys=True)


def to_line(row: Row) -> str:
    """Return a row as one line of strict JSON: infinite PSNR and missing numbers are null."""
    values = asdict(row) | {"bpp": round(row.bpp, 6)}
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            values[name] = None
    return json.dumps(values, allow_nan=False)


def from_line(line: str) -> Row:
    """Parse a line as a row.

    Raises:
        ValueError: if the line is not a row.
    """
    try:
        values = json.loads(line)
    except RecursionError as error:
        raise ValueError("too deeply nested") from error
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    names = {f.name for f in fields(Row)}
    values = {name: value for name, value in values.items() if name in names}
    has_error = bool(values.get("error"))
    for name in ("psnr_db", "ssim", "ms_ssim", "encode_ms", "decode_ms"):
        if name in values and values[name] is None and (has_error or name != "decode_ms"):
            is_lossless = name == "psnr_db" and not has_error
            values[name] = math.inf if is_lossless else math.nan
    try:
        row = Row(**values)
        numbers = (row.level, row.psnr_db, row.ssim, row.ms_ssim, row.encode_ms, row.decode_ms)
        if not all(isinstance(n, (int, float)) for n in numbers):
            raise ValueError("a number is missing")
        texts = (row.image, row.digest, row.method, row.device, row.error)
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("a text is missing")
        if not abs(row.level) <= sys.float_info.max:
            raise ValueError("the level must be finite")
        if not min(row.height, row.width) > 0:
            raise ValueError("sizes must be positive")
        if not (row.num_bytes == 0 if row.error else row.num_bytes > 0):
            raise ValueError("the number of bytes must be positive, or 0 with an error")
        if not (isinstance(row.parameters, dict) and isinstance(row.versions, dict)):
            raise ValueError("parameters and versions must be objects")
    except TypeError as error:
        raise ValueError(str(error)) from error
    return row


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
    """Return the rows of a results file, ``unique`` ones.

    An unfinished line at the end, left by an interruption, is ignored.

    Raises:
        InputError: if the file cannot be read, or a finished line is not a row.
    """
    name = os.fspath(path)
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"results {name!r} cannot be read: {error.strerror}") from error
    return _parse(text, name)


def _parse(text: str, name: str) -> list[Row]:
    rows: list[Row] = []
    finished = text[: text.rfind("\n") + 1]
    for number, line in enumerate(finished.split("\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append(from_line(line))
        except ValueError as error:
            raise InputError(f"results {name!r}, line {number} is not a row: {error}") from error
    return unique(rows)


def unique(rows: Iterable[Row]) -> list[Row]:
    """Return one row for each key: the first that was measured, or else the last error."""
    found: dict[Key, Row] = {}
    for row in rows:
        if row.key not in found or found[row.key].error:
            found[row.key] = row
    return list(found.values())


def measured(rows: Iterable[Row]) -> list[Row]:
    """Return the rows without an error."""
    return [row for row in rows if not row.error]


class ResultsFile:
    """A results file to append to, as a context manager.

    Attributes:
        rows: rows in the file when it was opened.
        done: keys of all measured rows that are now in the file.

    Raises:
        InputError: on entering, if the file cannot be written, a line of it is not a row, or
            another run is appending to it.
    """

    def __init__(self, path: str | os.PathLike[str], is_owner: bool = True) -> None:
        """Set the path; entering opens the file.

        Args:
            path: path of the file; a missing file is created.
            is_owner: whether to lock other runs out, and to drop an unfinished line at the end. If
                several processes share the file, only the first owns it, and it opens it first.
        """
        self._path = Path(path)
        self._is_owner = is_owner
        self._file = -1
        self.rows: list[Row] = []
        self.done: set[Key] = set()

    def __enter__(self) -> ResultsFile:
        name = str(self._path)
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._file = os.open(self._path, flags, 0o644)
        except OSError as error:
            raise InputError(f"results {name!r} cannot be written: {error.strerror}") from error
        try:
            if self._is_owner:
                self._lock()
            with open(self._file, "rb", closefd=False) as file:
                file.seek(0)
                data = file.read()
            self.rows = _parse(data.decode("utf-8", errors="replace"), name)
            if self._is_owner and not data.endswith(b"\n"):
                self._drop_unfinished(data)
        except BaseException:
            os.close(self._file)
            raise
        self.done = {row.key for row in measured(self.rows)}
        return self

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"results {str(self._path)!r} is in use by another run") from error
        except OSError:
            pass  # the file system has no locks

    def _drop_unfinished(self, data: bytes) -> None:
        start = data.rfind(b"\n") + 1
        tail = data[start : start + len(_OPENING)]
        # Any other tail is not an unfinished row of ours, and must not be deleted.
        if tail != _OPENING[: len(tail)]:
            number = data.count(b"\n") + 1
            raise InputError(f"results {str(self._path)!r}, line {number} is not a row: {tail!r}")
        os.ftruncate(self._file, start)

    def append(self, rows: Iterable[Row]) -> None:
        """Append rows in one write, without those that the file has measured already.

        Raises:
            InputError: if the file cannot be written.
        """
        new = [row for row in rows if row.key not in self.done]
        data = "".join(to_line(row) + "\n" for row in new).encode()
        try:
            # Appends of several processes do not mix: each write goes to the end in one piece.
            written = os.write(self._file, data) if data else 0
        except OSError as error:
            reason = error.strerror
            raise InputError(f"results {str(self._path)!r} cannot be written: {reason}") from error
        if written != len(data):
            raise InputError(f"results {str(self._path)!r} cannot be written: the disk is full")
        self.done.update(row.key for row in measured(new))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)


def by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the measured rows of each method, in the order in which methods first appear."""
    found: dict[str, list[Row]] = {}
    for row in measured(rows):
        found.setdefault(row.method, []).append(row)
    return found
