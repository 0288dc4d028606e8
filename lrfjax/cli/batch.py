"""Many files through one function: where each goes, what is refused, how failures are told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jax
from tqdm import tqdm

from lrfjax.errors import InputError, LrfError
from lrfjax.image.writing import check_writable

FAILURES = (LrfError, OSError, MemoryError, jax.errors.JaxRuntimeError)
"""What may go wrong with a file, or with the machine, and is no mistake in the program."""


@dataclass(frozen=True)
class Job:
    """A file to read, and where its result goes."""

    source: Path
    target: Path


def plan(inputs: Sequence[str], output: str, suffix: str) -> list[Job]:
    """Return what is to be done, after checking that none of it gets in the way of another.

    Args:
        inputs: paths, at least one.
        output: a file for one input; a folder for several, which is made where there is none, or
            where it is a folder already.
        suffix: in a folder, what replaces that of the input.

    Raises:
        InputError: if two results have the same place, one has the place of an input, or a place
            cannot be written to.
    """
    is_folder = len(inputs) > 1 or os.path.isdir(output) or output.endswith(os.sep)
    if is_folder:
        jobs = [Job(Path(p), Path(output, Path(p).stem + suffix)) for p in inputs]
    else:
        jobs = [Job(Path(inputs[0]), Path(output))]
    sources = {os.path.realpath(job.source): job.source for job in jobs}
    taken: dict[str, Path] = {}
    for job in jobs:
        place = os.path.realpath(job.target)
        if place in taken:
            raise InputError(
                f"'{taken[place]}' and '{job.source}' would both be written to '{job.target}'"
            )
        if place in sources:
            raise InputError(f"output '{job.target}' is an input as well, '{sources[place]}'")
        taken[place] = job.source
    if is_folder and output:
        make_folder(Path(output))
    for job in jobs:
        check_writable(job.target if output else "")
    return jobs


def make_folder(folder: Path) -> None:
    """Make a folder where there is none, or raise InputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder {str(folder)!r} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"folder {str(folder)!r} cannot be written to")


def run_all(command: str, jobs: Sequence[Job], work: Callable[[Job], str]) -> int:
    """Do every job, whatever becomes of the others; return 0, or 1 if one failed.

    What each says goes to the standard output, a failure in one line to the standard error, where
    several files have a progress bar as well.

    Args:
        command: for the messages.
        jobs: what to do.
        work: does one, and returns what to say about it.
    """
    failed = 0
    with tqdm(
        total=len(jobs), unit="file", leave=False, disable=None if len(jobs) > 1 else True
    ) as bar:
        for job in jobs:
            bar.set_postfix_str(job.source.name)
            try:
                said = work(job)
            except FAILURES as error:
                failed += 1
                tqdm.write(failure_line(command, error, job.source), file=sys.stderr)
            else:
                tqdm.write(said, file=sys.stdout)
            bar.update()
    return int(failed > 0)


@contextmanager
def tile_bar() -> Iterator[Callable[[int, int], None]]:
    """Draw a bar of the tiles of one file on a terminal, if there are several.

    A search for a rate or a PSNR goes through all tiles with each attempt, which the bar counts.

    Yields:
        What to call with the number of tiles that are done and that of all.
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
    """Return what to say of a failure, in one line that names the file."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        text = f"not enough memory {text}".strip()
    name = "" if source is None or repr(str(source)) in text else f"{source}: "
    return f"lrfjax {command}: {name}{text}"
