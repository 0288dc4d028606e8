"""A folder of images through several codecs at many settings, into a results file.

What is in the file already is not done again, so an interrupted run is resumed by starting it
again. Several processes that ``jax.distributed`` has brought together take batches in turn. If one
of them dies, the others end in an error: at once where they wait for it, and otherwise when
``heartbeat_timeout_seconds`` of ``jax.distributed.initialize`` have passed.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version

import jax
import numpy as np
from jax.experimental import multihost_utils
from tqdm import tqdm

from lrfjax.errors import InputError, LrfError
from lrfjax.evaluation import dataset
from lrfjax.evaluation.dataset import Item
from lrfjax.evaluation.methods import Method
from lrfjax.evaluation.results import ResultsFile, Row, read_rows, row_key
from lrfjax.evaluation.timing import warm_time
from lrfjax.image.metrics import fidelity

_VERSIONED = ("lrfjax", "jax", "numpy", "pillow")


class LostProcessError(LrfError, RuntimeError):
    """Another of the processes that share a run is gone; what was measured is in the file."""


@dataclass
class Summary:
    """What a run did.

    Attributes:
        num_rows: rows of these images and methods in the file.
        num_new: how many of them were measured now, by all processes together.
        skipped: what this process could not measure: an image, or an image with a method, and why.
            Images that cannot be read are the first process's to report.
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

    Images of one shape go through a codec in batches where it can take them (``Method.sweep``), and
    through the metrics always. Times hold no compilation: what compiled runs again.

    Args:
        folder: of images, see ``dataset.find_images``.
        methods: from ``choose_methods``, or variants of them.
        out: a JSON Lines file of ``Row``, made or added to; see ``results``.
        warn: called with a line for each image that is skipped.
        show_progress: whether to draw a progress bar with the time left, on a terminal.

    Returns:
        What was done.

    Raises:
        InputError: if there is no image that can be used, or the file cannot be written or is not
            one of results; before any image is encoded.
        LostProcessError: if another process ended before the run did.
    """
    summary = Summary()

    def skip(what: str, error: Exception) -> None:
        reason = " ".join(str(error).split())
        summary.skipped.append((what, reason))
        warn(f"skipped {what}: {reason}")

    rank, count = jax.process_index(), jax.process_count()
    with ExitStack() as stack:
        paths = dataset.find_images(folder)
        file = _open(out, stack)
        hidden = None if show_progress else True
        with tqdm(total=len(paths), desc="reading", unit="image", leave=False, disable=hidden) as b:
            items = dataset.scan(folder, skip if rank == 0 else lambda *_: None, b.update)
        own = dataset.batches(items, count)[rank::count]
        total = sum(map(len, own)) * sum(len(m.levels) for m in methods)
        # Rows that are there already count as done without a share in the time left.
        missing = sum(
            len(todo) for batch in own for m in methods for _, todo in _todo(batch, m, file)
        )
        with tqdm(total=total, initial=total - missing, unit="row", disable=hidden) as bar:
            for batch in own:
                images = [dataset.load(item.path) for item in batch]
                for method in methods:
                    bar.set_postfix_str(f"{method.label}, {batch[0].name}", refresh=False)
                    for rows, due in _measure(batch, images, method, file, skip):
                        file.append(rows)
                        summary.num_new += len(rows)
                        bar.update(due)
        done = file.done
        if count > 1:
            # Whoever is done first waits here: a process that ends takes the others with it.
            with _all_present(out):
                counts = multihost_utils.process_allgather(np.int32(summary.num_new))
            summary.num_new = int(np.sum(counts))
            done = {row.key for row in read_rows(out)}
        keys = {_key(item, m, level) for item in items for m in methods for level in m.levels}
        summary.num_rows = len(keys & done)
    return summary


def _open(out: str | os.PathLike[str], stack: ExitStack) -> ResultsFile:
    """Open the results, which the first process makes sound before the others look at them."""
    if jax.process_count() == 1:
        return stack.enter_context(ResultsFile(out))
    failure = None
    if jax.process_index() == 0:
        try:
            file = stack.enter_context(ResultsFile(out))
        except InputError as error:
            failure = error
    # Without word from the first process the others would wait for it in vain.
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
    """Say what the failure of an exchange between processes means."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        raise LostProcessError(
            f"another process of this run ended early, or was waited for in vain; "
            f"{os.fspath(out)!r} keeps what was measured, and the same commands resume the run "
            f"({error})"
        ) from error


