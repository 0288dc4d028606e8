"""Measure several codecs at many settings on a folder of images, into a results file.

Rows that are already in the file are not measured again, so an interrupted run resumes when it is
started again; only rows with an error are tried again. Several processes, connected by
``jax.distributed``, take batches in turn. If one of them dies, the others end in an error: at once
if they wait for it, and otherwise after ``heartbeat_timeout_seconds`` of
``jax.distributed.initialize``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import jax
import numpy as np
from jax.experimental import multihost_utils
from tqdm import tqdm

from lrfjax.errors import InputError, LrfError
from lrfjax.evaluation import dataset
from lrfjax.evaluation.batch_rows import measure_batch
from lrfjax.evaluation.dataset import Item
from lrfjax.evaluation.methods import Method
from lrfjax.evaluation.results import ResultsFile, measured, read_rows, row_key


class LostProcessError(LrfError, RuntimeError):
    """Another process of the run is gone; the file keeps the rows measured so far."""


@dataclass
class Summary:
    """The outcome of a run.

    Attributes:
        num_rows: number of measured rows of these images and methods in the file.
        num_new: number of those rows that this run measured, in all processes.
        skipped: what this process could not measure (an image, or an image with a method) and the
            reason, once for all levels. Only the first process reports images that cannot be read.
    """

    num_rows: int = 0
    num_new: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


def evaluate(
    folder: str | os.PathLike[str],
    methods: Sequence[Method],
    out: str | os.PathLike[str],
    *,
    warn: Callable[[str], None] = tqdm.write,
    show_progress: bool = True,
) -> Summary:
    """Measure every image of a folder with every method at every level.

    Images of one shape are encoded in batches if the codec can, and scored in batches always. Times
    exclude compilation: a call that compiled is repeated. If a codec fails, or returns something
    else than a file or an image of the right shape, the row has the reason as its ``error``.

    Args:
        folder: folder of images, see ``dataset.find_images``.
        methods: methods from ``choose_methods``, or variants of them.
        out: JSON Lines file of ``Row``, created or appended to; see ``results``.
        warn: function called with a line for each image that is skipped, or that a codec fails on.
        show_progress: whether to draw a progress bar with the time left, on a terminal.

    Returns:
        A summary of the run.

    Raises:
        InputError: before any image is encoded, if no image can be used, or the file cannot be
            written or is not a results file.
        LostProcessError: if another process ended before the run did.
    """
    summary = Summary()

    def skip(what: str, reason: str) -> None:
        if (what, reason) not in summary.skipped:
            summary.skipped.append((what, reason))
            warn(f"skipped {what}: {reason}")

    def skip_image(name: str, error: Exception) -> None:
        if rank == 0:
            skip(name, " ".join(str(error).split()))

    rank, count = jax.process_index(), jax.process_count()
    with ExitStack() as stack:
        paths = dataset.find_images(folder)
        file = _open(out, stack)
        hidden = None if show_progress else True
        with tqdm(total=len(paths), desc="reading", unit="image", leave=False, disable=hidden) as b:
            items = dataset.scan(folder, skip_image, b.update)
        own = dataset.batches(items, count)[rank::count]
        total = sum(map(len, own)) * sum(len(m.levels) for m in methods)
        # Rows that are already in the file count as done, but not in the time left.
        missing = sum(
            len(todo) for batch in own for m in methods for _, todo in _todo(batch, m, file)
        )
        with tqdm(total=total, initial=total - missing, unit="row", disable=hidden) as bar:
            for batch in own:
                images = [dataset.load(item.path) for item in batch]
                for method in methods:
                    bar.set_postfix_str(f"{method.label}, {batch[0].name}", refresh=False)
                    for rows in measure_batch(batch, images, method, _todo(batch, method, file)):
                        file.append(rows)
                        summary.num_new += len(measured(rows))
                        bar.update(len(rows))
                        for row in rows:
                            if row.error:
                                skip(f"{row.image} with {method.label}", row.error)
        done = file.done
        if count > 1:
            # A process that finishes early waits here: its end would be that of the others too.
            with _all_present(out):
                counts = multihost_utils.process_allgather(np.int32(summary.num_new))
            summary.num_new = int(np.sum(counts))
            done = {row.key for row in measured(read_rows(out))}
        keys = {_key(item, m, level) for item in items for m in methods for level in m.levels}
        summary.num_rows = len(keys & done)
    return summary


def _open(out: str | os.PathLike[str], stack: ExitStack) -> ResultsFile:
    """Open the results; the first process repairs the file before the others read it."""
    if jax.process_count() == 1:
        return stack.enter_context(ResultsFile(out))
    failure = None
    if jax.process_index() == 0:
        try:
            file = stack.enter_context(ResultsFile(out))
        except InputError as error:
            failure = error
    # The first process reports a failure too: otherwise the others would wait in vain.
    with _all_present(out):
        is_open = bool(multihost_utils.broadcast_one_to_all(np.bool_(failure is None)))
    if failure is not None:
        raise failure
    if not is_open:
        raise InputError(f"results {os.fspath(out)!r} could not be opened by process 0")
    if jax.process_index() > 0:
        file = stack.enter_context(ResultsFile(out, is_owner=False))
    return file


@contextmanager
def _all_present(out: str | os.PathLike[str]) -> Iterator[None]:
    """Raise LostProcessError if an exchange between processes fails."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        raise LostProcessError(
            f"another process of this run ended early or did not answer; "
            f"{os.fspath(out)!r} keeps the rows so far, and the same commands resume the run "
            f"({error})"
        ) from error


def _key(item: Item, method: Method, level: float) -> tuple[str, str, str, float, str]:
    return row_key(item.name, item.digest, method.name, level, method.settings)


def _todo(
    batch: Sequence[Item], method: Method, file: ResultsFile
) -> list[tuple[float, list[int]]]:
    """Return the levels with missing rows, each with the indices of the images that lack it."""
    found = []
    for level in method.levels:
        missing = [k for k, item in enumerate(batch) if _key(item, method, level) not in file.done]
        if missing:
            found.append((level, missing))
    return found
