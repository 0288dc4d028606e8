"""Run a function on many files: output paths, progress bars and failures in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import jax
from tqdm import tqdm

from lrfjax.errors import InputError, LrfError
from lrfjax.image.writing import check_writable

FAILURES = (LrfError, OSError, MemoryError, jax.errors.JaxRuntimeError)
"""Errors of a file or of the machine, printed in one line. All other errors are bugs."""


@dataclass(frozen=True)
class Job:
    """A file to read and the path of its result."""

    source: Path
    target: Path


def plan(inputs: Sequence[str], output: str, suffix: str) -> list[Job]:
    """Return a job for each input, after checking that no two jobs conflict.

    Args:
        inputs: paths of the inputs, at least one.
        output: path of a file for one input. It is a folder if there are several inputs, if it ends
            in a separator, or if it is one already; a missing folder is created.
        suffix: suffix of the results in a folder, such as ``".png"``.

    Raises:
        InputError: if two results have the same path, a result has the path of an input, or a path
            cannot be written to.
    """
    is_folder = len(inputs) > 1 or os.path.isdir(output) or output.endswith(os.sep)
    if is_folder:
        jobs = [Job(Path(p), Path(output, Path(p).stem + suffix)) for p in inputs]
    else:
        jobs = [Job(Path(inputs[0]), Path(output))]
    taken: dict[str, Path] = {}
    for job in jobs:
        place = os.path.realpath(job.target)
        if place in taken:
            raise InputError(
                f"'{taken[place]}' and '{job.source}' would both be written to '{job.target}'"
            )
        taken[place] = job.source
    check_targets([job.target for job in jobs], [job.source for job in jobs])
    if is_folder and output:
        make_folder(Path(output))
    for job in jobs:
        check_writable(job.target if output else "")
    return jobs


def check_targets(targets: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise InputError if a result would be written over an input."""
    sources = {os.path.realpath(path): path for path in inputs}
    for target in targets:
        if (source := sources.get(os.path.realpath(target))) is not None:
            raise InputError(f"output '{target}' is an input as well, '{source}'")


def make_folder(folder: Path) -> None:
    """Create a folder if it does not exist, or raise InputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder {str(folder)!r} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"folder {str(folder)!r} cannot be written to")


def run_all(command: str, jobs: Sequence[Job], work: Callable[[Job], str]) -> int:
    """Do every job, even after failures; return 0, or 1 if a job failed.

    Results are printed to standard output, failures to standard error, in one line each. Several
    jobs have a progress bar on standard error.

    Args:
        command: name of the command, for the failures.
        jobs: jobs, done in order.
        work: function that does a job and returns the text to print.
    """
    failed = 0
    with tqdm(
        total=len(jobs), unit="file", leave=False, disable=None if len(jobs) > 1 else True
    ) as bar:
        for job in jobs:
            bar.set_postfix_str(shown(job.source.name, sys.stderr))
            try:
                said = work(job)
            except FAILURES as error:
                failed += 1
                line = failure_line(command, error, job.source)
                tqdm.write(shown(line, sys.stderr), file=sys.stderr)
            else:
                tqdm.write(shown(said, sys.stdout), file=sys.stdout)
            bar.update()
    return int(failed > 0)


def shown(text: str, stream: TextIO) -> str:
    """Return a text with escapes for the characters that a stream cannot encode.

    The name of a file may be any bytes.
    """
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def tile_bar() -> Iterator[Callable[[int, int], None]]:
    """Draw a progress bar over the tiles of one file, on a terminal and if there are several.

    A search for a rate or a PSNR goes through all tiles in each attempt. The bar shows the number
    of the attempt.

    Yields:
        A function to call with the number of finished tiles and the number of all tiles.
    """
    bars: list[tqdm] = []
    attempts = 0

    def progress(done: int, total: int) -> None:
        nonlocal attempts
        if total == 1:
            return
        if done == 0:
            attempts += 1
            if bars:
                bars.pop().close()
            title = f"attempt {attempts}" if attempts > 1 else None
            bars.append(tqdm(desc=title, total=total, unit="tile", leave=False, disable=None))
        else:
            bars[0].update(done - bars[0].n)

    try:
        yield progress
    finally:
        for bar in bars:
            bar.close()


def failure_line(command: str, error: BaseException, source: Path | None = None) -> str:
    """Return the message of a failure, one line that names the file."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        text = f"not enough memory {text}".strip()
    name = "" if source is None or repr(str(source)) in text else f"{source}: "
    return f"lrfjax {command}: {name}{text}"