def _key(item: Item, method: Method, level: float) -> tuple[str, str, str, float, str]:
    return row_key(item.name, item.digest, method.name, level, dict(method.fixed))


def _todo(
    batch: Sequence[Item], method: Method, file: ResultsFile
) -> list[tuple[float, list[int]]]:
    """Return the levels at which images of a batch are to be measured, and which images."""
    found = []
    for level in method.levels:
        missing = [k for k, item in enumerate(batch) if _key(item, method, level) not in file.done]
        if missing:
            found.append((level, missing))
    return found


def _measure(
    batch: Sequence[Item],
    images: Sequence[np.ndarray],
    method: Method,
    file: ResultsFile,
    skip: Callable[[str, Exception], None],
) -> Iterator[tuple[list[Row], int]]:
    """Yield the missing rows of a batch, level after level, and how many were due."""
    todo = _todo(batch, method, file)
    if method.sweep is None:
        failed: set[int] = set()
        for level, missing in todo:
            coded = []
            for k in missing:
                if k in failed:
                    continue
                try:
                    data, ms = warm_time(partial(method.encode_at, images[k], level))
                    coded.append((k, data, ms, *_decode(method, images[k], data)))
                except (LrfError, MemoryError) as error:
                    failed.add(k)
                    skip(f"{batch[k].name} with {method.label}", error)
            yield _rows(batch, images, method, level, coded, 1), len(missing)
        return
    try:
        levels = [level for level, _ in todo]
        if levels:
            next(method.sweep_over(images, levels[:1]))  # compiles
        sweep = method.sweep_over(images, levels)
        for level, missing in todo:
            start = time.perf_counter()
            files = next(sweep)
            ms = 1e3 * (time.perf_counter() - start) / len(batch)
            ms = float("nan") if method.shares_work else ms
            coded = [(k, files[k], ms, *_decode(method, images[k], files[k])) for k in missing]
            yield _rows(batch, images, method, level, coded, len(batch)), len(missing)
    except (LrfError, MemoryError) as error:
        skip(f"{batch[0].name} and {len(batch) - 1} more with {method.label}", error)


def _decode(method: Method, image: np.ndarray, data: bytes) -> tuple[np.ndarray, float]:
    """Return the decoded image in the shape of the original, and the milliseconds."""
    decoded, ms = warm_time(lambda: method.decode(data))
    if decoded.ndim > image.ndim:  # a format without gray
        decoded = np.rint(decoded.mean(axis=2)).astype(np.uint8)
    return decoded, ms


def _rows(
    batch: Sequence[Item],
    images: Sequence[np.ndarray],
    method: Method,
    level: float,
    coded: Sequence[tuple[int, bytes, float, np.ndarray, float]],
    batch_size: int,
) -> list[Row]:
    if not coded:
        return []
    # Always the whole batch, so that one program serves whatever is missing.
    decoded = list(images)
    for k, _, _, pixels, _ in coded:
        decoded[k] = pixels
    scores = fidelity(np.stack(images), np.stack(decoded))
    psnr, ssim, ms_ssim = (np.asarray(values).tolist() for values in scores)
    device, used = jax.local_devices()[0], versions()
    return [
        Row(
            image=batch[k].name,
            digest=batch[k].digest,
            height=images[k].shape[0],
            width=images[k].shape[1],
            channels=1 if images[k].ndim == 2 else 3,
            num_bytes=len(data),
            psnr_db=round(psnr[k], 4),
            ssim=round(ssim[k], 6),
            ms_ssim=round(ms_ssim[k], 6),
            encode_ms=round(encode_ms, 3),
            decode_ms=round(decode_ms, 3),
            method=method.name,
            level=float(level),
            parameters=dict(method.fixed),
            batch=batch_size,
            versions=used,
            device=", ".join(dict.fromkeys((device.platform, device.device_kind))),
        )
        for k, data, encode_ms, _, decode_ms in coded
    ]


def versions() -> dict[str, str]:
    """Return what the numbers depend on, by package, and Python."""
    return {"python": platform.python_version()} | {name: version(name) for name in _VERSIONED}
